"""Fit the map that nano tells objects apart by: `python -m training.identity nano.safetensors --archive train.zip ...`.

The network stays as it is. Its features of every depth (`persam.sam.nano.levels`) go through one linear map. That
is fitted so that an object resembles itself in another view more than it resembles any other object, by the measure by
which finds are recognised (`persam.method.verify`). It starts at the features' principal directions.
"""

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from persam.eval.scores import area_under_roc
from persam.geometry import box_of
from persam.method.prototypes import Cells, likeness
from persam.method.verify import Portrait, mutual_likeness
from persam.sam.backbone import SamBackbone
from persam.sam.nano import IDENTITY_WIDTH, build
from training.scenes import CROWDS, Photos, draw_thing, moved, recolour
from training.train import save

HEAD = "image_encoder.identity.weight"
VIEWS = 4  # of an object: the photo, and three in which it is seen again
BATCH, LIKE = 32, 8  # objects a step, of which as many at a time are one another's like
NEIGHBOURS = 30
FIELDS = ("step", "loss", "held_out_auroc")


@dataclass(frozen=True)
class Sights:
    """Objects in several views each: the features of a view's parts at every depth (n 664), and their colours (n 3)."""

    views: list[list[Cells]]

    def kinds(self) -> Tensor:
        """A unit vector an object: its mean features beside the mean object's."""
        mean = torch.stack([F.normalize(views[0].features.float().mean(0), dim=0) for views in self.views])
        return F.normalize(mean - mean.mean(0), dim=1)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path, help="a nano.safetensors; it may be without the map")
    parser.add_argument("--archive", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the same weights with the map")
    parser.add_argument("--log", type=Path, required=True, help="CSV of the fit")
    parser.add_argument("--objects", type=int, default=1500)
    parser.add_argument("--held-out-objects", type=int, default=160)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    weights = load_file(options.weights)
    backbone = bare(weights)
    seen = gather(backbone, Photos(options.archive, held_out=False), options.objects, seed=options.seed)
    unseen = gather(backbone, Photos(options.archive, held_out=True), options.held_out_objects, seed=options.seed)
    head = fit(seen, unseen, steps=options.steps, lr=options.lr, seed=options.seed, log=options.log)
    save(weights | {HEAD: head[..., None, None]}, options.out)


def bare(weights: dict[str, Tensor]) -> SamBackbone:
    """nano whose map is left out, so that cells are compared by the features that would go into it."""
    model = build()
    model.load_state_dict({name: value.float() for name, value in weights.items()} | {HEAD: model.state_dict()[HEAD]})
    model.image_encoder.identity = nn.Identity()
    return SamBackbone(model.to(memory_format=torch.channels_last), name="nano", fingerprint="bare")


@torch.inference_mode()
def gather(backbone: SamBackbone, photos: Photos, count: int, *, seed: int) -> Sights:
    """Things of as many photos, close up as `Portrait` sees them. The n-th depends on the seed and n alone."""
    found: list[list[Cells]] = []
    number = 0
    while len(found) < count:
        rng = np.random.default_rng([seed, number])
        number += 1
        rgb, mask = draw_thing(photos, rng, CROWDS, smallest=0.015)
        views = [(rgb, mask), *(seen_again(rgb, mask, rng) for _ in range(VIEWS - 1))]
        portraits = [Portrait.of(backbone, *view) for view in views]
        parts = [Cells(one.features.half(), one.colours) for one in portraits if one is not None]
        if len(parts) == VIEWS:
            found.append(parts)
            if len(found) % 100 == 0:
                print(f"{len(found)} objects", flush=True)
    return Sights(found)


def seen_again(rgb: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The object from another side, as far as a flat photo has one: photo (h w 3) and mask (h w, bool).

    Turned, sheared, stretched and in perspective, perhaps mirrored, smaller, partly hidden, roughly masked, recoloured,
    blurred and compressed.
    """
    x0, y0, x1, y1 = box_of(mask)
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)
    angle = np.deg2rad(rng.normal(0, 10))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shear = np.array([[1, rng.normal(0, 0.15)], [0, 1]])
    stretch = np.diag(np.exp(rng.normal(0, 0.15, 2)) * [rng.choice([-1, 1]), 1])
    moved_to = (corners - corners.mean(0)) @ (turn @ shear @ stretch).T
    moved_to += rng.normal(0, 0.06 * max(x1 - x0, y1 - y0), (4, 2))
    if rng.random() < 0.6:
        moved_to *= np.exp(rng.uniform(np.log(0.25), 0))
    side = int(max(3.2 * np.abs(moved_to).max(), 40))
    place = cv2.getPerspectiveTransform(corners, (moved_to + side / 2).astype(np.float32))
    picture = cv2.warpPerspective(np.ascontiguousarray(rgb), place, (side, side), borderMode=cv2.BORDER_REPLICATE)
    shown = cv2.warpPerspective(mask.astype(np.float32), place, (side, side)) > 0.5
    for change in (_partly_hidden, _roughly_masked):
        changed = change(shown, rng) if shown.any() and rng.random() < 0.4 else shown
        shown = changed if changed.any() else shown
    picture = recolour(picture, rng)
    if rng.random() < 0.25:
        picture = moved(picture, rng)
    if rng.random() < 0.3:
        _, file = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 80))])
        picture = cv2.imdecode(file, cv2.IMREAD_COLOR)
    return picture, shown


def _partly_hidden(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    x0, y0, x1, y1 = box_of(mask)
    left, across = mask.copy(), rng.integers(2)
    first, last = (x0, x1) if across else (y0, y1)
    cut = round((last - first) * rng.uniform(0.15, 0.45))
    gone = slice(first, first + cut) if rng.random() < 0.5 else slice(last - cut, last)
    left[(slice(None), gone) if across else gone] = False
    return left


def _roughly_masked(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    reach = max(1, int(0.02 * np.sqrt(mask.sum())))
    change = cv2.erode if rng.random() < 0.4 else cv2.dilate
    return change(mask.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0


def fit(seen: Sights, unseen: Sights, *, steps: int, lr: float, seed: int, log: Path) -> Tensor:
    """The map, 128 x 664: an object's views against each other's and against those of objects most like it."""
    torch.manual_seed(seed)
    head = nn.Parameter(principal_directions(seen))
    scale, offset = nn.Parameter(torch.tensor(3.0)), nn.Parameter(torch.tensor(0.15))
    optimizer = torch.optim.Adam([{"params": [head], "share": lr}, {"params": [scale, offset], "share": 1e-2}])
    losses: list[float] = []
    rows = [{"step": 0, "held_out_auroc": auroc(head, unseen)}]
    print(rows[-1], flush=True)
    for step, batch in enumerate(_batches(seen, np.random.default_rng(seed), steps)):
        for group in optimizer.param_groups:
            group["lr"] = group["share"] * 0.5 * (1 + np.cos(np.pi * step / steps))
        first, second = np.random.default_rng([seed, step]).permutation(VIEWS)[:2]
        logits = scale.exp() * (_resemblances(head, seen, batch, first, second) - offset)
        same = torch.eye(len(batch), dtype=torch.bool)
        different = F.softplus(logits[~same])
        loss = F.softplus(-logits[same]).mean() + different.topk(max(1, len(different) // 8)).values.mean()
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss.item()} at step {step}")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % 50 == 0 or step + 1 == steps:
            row = {"step": step + 1, "loss": round(float(np.mean(losses[-50:])), 4)}
            rows.append(row | {"held_out_auroc": auroc(head, unseen)})
            print(rows[-1], flush=True)
    with log.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)
    return head.detach()


def principal_directions(seen: Sights) -> Tensor:
    """Where the map starts: it leaves out the directions in which features vary least."""
    features = torch.cat([views[0].features.float() for views in seen.views])
    _, directions = torch.linalg.eigh((features.T @ features).double())
    return directions.float().T.flip(0)[:IDENTITY_WIDTH].contiguous()


@torch.no_grad()
def auroc(head: Tensor, sights: Sights) -> float:
    """How well resemblance tells an object in another view from objects most like it."""
    same, different = [], []
    for batch in _batches(sights, np.random.default_rng(0), steps=12):
        for first, second in ((0, 1), (2, 3)):
            resemblances = _resemblances(head, sights, batch, first, second)
            own = torch.eye(len(batch), dtype=torch.bool)
            same += resemblances[own].tolist()
            different += resemblances[~own].tolist()
    held = [True] * len(same) + [False] * len(different)
    return round(area_under_roc(same + different, held) or 0.0, 4)


def _batches(sights: Sights, rng: np.random.Generator, steps: int) -> Iterator[list[int]]:
    """Objects in groups of those that are most like each other: the hardest to tell apart."""
    kinds = sights.kinds()
    alike = (kinds @ kinds.T).fill_diagonal_(-1)
    near = alike.topk(min(NEIGHBOURS, len(kinds) - 1)).indices
    for _ in range(steps):
        batch: dict[int, None] = {}
        while len(batch) < min(BATCH, len(kinds)):
            one = int(rng.integers(len(kinds)))
            group = [one, *near[one][rng.permutation(near.shape[1])[: LIKE - 1]].tolist()]
            batch |= dict.fromkeys(group)
        yield list(batch)[:BATCH]


def _resemblances(head: Tensor, sights: Sights, batch: list[int], first: int, second: int) -> Tensor:
    """Of every object's first view to every object's second: b x b."""
    rows, columns = ([sights.views[one][view] for one in batch] for view in (first, second))
    known, found = (_through(head, Cells.joined(views)) for views in (rows, columns))
    heights, widths = ([len(view.features) for view in views] for views in (rows, columns))
    blocks = likeness(known, found.features, found.colours).split(heights)
    between = torch.stack([mutual_likeness(block) for row in blocks for block in row.split(widths, 1)])
    within = [
        torch.stack([mutual_likeness(likeness(one, one.features, one.colours)) for one in _split(cells, sizes)])
        for cells, sizes in ((known, heights), (found, widths))
    ]
    return between.view(len(batch), len(batch)) / (within[0][:, None] * within[1]).sqrt()


def _split(cells: Cells, sizes: list[int]) -> list[Cells]:
    parts = zip(cells.features.split(sizes), cells.colours.split(sizes), strict=True)
    return [Cells(features, colours) for features, colours in parts]


def _through(head: Tensor, cells: Cells) -> Cells:
    return Cells(F.normalize(cells.features.float() @ head.T, dim=1), cells.colours)


if __name__ == "__main__":
    main()
