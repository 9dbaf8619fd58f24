"""Views show the photo's objects where their masks say, whatever was done to the views."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from persam.geometry import Frame, patch_cover, resize_to_input
from training import views
from training.archive import Photo, Photos
from training.mix import SOURCE_SHARES, Mix
from training.views import PAD_GREY, Subject, draw_view, whole_view

EVERY_KIND = Mix(SOURCE_SHARES, dict.fromkeys(["whole", "window", "pasted", "mosaic", "twin"], 0.2))
FILL = Mix(SOURCE_SHARES, {"fill": 1.0})


@pytest.fixture
def photos(archive: Path) -> Photos:
    return Photos([archive], held_out=False)


def seed_of(kind: str, *, mirror: bool) -> int:
    """A seed whose first two draws are this kind of view, mirrored or not."""
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        if (
            rng.choice(list(EVERY_KIND.views), p=list(EVERY_KIND.views.values())) == kind
            and (rng.random() < 0.5) == mirror
        ):
            return seed
    raise AssertionError(f"no seed under 1000 gives {kind}")


def bright_square(hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Dark ground with a white square left of and above the middle, and its mask."""
    height, width = hw
    mask = np.zeros(hw, np.uint8)
    mask[height // 5 : height // 2, width // 6 : width // 2] = 1
    return np.repeat(mask[..., None] * 235 + 10, 3, axis=2).astype(np.uint8), mask


def subject(rgb: np.ndarray, mask: np.ndarray) -> Subject:
    photo = Photo("voc_001", "voc", mask.shape[0], mask.shape[1], masks=1, ignore=False)
    return Subject(photo, rgb, mask[None], np.zeros_like(mask))


@pytest.mark.parametrize("hw", [(60, 80), (80, 60), (600, 480)], ids=["landscape", "portrait", "shrunk"])
@pytest.mark.parametrize("mirror", [False, True], ids=["straight", "mirrored"])
@pytest.mark.parametrize("kind", EVERY_KIND.views)
def test_the_mask_lies_on_the_object_in_every_kind_of_view(photos, monkeypatch, kind, mirror, hw):
    monkeypatch.setattr(views, "jitter_colour", lambda rgb, rng: rgb)
    rgb, mask = bright_square(hw)
    rng = np.random.default_rng(seed_of(kind, mirror=mirror))
    view = draw_view(photos, rng, subject(rgb, mask), size=256, mix=EVERY_KIND)
    cover = view.cover[0]
    near = cv2.dilate((cover > 0.01).astype(np.uint8), np.ones((3, 3))) > 0  # the object and a rim of ground
    bright = (cv2.resize(view.rgb, (64, 64), interpolation=cv2.INTER_AREA)[..., 0].astype(np.float32) - 10) / 235
    assert (cover > 0.5).sum() > 30
    # PAD_GREY beyond the photo reads as half bright, but the square is inside it; 0.2 is a fifth of a quarter pixel
    assert np.abs(bright - cover)[near].max() < 0.2
    assert np.abs(bright - cover)[near].mean() < 0.04
    assert view.twin is (kind == "twin")
    assert view.weight.min() == 1


@pytest.mark.parametrize("mirror", [False, True])
def test_mirrored_views_are_mirrored(photos, monkeypatch, mirror):
    monkeypatch.setattr(views, "jitter_colour", lambda rgb, rng: rgb)
    rgb, mask = bright_square((80, 80))
    rng = np.random.default_rng(seed_of("whole", mirror=mirror))
    view = draw_view(photos, rng, subject(rgb, mask), size=80, mix=EVERY_KIND)
    assert np.array_equal(view.rgb, rgb[:, ::-1] if mirror else rgb)


@pytest.mark.parametrize("mirror", [False, True])
def test_a_window_holds_its_object_and_turns_it_a_little(mirror):
    _, mask = bright_square((60, 80))
    for seed in range(20):
        matrix = views._window(np.random.default_rng(seed), mask, 256, mirror)
        turn = matrix[:, :2] @ np.diag([-1.0, 1.0]) if mirror else matrix[:, :2]
        scale = np.sqrt(np.linalg.det(turn))  # a turn and one scale, once the mirror is taken off
        angle = np.arctan2(turn[1, 0], turn[0, 0])
        assert np.allclose(turn, scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]))
        assert abs(np.rad2deg(angle)) < 4 * 8
        shown = cv2.warpAffine(mask, matrix, (256, 256), flags=cv2.INTER_NEAREST).sum()
        assert shown > 0.85 * mask.sum() * scale**2  # a turned corner may leave the square


def test_an_object_fills_its_window_and_may_leave_it(photos, monkeypatch):
    monkeypatch.setattr(views, "jitter_colour", lambda rgb, rng: rgb)
    rgb, mask = bright_square((60, 80))
    shares = []
    for seed in range(20):
        view = draw_view(photos, np.random.default_rng(seed), subject(rgb, mask), size=256, mix=FILL)
        ys, xs = np.nonzero(view.cover[0] > 0.5)
        shares.append((max(np.ptp(ys), np.ptp(xs)) + 1) / 64)
    assert min(shares) > 0.6
    assert max(shares) == 1


