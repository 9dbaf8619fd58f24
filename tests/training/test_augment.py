"""Changed conditions leave the object where its mask says."""

import numpy as np
import pytest

from tests.training.conftest import LEFT, PHOTOS, picture, plane
from training import augment
from training.masks import box_xyxy


def test_jittered_colours_leave_everything_where_it_is():
    mask = np.zeros((40, 40), np.uint8)
    mask[8:20, 6:20] = 1
    rgb = np.repeat(mask[..., None] * 235 + 10, 3, axis=2).astype(np.uint8)
    changed = 0
    for seed in range(20):
        jittered = augment.jitter_colour(rgb, np.random.default_rng(seed))
        assert jittered.shape == rgb.shape
        assert jittered.dtype == np.uint8
        grey = jittered.mean(axis=2)
        assert grey[mask > 0].min() > grey[mask == 0].max() - 60  # blur moves levels across the edge
        assert grey[mask > 0].mean() > grey[mask == 0].mean() + 100
        changed += not np.array_equal(jittered, rgb)
    assert 10 <= changed < 20


def test_another_light_is_far_and_moves_nothing():
    mask = plane(LEFT) > 0
    rgb = np.full((*mask.shape, 3), (40, 60, 50), np.uint8)
    rgb[mask] = (210, 160, 110)
    brightness, hues = [], set()
    for seed in range(60):
        changed = augment.change_light(rgb, np.random.default_rng(seed))
        assert changed.shape == rgb.shape
        assert changed.dtype == np.uint8
        light = changed.astype(float).mean(2)
        assert light[mask].mean() > light[~mask].mean()
        brightness.append(light[mask].mean() / rgb[mask].mean())
        hues.add(tuple(np.argsort(changed[mask].astype(float).mean(0).round())))
    assert min(brightness) < 0.35
    assert max(brightness) > 1.2
    assert len(hues) > 3


def test_a_bar_lies_across_the_object():
    mask = plane(LEFT) > 0
    cuts = set()
    for seed in range(30):
        bar = augment.draw_bar(mask, np.random.default_rng(seed))
        assert bar.shape == mask.shape
        assert set(np.unique(bar)) == {0, 1}
        assert 0.05 < bar[mask].mean() < 0.6
        cuts.add(bool(np.ptp(np.nonzero(bar)[0]) > np.ptp(np.nonzero(bar)[1])))
    assert cuts == {False, True}


def test_motion_blur_is_along_one_line_and_keeps_the_light():
    dot = np.zeros((401, 401, 3), np.uint8)
    dot[200, 200] = 255
    lengths = set()
    for seed in range(10):
        blurred = augment.motion_blur(dot, np.random.default_rng(seed))[..., 0]
        ys, xs = np.nonzero(blurred)
        assert blurred.sum() == pytest.approx(255, rel=0.05)
        spread = np.cov(np.stack([ys, xs])) if len(ys) > 1 else np.zeros((2, 2))
        assert np.linalg.eigvalsh(spread)[0] < 0.3  # no wider than a line of pixels
        lengths.add(len(ys))
    assert len(lengths) > 2
    assert max(lengths) <= 2 * 401 // 80 + 1


def test_other_views_are_turned_and_in_another_light_at_times():
    rgb = np.full((60, 60, 3), (40, 60, 50), np.uint8)
    rgb[20:30, 10:50] = (210, 160, 110)
    mask = (rgb[..., 0] == 210).copy()
    upright, dark = 0, 0
    for seed in range(60):
        again, shown = augment.other_view(rgb, mask, np.random.default_rng(seed))
        left, top, right, bottom = box_xyxy(shown)
        upright += bottom - top > right - left
        dark += again[shown].max(1).mean() < 90
    assert 3 < upright < 25
    assert 1 < dark < 20


def test_another_view_shows_the_same_object(monkeypatch):
    monkeypatch.setattr(augment, "jitter_colour", lambda rgb, rng: rgb)
    monkeypatch.setattr(augment, "RELIT", 0.0)
    drawn = PHOTOS[2]
    rgb, mask = picture(drawn), plane(drawn.boxes[0]) > 0
    sizes = []
    for seed in range(40):
        again, shown = augment.other_view(rgb, mask, np.random.default_rng(seed))
        assert again.shape == (*shown.shape, 3)
        assert again.dtype == np.uint8
        assert shown.any()
        light = again.mean(2)
        assert light[shown].mean() > 170 > 100 > light[~shown].mean()  # a light thing on dark ground
        left, top, right, bottom = box_xyxy(shown)
        sizes.append(max(right - left, bottom - top))
    assert min(sizes) < 25 < 46 < max(sizes)  # of a thing of 46 pixels


def test_an_occluded_or_inexact_mask_keeps_most_of_the_object():
    mask = plane(LEFT) > 0
    for seed in range(20):
        hidden = augment._occluded(mask, np.random.default_rng(seed))
        assert 0.5 < hidden.sum() / mask.sum() < 0.9
        assert not (hidden & ~mask).any()
        rough = augment._inexact(mask, np.random.default_rng(seed))
        assert 0.85 < rough.sum() / mask.sum() < 1.2
        assert rough.sum() != mask.sum()
