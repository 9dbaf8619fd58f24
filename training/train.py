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
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from persam.sam.decoder import NO_GUIDANCE
from persam.sam.nano import WIDTH, NanoSam, build
from training import prompts
from training.held_out import best_iou, held_out, stack
from training.objectives import LocationLoss, Strangers, identity_loss, segmentation_loss
from training.scenes import ANY, CROWDS, RIDERS, SINGLES, THINGS, Mix, Photos, draw_scene

OBJECTS = 3
# input size: (share of the steps, scenes a step); a scene is two views
SIZES = {256: (0.3, 6), 320: (0.35, 4), 384: (0.2, 3), 512: (0.15, 2)}
LAST_SIZES = {256: (0.1, 6), 320: (0.2, 4), 384: (0.3, 3), 512: (0.4, 2)}  # nearer to use
LARGE_SIZES = {384: (0.15, 3), 512: (0.35, 2), 640: (0.5, 2)}  # as in use


@dataclass(frozen=True)
class Lesson:
    """What the steps from one share of a run to the next draw, and how the further losses weigh.

    identity: objects must differ from each other, not only from the ground. strangers: and from those of earlier steps.
    official: how often a concept's prompt goes on as in the official code, from the single mask, in three rounds.
    misplaced: how often guidance after the softmax is stretched as it does (ledger 3). inner: whether the peak of the
    similarity should lie well inside the object.
    """

    mix: Mix
    sizes: Mapping[int, tuple[float, int]]
    prompts: Mapping[str, float]
    identity: float = 0.0
    strangers: float = 0.0
    official: float = 0.0
    misplaced: float = 0.0
    inner: bool = False


_ANY = Lesson(ANY, SIZES, prompts.FIRST_PROMPTS)
_SINGLES = Lesson(SINGLES, SIZES, prompts.FIRST_PROMPTS, identity=0.3)
_CROWDS = Lesson(
    CROWDS, LAST_SIZES, prompts.FIRST_PROMPTS_OF_CONCEPTS, identity=0.3, strangers=0.2, official=0.6, misplaced=0.5
)
_RIDERS = replace(_CROWDS, mix=RIDERS)
_INNER = replace(_RIDERS, prompts=prompts.FIRST_PROMPTS_OF_RIDERS, inner=True)
# from this share of the run on
COURSES = {
    "first": {
        0.0: _ANY,
        4 / 15: replace(_ANY, identity=0.3),
        1 / 3: _SINGLES,
        0.8: replace(_SINGLES, sizes=LAST_SIZES),
    },
    "second": {0.0: _CROWDS},
    "third": {0.0: _RIDERS, 0.5: _INNER},
    "fourth": {0.0: replace(_INNER, sizes=LARGE_SIZES)},
}
FIELDS = ("step", "seconds", "loss", "identity", "strangers", "train_iou", "train_peak", "point_iou", "box_iou", "peak")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archive", type=Path, required=True)
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
    model, location = build().train().to(options.device), LocationLoss().to(options.device)
    model = model.to(memory_format=torch.channels_last)  # a depthwise convolution's backward is three times as fast
    strangers = Strangers(WIDTH).to(options.device)
    if options.start:
        load_start(model, options.start)
    average = copy.deepcopy(model)
    groups = [
        {"params": list(model.image_encoder.back.parameters()), "share": 0.3},
        {"params": list(model.image_encoder.neck.parameters()), "share": 1.0},
        {"params": [*model.prompt_encoder.parameters(), *model.mask_decoder.parameters()], "share": 1.0},
        {"params": list(location.parameters()), "share": 10.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=options.lr, weight_decay=0.01)
    parts = {"model": model, "average": average, "location": location, "strangers": strangers, "optimizer": optimizer}
    step, seconds = 0, 0.0
    running: dict[str, float] = {}
    if (options.out / "last.pt").exists():
        saved = torch.load(options.out / "last.pt", map_location=options.device, weights_only=True)
        step, seconds, running = saved["step"], saved["seconds"], saved.get("running", {})
        for name, part in parts.items():
            part.load_state_dict(saved[name])
    while step < options.steps:
        started = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = options.lr * group["share"] * schedule(step, options.steps)
        rng = np.random.default_rng([options.seed, step])  # a step's data depend on nothing but its number
        lesson = lesson_at(options.course, step / options.steps)
        numbers = train_step(model, location, strangers, optimizer, photos, rng, lesson)
        decay = min(0.998, (1 + step) / (10 + step))
        with torch.no_grad():
            for mean, now in zip(average.parameters(), model.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)
        step += 1
        seconds += time.perf_counter() - started
        for name, value in numbers.items():
            if not math.isnan(value):
                running[name] = value if name not in running else 0.98 * running[name] + 0.02 * value
        if step % 20 == 0:
            print(step, f"{seconds:.0f}s", {name: round(value, 4) for name, value in running.items()}, flush=True)
        if step % options.eval_every == 0 or step == options.steps:
            row = {"step": step, "seconds": round(seconds), **running, **held_out(average, options.archive)}
            log(options.out / "log.csv", row)
            print(row, flush=True)
            for name in ("nano", f"nano_{step}"):
                save(average.state_dict(), options.out / f"{name}.safetensors")
            state = {name: part.state_dict() for name, part in parts.items()}
            torch.save({"step": step, "seconds": seconds, "running": running, **state}, options.out / "last.tmp")
            (options.out / "last.tmp").replace(options.out / "last.pt")


def schedule(step: int, steps: int) -> float:
    """Linear warm-up over 60 steps, then half a cosine down to 1 %."""
    return min(1.0, (step + 1) / 60) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def lesson_at(course: str, progress: float) -> Lesson:
    return [lesson for start, lesson in COURSES[course].items() if start <= progress][-1]


def train_step(model, location, strangers, optimizer, photos, rng, lesson: Lesson) -> dict[str, float]:
    device = next(model.parameters()).device
    size = int(rng.choice(list(lesson.sizes), p=[share for share, _ in lesson.sizes.values()]))
    scene = {"size": size, "objects": OBJECTS, "mix": lesson.mix}
    views = [view for _ in range(lesson.sizes[size][1]) for view in draw_scene(photos, rng, **scene)]
    rgb, cover, weight = (part.to(device) for part in stack(views))
    partner = torch.arange(len(views), device=device) ^ 1
    prompts.set_input_size(model, size)
    maps = model.image_encoder(rgb)[:3]
    cells, cell_weight = F.avg_pool2d(cover, 4), F.avg_pool2d(weight[:, None], 4)[:, 0]
    twin = torch.tensor([view.twin for view in views], device=device)
    location_loss, peak = location(maps[0], cells, cell_weight, partner, twin, inner=lesson.inner)
    segmentation, ious = [], []
    order = torch.from_numpy(rng.permutation(len(views))).to(device)
    for group in order.chunk(2):
        first = draw(lesson.prompts, rng)
        official = first == "concept" and lesson.official > 0 and rng.random() < lesson.official
        following = ["same", "predicted_box"] if official else [draw(prompts.NEXT_PROMPTS, rng)]
        rows = [m[group].repeat_interleave(OBJECTS, 0) for m in maps]
        truth, counted = cover[group].flatten(0, 1), weight[group].repeat_interleave(OBJECTS, 0)
        seen = (truth > 0.5).sum((1, 2)) >= 6
        other = partner[group]
        prompt, guidance = prompts.first_prompt(
            first, cover[group], maps[0][group], maps[0][other], cells[other], rng, misplaced=lesson.misplaced
        )
        for turn in range(1 + len(following)):
            logits, predicted = prompts.decode(model, rows, prompt, guidance if turn == 0 else NO_GUIDANCE)
            loss = segmentation_loss(logits, predicted, truth, counted)
            segmentation.append(loss[seen])
            if turn < len(following):
                single = official and turn == 0
                prompt = prompts.next_prompt(following[turn], prompt, logits, predicted, truth, rng, from_single=single)
        ious.append(best_iou(logits, predicted, truth, counted)[seen])
    loss = torch.cat(segmentation).mean() + 0.5 * location_loss
    identity = stranger = loss.new_zeros(())
    if lesson.identity:
        identity = identity_loss(maps[0], cells, partner)
    if lesson.strangers:
        photo = torch.tensor([zlib.crc32(view.photo.id.encode()) for view in views], device=device)
        thing = torch.tensor([view.photo.source in THINGS for view in views], device=device)
        stranger = strangers(maps[0], cells, partner, photo, thing)
    loss = loss + lesson.identity * identity + lesson.strangers * stranger
    if not torch.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss.item()} at input size {size}")
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 1.0)
    optimizer.step()
    return {
        "loss": loss.item(),
        "train_iou": torch.cat(ious).mean().item(),
        "train_peak": peak.item(),
        "identity": identity.item(),
        "strangers": stranger.item(),
    }


