"""Fit nano's identity map: `python -m training.identity nano.safetensors --archive train.zip --out ... --log ...`.

The rest of the network stays as it is. Its hypercolumns (`persam.sam.nano.hypercolumns`) go through one linear map,
fitted so that an object is more similar to itself in another view than to any other object, by the measure that
verifies finds (`persam.method.verify`). The map starts at the features' principal directions.
"""

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from persam.eval.scores import area_under_roc
from persam.method.calibration import Calibration
from persam.method.prototypes import Patches, patch_similarity
from persam.method.verify import IdentityDescriptor, describe, mutual_similarity
from persam.sam.backbone import SamBackbone
from persam.sam.nano import IDENTITY_WIDTH, build, from_tensors
from training.archive import Photos
from training.augment import other_view
from training.mix import EVERYDAY
from training.scenes import draw_object
from training.weights import save

HEAD = "image_encoder.identity.weight"
VIEWS = 4  # of an object: the photo, and three other views of it, or of another photo in turn with it
BATCH, LOOK_ALIKES = 32, 8  # objects a step, drawn in groups of so many look-alikes
NEIGHBOURS = 30
FIELDS = ("step", "loss", "held_out_auroc")
CALIBRATION = Calibration("bare")  # the starting values: nothing is calibrated before the map is there


@dataclass(frozen=True)
class Objects:
    """Identity descriptors of objects, several views each, by hypercolumns (n 664, half precision)."""

    views: list[list[IdentityDescriptor]]

    def appearances(self) -> Tensor:
        """For each object a unit vector: its mean feature, less the mean of all objects'."""
        mean = torch.stack([F.normalize(views[0].features.float().mean(0), dim=0) for views in self.views])
        return F.normalize(mean - mean.mean(0), dim=1)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path, help="a nano.safetensors; it may be without the map")
    parser.add_argument("--archive", type=Path, nargs="+", required=True)
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
    """nano without the map, so that patches are compared by the features that would go into it."""
    model = from_tensors(weights | {HEAD: build().state_dict()[HEAD]})
    model.image_encoder.register_module("identity", nn.Identity())
    return SamBackbone(model, name="nano", fingerprint=CALIBRATION.fingerprint)


@torch.inference_mode()
def gather(backbone: SamBackbone, photos: Photos, count: int, *, seed: int) -> Objects:
    """Things of as many photos, as verification describes them. The n-th depends on the seed and n alone."""
    found: list[list[IdentityDescriptor]] = []
    number = 0
    while len(found) < count:
        rng = np.random.default_rng([seed, number])
        number += 1
        photographed = draw_object(photos, rng, EVERYDAY, smallest=0.015)
        views = [photographed[0], *(other_view(*photographed[i % len(photographed)], rng) for i in range(1, VIEWS))]
        described = [one for one in describe(backbone, views, CALIBRATION) if one is not None]
        if len(described) == VIEWS:
            found.append([replace(one, features=one.features.half()) for one in described])
            if len(found) % 100 == 0:
                print(f"{len(found)} objects", flush=True)
    return Objects(found)


def fit(seen: Objects, unseen: Objects, *, steps: int, lr: float, seed: int, log: Path) -> Tensor:
    """The map (128 664), by which an object's views are more similar to each other than to its look-alikes' views."""
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
        logits = scale.exp() * (_similarities(head, seen, batch, first, second) - offset)
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


def principal_directions(seen: Objects) -> Tensor:
    """Where the map starts: it leaves out the directions in which features vary least."""
    features = torch.cat([views[0].features.float() for views in seen.views])
    _, directions = torch.linalg.eigh((features.T @ features).double())
    return directions.float().T.flip(0)[:IDENTITY_WIDTH].contiguous()


@torch.no_grad()
def auroc(head: Tensor, objects: Objects) -> float:
    """How well identity similarity tells an object in another view from its look-alikes."""
    same: list[float] = []
    different: list[float] = []
    for batch in _batches(objects, np.random.default_rng(0), steps=12):
        for first, second in ((0, 1), (2, 3)):
            similarities = _similarities(head, objects, batch, first, second)
            own = torch.eye(len(batch), dtype=torch.bool)
            same += similarities[own].tolist()
            different += similarities[~own].tolist()
    held = [True] * len(same) + [False] * len(different)
    return round(area_under_roc(same + different, held) or 0.0, 4)


def _batches(objects: Objects, rng: np.random.Generator, steps: int) -> Iterator[list[int]]:
    """Numbers of objects, in groups of look-alikes: the hardest to tell apart."""
    appearances = objects.appearances()
    similarity = (appearances @ appearances.T).fill_diagonal_(-1)
    near = similarity.topk(min(NEIGHBOURS, len(appearances) - 1)).indices
    for _ in range(steps):
        batch: dict[int, None] = {}
        while len(batch) < min(BATCH, len(appearances)):
            one = int(rng.integers(len(appearances)))
            group = [one, *near[one][rng.permutation(near.shape[1])[: LOOK_ALIKES - 1]].tolist()]
            batch |= dict.fromkeys(group)
        yield list(batch)[:BATCH]


def _similarities(head: Tensor, objects: Objects, batch: list[int], first: int, second: int) -> Tensor:
    """Identity similarity of every object's first view to every object's second (b b), with gradients."""
    rows, columns = ([objects.views[one][view] for one in batch] for view in (first, second))
    known, found = _mapped(head, rows), _mapped(head, columns)
    (heights, known_parts), (widths, found_parts) = _split(known, rows), _split(found, columns)
    blocks = _similarity(known, found).split(heights)
    between = [mutual_similarity(block, CALIBRATION.choice) for row in blocks for block in row.split(widths, 1)]
    here, there = (
        torch.stack([mutual_similarity(_similarity(one, one), CALIBRATION.choice) for one in parts])
        for parts in (known_parts, found_parts)
    )
    return torch.stack(between).view(len(batch), len(batch)) / (here[:, None] * there).sqrt()


def _mapped(head: Tensor, descriptors: list[IdentityDescriptor]) -> IdentityDescriptor:
    """All the descriptors' parts as one, by the map's features."""
    joined = IdentityDescriptor.joined(descriptors)
    return replace(joined, features=F.normalize(joined.features.float() @ head.T, dim=1))


def _split(
    joined: IdentityDescriptor, descriptors: list[IdentityDescriptor]
) -> tuple[list[int], list[IdentityDescriptor]]:
    """How many parts each of the descriptors has, and these parts of the joined one."""
    sizes = [len(one.features) for one in descriptors]
    parts = zip(
        *(values.split(sizes) for values in (joined.features, joined.colours, joined.image, joined.afar)), strict=True
    )
    return sizes, [IdentityDescriptor(*part) for part in parts]


def _similarity(known: IdentityDescriptor, found: IdentityDescriptor) -> Tensor:
    return patch_similarity(Patches(known.features, known.colours), found.features, found.colours)


if __name__ == "__main__":
    main()
