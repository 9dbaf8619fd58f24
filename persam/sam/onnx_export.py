"""From a model to a folder that ONNX Runtime can serve, checked against PyTorch before it appears."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from persam.errors import WeightsError
from persam.sam.backbone import SamBackbone
from persam.sam.decoder import NO_GUIDANCE, Guidance
from persam.sam.onnx_backbone import FORMAT, SETTINGS, OnnxBackbone
from persam.sam.onnx_graph import write_decoder, write_encoder
from persam.types import ImageEmbedding, Prompt

TOLERANCE = 1e-3  # largest difference, over the largest value of its map: other kernels sum in another order
ENCODED = ("features", "location", "identity")


class Difference(NamedTuple):
    """How far an exported model is from the one it was made of: the largest, over the largest value of its map."""

    encoder: float
    decoder: float


def export_backbone(backbone: SamBackbone, folder: Path) -> Difference:
    """What `OnnxBackbone` reads, in a folder that is there and empty.

    Raises:
        WeightsError: what ONNX Runtime computes differs from what PyTorch computes.
        PerSAMError: onnx or onnxruntime is not installed.
    """
    maps = write_encoder(backbone, folder)
    write_decoder(backbone, folder, maps)
    mean, std = (torch.as_tensor(one, dtype=torch.float64).flatten().tolist() for one in backbone.normalisation)
    settings = {
        "format": FORMAT,
        "name": backbone.name,
        "fingerprint": backbone.fingerprint,
        "weights": backbone.weights,
        "input_size": backbone.input_size,
        "stride": backbone.stride,
        "batch_size": backbone.batch_size,
        "any_size": backbone.any_size,
        "pixel_mean": mean,
        "pixel_std": std,
        "maps": list(maps),
        "files": {path.name: path.stat().st_size for path in sorted(folder.iterdir())},
        "torch": torch.__version__,
    }
    text = json.dumps(settings, indent=2) + "\n"
    (folder / SETTINGS).write_text(text, encoding="utf-8")
    difference = compare(backbone, OnnxBackbone(folder))
    if not max(difference) <= TOLERANCE:  # so that NaN is refused too
        raise WeightsError(
            f"the export of {backbone.name} differs from the model: by {difference.encoder:.1e} of a map's largest "
            f"value in the encoder and {difference.decoder:.1e} in the decoder, where {TOLERANCE:.0e} is allowed. "
            "Nothing was kept. Export with the versions of torch, onnx and onnxruntime that constraints.txt names."
        )
    return difference


def compare(backbone: SamBackbone, exported: OnnxBackbone) -> Difference:
    """The largest differences over photos of two shapes, every kind of prompt, and two input sizes if it has them."""
    encoder, decoder = [0.0], [0.0]
    size = backbone.input_size
    for side in (size, size // 2 // backbone.stride * backbone.stride) if backbone.any_size else (size,):
        ours, theirs = backbone.at_input(side), exported.at_input(side)
        photos = [_photo(side, side // 2), _photo(side // 3, side // 2)]
        one, other = ours.encode(photos), theirs.encode(photos)
        encoder += [_difference(getattr(one, name), getattr(other, name)) for name in ENCODED]
        encoder += [_difference(*pair) for pair in zip(one.fine or (), other.fine or (), strict=True)]
        for prompt, guidance in _questions(one):
            asked = one if len(prompt) == len(photos) else one[0]
            expected, found = ours.decode(asked, prompt, guidance), theirs.decode(asked.to("cpu"), prompt, guidance)
            decoder.append(_difference(expected.logits, found.logits))
            decoder.append(_difference(expected.predicted_iou, found.predicted_iou))
    return Difference(_worst(encoder), _worst(decoder))


def _photo(height: int, width: int) -> np.ndarray:
    """Blobs and edges, not noise: the same every time."""
    down, across = np.mgrid[0:height, 0:width].astype(np.float32)
    waves = [np.sin(down / (9 + 4 * band)) * np.cos(across / (7 + 5 * band)) for band in range(3)]
    disc = (down - height / 2) ** 2 + (across - width / 3) ** 2 < (min(height, width) / 4) ** 2
    return np.clip(128 + 90 * np.stack(waves, axis=-1) + 30 * disc[..., None], 0, 255).astype(np.uint8)


def _questions(embedding: ImageEmbedding) -> Iterator[tuple[Prompt, Guidance]]:
    """Points, boxes, a mask alone, and everything with guidance: of one row, two and three."""
    side, channels = embedding.features.shape[-1], embedding.features.shape[1]
    draw = torch.Generator().manual_seed(0)
    extent = float(min(embedding.frames[0].original_hw))

    def drawn(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=draw)

    corners = extent * (drawn(2, 4) + torch.tensor([0.0, 0.0, 1.0, 1.0])) / 2
    masks = 16 * drawn(2, 1, 4 * side, 4 * side) - 8
    device = embedding.device
    guidance = Guidance(drawn(2, side, side).to(device), (2 * drawn(2, channels) - 1).to(device))
    yield Prompt(extent * drawn(1, 1, 2), torch.ones(1, 1)), NO_GUIDANCE
    yield Prompt(extent * drawn(3, 4, 2), torch.tensor([[1.0, 0, 0, 1]]).expand(3, 4)), NO_GUIDANCE
    yield Prompt(box_xyxy=corners), Guidance(attention=guidance.attention)
    yield Prompt(mask_logits=masks), Guidance(semantic=guidance.semantic)
    yield Prompt(extent * drawn(2, 2, 2), torch.tensor([[1.0, 0]]).expand(2, 2), corners, masks), guidance


def _difference(one: torch.Tensor | None, other: torch.Tensor | None) -> float:
    if one is None or other is None:
        return 0.0 if one is other else float("inf")
    one = one.cpu()
    return float((one - other).abs().max() / one.abs().max().clamp(min=1e-12))


def _worst(values: list[float]) -> float:
    return float(np.max(values))  # NaN where one is, unlike max()
