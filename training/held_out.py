"""How good weights are on the held-out photos: `python -m training.held_out nano.safetensors --archive train.zip`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from persam.sam.decoder import NO_GUIDANCE
from persam.sam.nano import INPUT_SIZE, NanoSam, from_tensors
from training import prompts
from training.archive import Photos
from training.forward import decode, encode, set_input_size
from training.masks import large_enough
from training.mix import RENDERED
from training.objectives import LocationLoss, iou
from training.views import View, whole_view


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--archive", type=Path, nargs="+", required=True)
    options = parser.parse_args(arguments)
    print("weights,point_iou,box_iou,peak")
    for path in options.weights:
        numbers = held_out(from_tensors(load_file(path)), options.archive)
        print(path.name, numbers["point_iou"], numbers["box_iou"], numbers["peak"], sep=",", flush=True)


@torch.no_grad()
def held_out(model: NanoSam, archives: Sequence[Path], *, count: int = 100, size: int = INPUT_SIZE) -> dict[str, float]:
    """Mean IoU after one inner click and after one box, and how often a mirrored reference's peak is on its object."""
    photos, rng = Photos(archives, held_out=True), np.random.default_rng(0)
    real = [photo for photo in photos.photos if photo.source != RENDERED]
    device = next(model.parameters()).device
    model.eval()
    set_input_size(model, size)
    scores: dict[str, list[float]] = {"point_iou": [], "box_iou": [], "peak": []}
    for photo in real[:: max(1, len(real) // count)][:count]:
        masks, ignore = photos.masks(photo)
        masks = masks[large_enough(masks)][:4]
        if not len(masks):
            continue
        picture = photos.rgb(photo)
        views = [
            whole_view(picture, masks, ignore, size=size),
            whole_view(picture[:, ::-1], masks[:, :, ::-1], ignore[:, ::-1], size=size),
        ]
        rgb, cover, weight = (part.to(device) for part in stack(views))
        maps = encode(model, rgb)
        patch_cover, patch_weight = F.avg_pool2d(cover, 4), F.avg_pool2d(weight[:, None], 4)[:, 0]
        swapped, twin = torch.tensor([1, 0], device=device), torch.zeros(2, dtype=torch.bool, device=device)
        _, peak = LocationLoss().to(device)(maps.features, patch_cover, patch_weight, swapped, twin)
        scores["peak"].append(peak.item())
        rows = maps.rows(torch.zeros(1, dtype=torch.long, device=device), len(masks))
        for kind in ("point", "box"):
            prompt, _ = prompts.first_prompt(
                kind, cover[:1], maps.features[:1], maps.features[1:], patch_cover[1:], rng
            )
            logits, predicted = decode(model, rows, prompt, NO_GUIDANCE)
            kept = best_iou(logits, predicted, cover[0], weight[:1].expand(len(masks), -1, -1))
            scores[f"{kind}_iou"].append(kept.mean().item())
    return {name: round(float(np.nanmean(values)), 4) for name, values in scores.items()}


def stack(views: Sequence[View]) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised RGB (n 3 s s), cover (n objects s/4 s/4) and weight (n s/4 s/4)."""
    rgb = torch.from_numpy(np.stack([view.rgb for view in views])).permute(0, 3, 1, 2).float()
    cover = torch.from_numpy(np.stack([view.cover for view in views]))
    weight = torch.from_numpy(np.stack([view.weight for view in views]))
    return (rgb - NanoSam.pixel_mean[0]) / NanoSam.pixel_std[0], cover, weight


def best_iou(logits: Tensor, predicted: Tensor, cover: Tensor, weight: Tensor) -> Tensor:
    """IoU of the mask that the model itself would keep: the one of the three with the highest predicted IoU."""
    rows = torch.arange(len(logits), device=logits.device)
    return iou(logits.detach(), cover, weight)[rows, 1 + predicted.detach()[:, 1:].argmax(1)]


if __name__ == "__main__":
    main()
