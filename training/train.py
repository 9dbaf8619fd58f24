"""Train nano: `python -m training.train --archive train.zip --start DIR --out runs/first`; three courses more follow.

Resumes from `OUT/last.pt` (a step's data depend on its number alone, so a resumed run is the same run), adds
held-out numbers to `OUT/log.csv`, and the averaged weights in half precision to `OUT/nano.safetensors`. The run
that made the bundled model is described in `persam/models/NANO.md`.
"""

import argparse
import copy
import csv
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from persam.sam.decoder import NO_GUIDANCE
from persam.sam.nano import WIDTH, NanoSam, build
from training import prompts
from training.archive import Photos
from training.curriculum import COURSES, Stage, stage_at
from training.forward import DecoderMaps, decode, encode, set_input_size
from training.held_out import best_iou, held_out, stack
from training.mix import THINGS
from training.objectives import LocationLoss, Strangers, identity_loss, segmentation_loss
from training.scenes import draw_scene
from training.weights import load_start, save

OBJECTS = 3
FIELDS = ("step", "seconds", "loss", "identity", "strangers", "train_iou", "train_peak", "point_iou", "box_iou", "peak")


@dataclass(frozen=True)
class Parts:
    """What a run trains, and what else it needs to go on where it stopped."""

    model: NanoSam
    average: NanoSam
    location: LocationLoss
    strangers: Strangers
    optimizer: torch.optim.Optimizer

    @staticmethod
    def of(model: NanoSam, *, lr: float) -> "Parts":
        """The parts of a run that trains this model; they are where it is."""
        device = next(model.parameters()).device
        location, strangers = LocationLoss().to(device), Strangers(WIDTH).to(device)
        groups = [
            {"params": list(model.image_encoder.back.parameters()), "share": 0.3},
            {"params": list(model.image_encoder.neck.parameters()), "share": 1.0},
            {"params": [*model.prompt_encoder.parameters(), *model.mask_decoder.parameters()], "share": 1.0},
            {"params": list(location.parameters()), "share": 10.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=lr, weight_decay=0.01)
        return Parts(model, copy.deepcopy(model), location, strangers, optimizer)

    def states(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in vars(self).items()}

    def load(self, states: Mapping[str, Any]) -> None:
        for name, part in vars(self).items():
            part.load_state_dict(states[name])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archive", type=Path, nargs="+", required=True)
    parser.add_argument(
        "--start", type=Path, help="folder of the first course's starting points, or a nano.safetensors"
    )
    parser.add_argument("--course", choices=COURSES, default="first")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--lr", type=float, default=4e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--eval-every", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    train(parser.parse_args())


def train(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    photos = Photos(options.archive, held_out=False)
    Photos(options.archive, held_out=True)  # says now, not at the first evaluation, that there are none
    model = build().train().to(options.device)
    # a depthwise convolution's backward is three times as fast
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if options.start:
        load_start(model, options.start)
    parts = Parts.of(model, lr=options.lr)
    step, seconds = 0, 0.0
    running: dict[str, float] = {}
    if (options.out / "last.pt").exists():
        saved = torch.load(options.out / "last.pt", map_location=options.device, weights_only=True)
        step, seconds, running = saved["step"], saved["seconds"], saved.get("running", {})
        parts.load(saved)
    while step < options.steps:
        started = time.perf_counter()
        for group in parts.optimizer.param_groups:
            group["lr"] = options.lr * group["share"] * schedule(step, options.steps)
        rng = np.random.default_rng([options.seed, step])  # a step's data depend on nothing but its number
        numbers = train_step(parts, photos, rng, stage_at(options.course, step / options.steps))
        decay = min(0.998, (1 + step) / (10 + step))
        with torch.no_grad():
            for mean, now in zip(parts.average.parameters(), model.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)
        step += 1
        seconds += time.perf_counter() - started
        for name, value in numbers.items():
            if not math.isnan(value):
                running[name] = value if name not in running else 0.98 * running[name] + 0.02 * value
        if step % 20 == 0:
            print(step, f"{seconds:.0f}s", {name: round(value, 4) for name, value in running.items()}, flush=True)
        if step % options.eval_every == 0 or step == options.steps:
            row = {"step": step, "seconds": round(seconds), **running, **held_out(parts.average, options.archive)}
            log(options.out / "log.csv", row)
            print(row, flush=True)
            for name in ("nano", f"nano_{step}"):
                save(parts.average.state_dict(), options.out / f"{name}.safetensors")
            state = {"step": step, "seconds": seconds, "running": running, **parts.states()}
            torch.save(state, options.out / "last.tmp")
            (options.out / "last.tmp").replace(options.out / "last.pt")


def schedule(step: int, steps: int) -> float:
    """Linear warm-up over 60 steps, then half a cosine down to 1 %."""
    return min(1.0, (step + 1) / 60) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def train_step(parts: Parts, photos: Photos, rng: np.random.Generator, stage: Stage) -> dict[str, float]:
    """One step on scenes that `rng` draws; its loss and what that consists of."""
    model = parts.model
    device = next(model.parameters()).device
    size = int(rng.choice(list(stage.sizes), p=[share for share, _ in stage.sizes.values()]))
    scenes = [draw_scene(photos, rng, size=size, objects=OBJECTS, mix=stage.mix) for _ in range(stage.sizes[size][1])]
    views = [view for scene in scenes for view in scene.views]
    rgb, cover, weight = (part.to(device) for part in stack(views))
    partner = torch.arange(len(views), device=device) ^ 1
    set_input_size(model, size)
    maps = encode(model, rgb)
    patch_cover, patch_weight = F.avg_pool2d(cover, 4), F.avg_pool2d(weight[:, None], 4)[:, 0]
    twin = torch.tensor([view.twin for view in views], device=device)
    location_loss, peak = parts.location(maps.features, patch_cover, patch_weight, partner, twin, inner=stage.inner)
    segmentation, ious = [], []
    for group in torch.from_numpy(rng.permutation(len(views))).to(device).chunk(2):
        losses, iou = _ask(model, maps, cover, weight, partner, group, rng, stage)
        segmentation += losses
        ious.append(iou)
    loss = torch.cat(segmentation).mean() + 0.5 * location_loss
    identity = stranger = loss.new_zeros(())
    if stage.identity:
        identity = identity_loss(maps.features, patch_cover, partner)
    if stage.strangers:
        photo_of_view = [scene.photo for scene in scenes for _ in scene.views]
        photo = torch.tensor([photo.number for photo in photo_of_view], device=device)
        thing = torch.tensor([photo.source in THINGS for photo in photo_of_view], device=device)
        stranger = parts.strangers(maps.features, patch_cover, partner, photo, thing)
    loss = loss + stage.identity * identity + stage.strangers * stranger
    if not torch.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss.item()} at input size {size}")
    parts.optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_([p for group in parts.optimizer.param_groups for p in group["params"]], 1.0)
    parts.optimizer.step()
    return {
        "loss": loss.item(),
        "train_iou": torch.cat(ious).mean().item(),
        "train_peak": peak.item(),
        "identity": identity.item(),
        "strangers": stranger.item(),
    }


def _ask(
    model: NanoSam,
    maps: DecoderMaps,
    cover: Tensor,
    weight: Tensor,
    partner: Tensor,
    group: Tensor,
    rng: np.random.Generator,
    stage: Stage,
) -> tuple[list[Tensor], Tensor]:
    """Prompts every object of a group of views in two or three rounds: the losses of each, and the last one's IoU."""
    first = _drawn(stage.prompts, rng)
    official = first == "concept" and stage.official > 0 and rng.random() < stage.official
    following = ["same", "predicted_box"] if official else [_drawn(prompts.NEXT_PROMPTS, rng)]
    rows = maps.rows(group, OBJECTS)
    truth, counted = cover[group].flatten(0, 1), weight[group].repeat_interleave(OBJECTS, 0)
    seen = (truth > 0.5).sum((1, 2)) >= 6
    reference = partner[group]
    prompt, guidance = prompts.first_prompt(
        first,
        cover[group],
        maps.features[group],
        maps.features[reference],
        F.avg_pool2d(cover[reference], 4),
        rng,
        misplaced=stage.misplaced,
    )
    logits, predicted = decode(model, rows, prompt, guidance)
    losses = [segmentation_loss(logits, predicted, truth, counted)[seen]]
    for turn, kind in enumerate(following):
        single = official and turn == 0
        prompt = prompts.next_prompt(kind, prompt, logits, predicted, truth, rng, from_single=single)
        logits, predicted = decode(model, rows, prompt, NO_GUIDANCE)
        losses.append(segmentation_loss(logits, predicted, truth, counted)[seen])
    return losses, best_iou(logits, predicted, truth, counted)[seen]


def _drawn(shares: Mapping[str, float], rng: np.random.Generator) -> str:
    return str(rng.choice(list(shares), p=list(shares.values())))


def log(path: Path, row: Mapping[str, float]) -> None:
    """Adds the row; rows of its step or later are from before an interruption, and are made again."""
    rows: list[dict[str, str]] = []
    if path.exists():
        with path.open(newline="") as file:
            rows = [old for old in csv.DictReader(file) if int(old["step"]) < row["step"]]
    rows.append({name: str(round(value, 4)) for name, value in row.items()})
    with path.with_suffix(".tmp").open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)  # a number that no step has given yet stays blank
        writer.writeheader()
        writer.writerows(rows)
    path.with_suffix(".tmp").replace(path)


if __name__ == "__main__":
    main()
