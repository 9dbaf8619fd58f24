"""What something cuts in two comes back whole, where both sides together look more like it."""

import numpy as np
import pytest
import torch

from persam.method import rejoin
from persam.method.find import Find
from persam.types import Decoded, LocationPrior
from tests.colour import GREEN, GREY, RED, colour_model

POLE = (90, 90, 90)


def flag(*, left: int, top: int) -> np.ndarray:
    """Grey ground with a flag of 16 x 16 pixels: its left half is red, the right one green."""
    rgb = np.full((64, 64, 3), GREY, np.uint8)
    rgb[top : top + 16, left : left + 8] = RED
    rgb[top : top + 16, left + 8 : left + 16] = GREEN
    return rgb


def where(*, left: int, top: int, width: int = 16) -> np.ndarray:
    mask = np.zeros((64, 64), bool)
    mask[top : top + 16, left : left + width] = True
    return mask


def test_both_sides_of_a_pole_are_found():
    model = colour_model()
    concept = model.learn(flag(left=10, top=10), where(left=10, top=10), name="flag")
    behind = flag(left=34, top=30)
    behind[:, 41:43] = POLE
    [image] = model.segment(behind, concept)
    shown = where(left=34, top=30) & (behind != POLE).any(2)
    assert image.present
    assert (image.mask & shown).sum() / (image.mask | shown).sum() > 0.95


def test_of_two_that_are_each_the_whole_thing_one_is_found():
    model = colour_model()
    red = np.full((64, 64, 3), GREY, np.uint8)
    red[10:26, 10:26] = RED
    concept = model.learn(red, where(left=10, top=10), name="red")
    twice = red.copy()
    twice[10:26, 40:56] = RED
    [image] = model.segment(twice, concept)
    one, other = where(left=10, top=10), where(left=40, top=10)
    assert np.array_equal(image.mask, one) or np.array_equal(image.mask, other)


def a_find(model, mask: np.ndarray) -> Find:
    concept = model.learn(flag(left=10, top=10), where(left=10, top=10), name="flag")
    ys, xs = np.nonzero(mask) if mask.any() else (np.array([0]), np.array([0]))
    points = torch.tensor([[float(xs.mean()), float(ys.mean())], [1.0, 1.0]])
    logits = torch.where(torch.from_numpy(mask), 8.0, -8.0)
    prior = LocationPrior(torch.zeros(64, 64), points, torch.tensor([1.0, 0.0]))
    return Find(concept, prior, Decoded(logits, torch.tensor(0.9)), evidence=0.5)


@pytest.mark.parametrize("mask", [np.zeros((64, 64), bool), where(left=34, top=30)], ids=["nothing", "all of it"])
def test_nothing_is_offered_where_there_is_nothing_to_add(mask):
    model = colour_model()
    rgb = flag(left=34, top=30)
    assert rejoin.both_sides(model.backbone, model.backbone.encode([rgb]), a_find(model, mask), model.calibration) == []


def test_sides_that_touch_are_not_offered_since_nothing_lies_between_them():
    model = colour_model()
    rgb = flag(left=34, top=30)
    half = where(left=34, top=30, width=8)
    assert rejoin.both_sides(model.backbone, model.backbone.encode([rgb]), a_find(model, half), model.calibration) == []


def test_a_speck_beside_the_object_is_no_side_of_it():
    model = colour_model()
    rgb = flag(left=34, top=30)
    rgb[:, 41:43] = POLE
    rgb[32:, 43:] = GREY
    left = where(left=34, top=30, width=7)
    offered = rejoin.both_sides(model.backbone, model.backbone.encode([rgb]), a_find(model, left), model.calibration)
    assert offered == []


def test_what_is_offered_holds_both_sides_and_a_point_on_each():
    model = colour_model()
    rgb = flag(left=34, top=30)
    rgb[:, 41:43] = POLE
    half = where(left=34, top=30, width=7)
    offered = rejoin.both_sides(model.backbone, model.backbone.encode([rgb]), a_find(model, half), model.calibration)
    assert offered
    for one in offered:
        (x, y), (other_x, other_y), _ = one.prior.points_xy.round().int().tolist()
        assert half[y, x]
        assert 43 <= other_x < 50
        assert 30 <= other_y < 46
        assert one.prior.labels.tolist() == [1, 1, 0]
        assert one.inside[y, x]
    assert any(one.inside[other_y, other_x] for one in offered)
