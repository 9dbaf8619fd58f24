"""The map that objects are told apart by: what it is fitted on, that fitting helps, what the program leaves."""

import csv

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from persam.geometry import box_of
from persam.method.prototypes import Cells
from persam.sam.load import nano
from tests.training.conftest import LEFT, PHOTOS, picture, plane
from training import identity
from training.identity import HEAD, VIEWS, Sights
from training.scenes import Photos


def sights(count: int = 16) -> Sights:
    """Objects that differ a little in a few channels, and in every view and part much in others."""
    random = torch.Generator().manual_seed(0)
    own = torch.zeros(count, sum(nano.LEVELS))
    own[:, 200:208] = torch.randn(count, 8, generator=random)
    views = []
    for one in own:
        parts = [one.repeat(5, 1) for _ in range(VIEWS)]
        for part in parts:
            part[:, :40] = torch.randn(5, 40, generator=random)
        views.append([Cells(F.normalize(part, dim=1).half(), torch.zeros(5, 3)) for part in parts])
    return Sights(views)


def test_fitting_tells_apart_what_the_start_mixes_up(tmp_path):
    seen = sights()
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
    seen = sights()
    start = identity.principal_directions(seen)
    assert start.shape == (nano.IDENTITY_WIDTH, sum(nano.LEVELS))
    features = torch.cat([views[0].features.float() for views in seen.views])
    # they vary in 48 directions, fewer than the map has: all lengths and angles are kept
    torch.testing.assert_close((features @ start.T) @ (features @ start.T).T, features @ features.T, rtol=0, atol=1e-3)


def test_the_objects_of_a_batch_are_each_others_like():
    random = torch.Generator().manual_seed(1)
    kinds = F.normalize(torch.randn(4, sum(nano.LEVELS), generator=random), dim=1).repeat_interleave(40, 0)
    features = F.normalize(kinds + 0.005 * torch.randn(160, sum(nano.LEVELS), generator=random), dim=1)
    seen = Sights([[Cells(one[None].half(), torch.zeros(1, 3))] * VIEWS for one in features])
    batches = list(identity._batches(seen, np.random.default_rng(0), 20))
    assert all(len(set(batch)) == len(batch) == identity.BATCH for batch in batches)
    alike = [np.mean([(np.array(batch) // 40 == one // 40).sum() - 1 for one in batch]) for batch in batches]
    assert np.mean(alike) > 1.3 * 39 * 31 / 159  # any 32 of the 160 have 7.6 of their kind among them


def test_an_object_seen_again_is_the_same_object(monkeypatch):
    monkeypatch.setattr(identity, "recolour", lambda rgb, rng: rgb)
    drawn = PHOTOS[2]
    rgb, mask = picture(drawn), plane(drawn.boxes[0]) > 0
    sizes = []
    for seed in range(40):
        again, shown = identity.seen_again(rgb, mask, np.random.default_rng(seed))
        assert again.shape == (*shown.shape, 3)
        assert again.dtype == np.uint8
        assert shown.any()
        light = again.mean(2)
        assert light[shown].mean() > 170 > 100 > light[~shown].mean()  # a light thing on dark ground
        left, top, right, bottom = box_of(shown)
        sizes.append(max(right - left, bottom - top))
    assert min(sizes) < 25 < 46 < max(sizes)  # of a thing of 46 pixels


def test_what_is_gathered_depends_on_the_seed_alone(archive):
    backbone = identity.bare(nano.build().state_dict())
    photos = Photos(archive, held_out=False)
    first, again, other = (identity.gather(backbone, photos, 1, seed=seed) for seed in (0, 0, 1))
    assert [len(views) for views in first.views] == [VIEWS]
    for one, same in zip(first.views[0], again.views[0], strict=True):
        assert torch.equal(one.features, same.features)
    assert one.features.shape[1] == sum(nano.LEVELS)
    assert not torch.equal(first.views[0][1].features[:1], other.views[0][1].features[:1])


@pytest.mark.parametrize("has_one", [False, True])
def test_the_program_adds_the_map_and_changes_nothing_else(archive, tmp_path, has_one):
    weights = {name: value.half() for name, value in nano.build().state_dict().items() if has_one or name != HEAD}
    save_file(weights, tmp_path / "before.safetensors")
    out, log = tmp_path / "nano.safetensors", tmp_path / "log.csv"
    options = ["--archive", archive, "--out", out, "--log", log, "--objects", 3, "--held-out-objects", 2]
    identity.main(list(map(str, [tmp_path / "before.safetensors", *options, "--steps", 2, "--threads", 1])))
    found = load_file(out)
    assert set(found) == {*weights, HEAD}
    assert all(torch.equal(found[name], value) for name, value in weights.items() if name != HEAD)
    assert found[HEAD].shape == (nano.IDENTITY_WIDTH, sum(nano.LEVELS), 1, 1)
    assert torch.isfinite(found[HEAD]).all()
    nano.from_tensors(found)
    assert len(log.read_text().splitlines()) == 3


def test_numbers_that_are_wrong_end_the_fit(tmp_path):
    broken = sights()
    for views in broken.views:
        views[1].features[:] = float("nan")
    with pytest.raises(FloatingPointError, match="the loss is nan at step"):
        identity.fit(broken, sights(), steps=9, lr=1e-2, seed=0, log=tmp_path / "log.csv")


def test_a_mask_partly_hidden_or_roughly_drawn_keeps_most_of_the_object():
    mask = plane(LEFT) > 0
    for seed in range(20):
        hidden = identity._partly_hidden(mask, np.random.default_rng(seed))
        assert 0.5 < hidden.sum() / mask.sum() < 0.9
        assert not (hidden & ~mask).any()
        rough = identity._roughly_masked(mask, np.random.default_rng(seed))
        assert 0.85 < rough.sum() / mask.sum() < 1.2
        assert rough.sum() != mask.sum()
