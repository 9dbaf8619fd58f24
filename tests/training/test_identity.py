"""The identity map: what it is fitted on, that fitting helps, what the program leaves."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from persam.method.verify import IdentityDescriptor
from persam.sam import nano
from tests.training.conftest import PHOTOS, picture
from training import identity
from training.archive import Photos
from training.identity import HEAD, VIEWS, Objects


def described(features: torch.Tensor) -> IdentityDescriptor:
    count = len(features)
    image = torch.zeros(count, dtype=torch.long)
    return IdentityDescriptor(features.half(), torch.zeros(count, 3), image, image.bool())


def objects(count: int = 16) -> Objects:
    """Objects that differ a little in a few channels, and in every view and part much in others."""
    random = torch.Generator().manual_seed(0)
    own = torch.zeros(count, sum(nano.LEVELS))
    own[:, 200:208] = torch.randn(count, 8, generator=random)
    views = []
    for one in own:
        parts = [one.repeat(5, 1) for _ in range(VIEWS)]
        for part in parts:
            part[:, :40] = torch.randn(5, 40, generator=random)
        views.append([described(F.normalize(part, dim=1)) for part in parts])
    return Objects(views)


@pytest.mark.slow
def test_fitting_tells_apart_what_the_start_mixes_up(tmp_path):
    seen = objects()
    before = identity.auroc(identity.principal_directions(seen), seen)
    head = identity.fit(seen, seen, steps=60, lr=1e-2, seed=0, log=tmp_path / "log.csv")
    assert head.shape == (nano.IDENTITY_WIDTH, sum(nano.LEVELS))
    after = identity.auroc(head, seen)
    assert before < 0.85
    assert after > 0.97
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["0", "50", "60"]
    assert [float(rows[0]["held_out_auroc"]), float(rows[-1]["held_out_auroc"])] == [before, after]
    assert float(rows[2]["loss"]) < float(rows[1]["loss"])


def test_the_start_keeps_the_directions_in_which_features_vary_most():
    seen = objects()
    start = identity.principal_directions(seen)
    assert start.shape == (nano.IDENTITY_WIDTH, sum(nano.LEVELS))
    features = torch.cat([views[0].features.float() for views in seen.views])
    # they vary in 48 directions, fewer than the map has: all lengths and angles are kept
    torch.testing.assert_close((features @ start.T) @ (features @ start.T).T, features @ features.T, rtol=0, atol=1e-3)


def test_the_objects_of_a_batch_are_look_alikes():
    random = torch.Generator().manual_seed(1)
    classes = F.normalize(torch.randn(4, sum(nano.LEVELS), generator=random), dim=1).repeat_interleave(40, 0)
    features = F.normalize(classes + 0.005 * torch.randn(160, sum(nano.LEVELS), generator=random), dim=1)
    seen = Objects([[described(one[None])] * VIEWS for one in features])
    batches = list(identity._batches(seen, np.random.default_rng(0), 20))
    assert all(len(set(batch)) == len(batch) == identity.BATCH for batch in batches)
    same_class = [np.mean([(np.array(batch) // 40 == one // 40).sum() - 1 for one in batch]) for batch in batches]
    assert np.mean(same_class) > 1.3 * 39 * 31 / 159  # any 32 of the 160 have 7.6 of their class among them


@pytest.mark.slow
def test_what_is_gathered_depends_on_the_seed_alone(archive):
    backbone = identity.bare(nano.build().state_dict())
    photos = Photos([archive], held_out=False)
    first, again, other = (identity.gather(backbone, photos, 1, seed=seed) for seed in (0, 0, 1))
    assert [len(views) for views in first.views] == [VIEWS]
    for one, same in zip(first.views[0], again.views[0], strict=True):
        assert torch.equal(one.features, same.features)
    assert one.features.shape[1] == sum(nano.LEVELS)
    assert not torch.equal(first.views[0][1].features[:1], other.views[0][1].features[:1])


def run_program(weights: dict[str, torch.Tensor], archive: Path, folder: Path) -> dict[str, torch.Tensor]:
    """The weights that the program leaves."""
    save_file(weights, folder / "before.safetensors")
    out, log = folder / "nano.safetensors", folder / "log.csv"
    options = ["--archive", archive, "--out", out, "--log", log, "--objects", 3, "--held-out-objects", 2]
    identity.main(list(map(str, [folder / "before.safetensors", *options, "--steps", 2, "--threads", 1])))
    assert len(log.read_text().splitlines()) == 3
    return load_file(out)


@pytest.mark.slow
def test_the_program_adds_a_map_to_weights_without_one(archive, tmp_path):
    weights = {name: value.half() for name, value in nano.build().state_dict().items() if name != HEAD}
    found = run_program(weights, archive, tmp_path)
    assert found.keys() == {*weights, HEAD}
    assert torch.isfinite(found[HEAD]).all()
    nano.from_tensors(found)


def test_the_program_replaces_the_map_and_changes_nothing_else(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "gather", lambda backbone, photos, count, *, seed: objects(count))
    weights = {name: value.half() for name, value in nano.build().state_dict().items()}
    found = run_program(weights, archive, tmp_path)
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], value) for name, value in weights.items() if name != HEAD)
    assert found[HEAD].shape == weights[HEAD].shape
    assert not torch.equal(found[HEAD], weights[HEAD])


@torch.inference_mode()
def test_without_the_map_patches_are_compared_by_hypercolumns(archive):
    embedding = identity.bare(nano.build().state_dict()).encode([picture(PHOTOS[0])])
    assert embedding.location is not None
    assert embedding.identity is not None
    assert torch.equal(embedding.identity, embedding.location)


def test_numbers_that_are_wrong_end_the_fit(tmp_path):
    broken = objects(4)
    for views in broken.views:
        views[1].features[:] = float("nan")
    with pytest.raises(FloatingPointError, match="the loss is nan at step"):
        identity.fit(broken, objects(4), steps=9, lr=1e-2, seed=0, log=tmp_path / "log.csv")