def test_turned_views_keep_the_mask_on_the_object(photos, monkeypatch):
    monkeypatch.setattr(views, "jitter_colour", lambda rgb, rng: rgb)
    rgb, mask = bright_square((60, 80))
    turned = Mix(SOURCE_SHARES, {"whole": 1.0}, turned=1.0)
    shapes = set()
    for seed in range(12):
        view = draw_view(photos, np.random.default_rng(seed), subject(rgb, mask), size=256, mix=turned)
        bright = cv2.resize(view.rgb, (64, 64), interpolation=cv2.INTER_AREA)[..., 0] > 130
        assert (bright != (view.cover[0] > 0.5)).sum() < 20  # of the outline at most
        ys, xs = np.nonzero(bright)
        shapes.add((bool(np.ptp(ys) > np.ptp(xs)), bool(ys.mean() < 32), bool(xs.mean() < 32)))
    assert len(shapes) >= 3


def test_a_bar_takes_its_pixels_from_picture_and_masks(photos, monkeypatch):
    monkeypatch.setattr(views, "jitter_colour", lambda rgb, rng: rgb)
    monkeypatch.setattr(photos, "rgb", lambda photo: np.full((60, 80, 3), 120, np.uint8))
    rgb, mask = bright_square((80, 80))
    barred = Mix(SOURCE_SHARES, {"whole": 1.0}, barred=1.0)
    parts = []
    for seed in range(12):
        view = draw_view(photos, np.random.default_rng(seed), subject(rgb, mask), size=256, mix=barred)
        cover = view.cover[0]
        bright = cv2.resize(view.rgb, (64, 64), interpolation=cv2.INTER_AREA)[..., 0] > 200
        assert 0.4 < cover.sum() / (mask.sum() * (64 / 80) ** 2) < 0.95
        assert (bright & (cover < 0.2)).sum() < 10
        parts.append(cv2.connectedComponents((cover > 0.5).astype(np.uint8))[0] - 1)
    assert parts.count(2) > 6


def test_a_twin_view_shows_the_object_a_second_time(photos, monkeypatch):
    monkeypatch.setattr(views, "jitter_colour", lambda rgb, rng: rgb)
    rgb, mask = bright_square((80, 80))
    rng = np.random.default_rng(seed_of("twin", mirror=False))
    view = draw_view(photos, rng, subject(rgb, mask), size=256, mix=EVERY_KIND)
    bright = cv2.resize(view.rgb, (64, 64), interpolation=cv2.INTER_AREA)[..., 0] > 200
    assert (bright & (view.cover[0] < 0.01)).sum() > 50


def test_a_mosaic_shows_other_photos_around_the_view(photos, monkeypatch):
    monkeypatch.setattr(views, "jitter_colour", lambda rgb, rng: rgb)
    monkeypatch.setattr(photos, "rgb", lambda photo: np.full((60, 80, 3), 200, np.uint8))
    rgb, mask = bright_square((80, 80))
    rng = np.random.default_rng(seed_of("mosaic", mirror=False))
    view = draw_view(photos, rng, subject(rgb, mask), size=256, mix=EVERY_KIND)
    others = (view.rgb == 200).all(2).mean()
    assert 1 - 0.6**2 - 0.05 <= others <= 1 - 0.35**2 + 0.01


@pytest.mark.parametrize("hw", [(72, 96), (96, 72)], ids=["landscape", "portrait"])
def test_the_whole_view_is_framed_as_inference_frames_a_photo(hw):
    height, width = hw
    ys, xs = np.mgrid[:height, :width]
    rgb = np.stack([2 * ys, 2 * xs, ys + xs], axis=2).astype(np.uint8)  # smooth, so that kernels make no difference
    mask = np.zeros(hw, np.uint8)
    mask[10:40, 20:60] = 1
    ignore = np.zeros(hw, np.uint8)
    ignore[:, :6] = 1
    view = whole_view(rgb, mask[None], ignore, size=128)
    frame = Frame(hw, 128)
    rows, columns = frame.input_hw
    assert max(rows, columns) == 128
    inside = view.rgb[: rows - 1, : columns - 1].astype(int)
    # at 4/3 of the size, half a pixel's centre moves by a sixth: under one level of this ramp, and rounding
    assert np.abs(inside - resize_to_input(rgb, frame)[: rows - 1, : columns - 1].astype(int)).max() <= 2
    assert (view.rgb[rows:] == PAD_GREY).all()
    assert (view.rgb[:, columns:] == PAD_GREY).all()
    expected = patch_cover(mask > 0, frame, stride=4).numpy()
    assert np.abs(view.cover[0] - expected).max() < 0.15
    assert np.array_equal(view.cover[0] > 0.5, expected > 0.5)
    assert not view.weight[: rows // 4, :2].any()  # 6 ignored columns become 8: two quarter pixels
    assert view.weight[:, 3:].all()
    assert view.weight[rows // 4 :].all()  # padding counts: nothing may be found there
