"""The colour of the light and the exposure go; what is the object's own stays."""

import numpy as np
import pytest

from persam.method import light
from persam.method.light import BRIGHTEST, MOST_GAIN, colour_gains, evenly_lit

WHOLE = (slice(None), slice(None))
NOTHING = np.zeros((80, 80), bool)


def scene(seed: int = 0) -> np.ndarray:
    """Patches of many muted colours, a white one among them, none so bright that a warm light would clip it."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(40, 170, (8, 8, 1)) * rng.uniform(0.85, 1.1, (8, 8, 3))
    colours[0, 0] = 190
    return np.kron(colours, np.ones((10, 10, 1))).astype(np.uint8)


@pytest.mark.parametrize("share", [0.5, 0.35, 0.25])
def test_a_short_exposure_leaves_no_trace_but_rounding(share):
    rgb = scene()
    dark = (rgb * share).round().astype(np.uint8)
    there, here = (evenly_lit(one, NOTHING, WHOLE).astype(int) for one in (dark, rgb))
    assert np.abs(there - here).max() <= 2 + 1 / share
    assert here.max(axis=2).max() >= BRIGHTEST - 15


def test_the_colour_of_the_light_leaves_no_trace_but_rounding():
    rgb = scene()
    warm = (rgb * [1.2, 1.0, 0.75]).round().astype(np.uint8)
    assert np.abs(warm.astype(int) - rgb).max() > 30
    assert np.abs(evenly_lit(warm, NOTHING, WHOLE).astype(int) - evenly_lit(rgb, NOTHING, WHOLE)).max() <= 3


@pytest.mark.parametrize("side", [20, 60, 70])
def test_the_colour_of_an_object_is_its_own_however_large_it_is(side):
    rgb, mask = scene(), NOTHING.copy()
    rgb[10:20, :] = 190
    mask[-side:, -side:] = True
    rgb[mask] = (170, 60, 50)
    red, green, blue = evenly_lit(rgb, mask, (slice(-side, None), slice(-side, None))).reshape(-1, 3).mean(0)
    assert red / green == pytest.approx(170 / 60, rel=0.1)
    assert red / blue == pytest.approx(170 / 50, rel=0.1)


def test_what_is_of_a_strong_colour_does_not_tell_of_the_light():
    rgb = scene()
    plain = colour_gains(rgb, NOTHING)
    rgb[40:, :20] = (30, 30, 220)
    assert colour_gains(rgb, NOTHING) == pytest.approx(plain, rel=0.05)


def test_the_less_there_is_to_judge_the_light_by_the_less_is_changed():
    rgb = np.full((80, 80, 3), (200, 160, 110), np.uint8)
    assert colour_gains(rgb, ~NOTHING) == pytest.approx([1, 1, 1])
    nearly = ~NOTHING
    nearly[0] = False
    assert colour_gains(rgb, nearly) == pytest.approx([1, 1, 1], abs=0.02)
    assert np.ptp(colour_gains(rgb, NOTHING) * rgb[0, 0]) < 0.01


def test_a_bright_photo_in_white_light_is_left_as_it_is():
    rgb = scene()
    rgb[:10, :20] = 250
    rgb[..., :] = rgb.max(axis=2, keepdims=True)
    assert np.array_equal(evenly_lit(rgb, NOTHING, WHOLE), rgb)


def test_the_change_has_limits():
    none = np.zeros((6, 6), bool)
    nearly_black = np.full((6, 6, 3), 2, np.uint8)
    assert (evenly_lit(nearly_black, none, WHOLE) == 2 * MOST_GAIN).all()
    assert (evenly_lit(np.zeros((6, 6, 3), np.uint8), none, WHOLE) == 0).all()


def test_a_large_photo_is_judged_by_a_sample_of_it():
    rgb = np.tile(scene(), (40, 40, 1))
    assert colour_gains(rgb, np.zeros(rgb.shape[:2], bool)) == pytest.approx(colour_gains(scene(), NOTHING), rel=0.1)


def test_strips_are_lit_as_the_whole(monkeypatch):
    dark = scene() // 3
    monkeypatch.setattr(light, "ROWS", len(dark))
    whole = evenly_lit(dark, NOTHING, WHOLE)
    monkeypatch.setattr(light, "ROWS", 7)
    np.testing.assert_array_equal(evenly_lit(dark, NOTHING, WHOLE), whole)