def draw(shares: Mapping[str, float], rng: np.random.Generator) -> str:
    return str(rng.choice(list(shares), p=list(shares.values())))


def load_start(model: NanoSam, path: Path) -> None:
    """A nano's weights; or, from a folder, MobileNetV2 from DeepLab and the feasibility run's neck and decoder."""
    if path.is_file():
        model.load_state_dict({name: value.float() for name, value in load_file(path).items()})
        return
    model.image_encoder.back.load_state_dict(load_file(path / "mobilenetv2_deeplab.safetensors"))
    head = {name: value.float() for name, value in load_file(path / "spike_head.safetensors").items()}
    for prefix, module in (
        ("neck.", model.image_encoder.neck),
        ("pe.", model.prompt_encoder),
        ("dec.", model.mask_decoder),
    ):
        part = {name.removeprefix(prefix): value for name, value in head.items() if name.startswith(prefix)}
        missing, unexpected = module.load_state_dict(part, strict=False)
        assert not unexpected, unexpected
        assert all(name.startswith("stride") for name in missing), missing
    for layer in (model.image_encoder.neck.stride8, model.image_encoder.neck.stride4):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)


def save(weights: Mapping[str, Tensor], path: Path) -> None:
    """Writes them in half precision, in one go."""
    save_file({name: value.half().contiguous() for name, value in weights.items()}, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


def log(path: Path, row: dict[str, float]) -> None:
    """Adds the row; rows of its step or later are from before an interruption, and are made again."""
    rows: list[dict] = []
    if path.exists():
        with path.open(newline="") as file:
            rows = [old for old in csv.DictReader(file) if int(old["step"]) < row["step"]]
    rows.append({name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()})
    with path.with_suffix(".tmp").open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)  # a number that no step has given yet stays blank
        writer.writeheader()
        writer.writerows(rows)
    path.with_suffix(".tmp").replace(path)


if __name__ == "__main__":
    main()
