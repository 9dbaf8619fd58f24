"""The guided filter: a mask's edges are moved to those of the photo, however large it is, and nothing else changes."""

import cv2
import numpy as np
import pytest
import torch

from persam.method.components import OUTSIDE
from persam.method.edges import follow_edges, guided_filter


def photo(*, radius: int, hw: tuple[int, int] = (240, 320), noise: float = 6.0) -> np.ndarray:
    """A reddish disc on a bluish ground, in the middle."""
    rgb = np.full((*hw, 3), (60, 90, 150), np.float64)
    rgb[disc(radius, hw)] = (190, 80, 60)
    rgb += np.random.default_rng(0).normal(0, noise, rgb.shape)
    return rgb.clip(0, 255).round().astype(np.uint8)


def disc(radius: float, hw: tuple[int, int] = (240, 320)) -> np.ndarray:
    y, x = np.ogrid[: hw[0], : hw[1]]
    return (y - hw[0] / 2) ** 2 + (x - hw[1] / 2) ** 2 <= radius**2


def logits_of(mask: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.where(mask, 9.0, -9.0).astype(np.float32))


def wrong(logits: torch.Tensor, truth: np.ndarray) -> int:
    return int(((logits.numpy() > 0) != truth).sum())


@pytest.mark.parametrize("off", [-3, 3])
@pytest.mark.parametrize("radius", [30, 90])
def test_an_edge_beside_the_photos_own_is_moved_there(radius, off):
    off *= radius / 90
    drawn = disc(radius + off)
    followed = follow_edges(logits_of(drawn), photo(radius=radius))
    assert wrong(followed, disc(radius)) < 0.5 * wrong(logits_of(drawn), disc(radius))


def test_it_follows_in_the_dark_too():
    dark = (photo(radius=80, noise=0.0) * 0.1).round().astype(np.uint8)
    drawn = logits_of(disc(83))
    assert wrong(follow_edges(drawn, dark), disc(80)) < 0.5 * wrong(drawn, disc(80))


def test_where_the_photo_has_no_edge_the_mask_stays_nearly_where_it_was():
    even = np.full((240, 320, 3), 128, np.uint8)
    followed = follow_edges(logits_of(disc(80)), even)
    assert wrong(followed, disc(80)) <= 0.01 * disc(80).sum()


def test_a_pinhole_goes_and_a_hole_of_another_colour_stays():
    rgb, drawn = photo(radius=80), disc(80)
    drawn[118:121, 158:161] = False
    followed = follow_edges(logits_of(drawn), rgb)
    assert wrong(followed, disc(80)) < 60
    assert (followed[110:130, 150:170] > 0).all()
    rgb[90:150, 130:190] = (60, 90, 150)
    drawn[90:150, 130:190] = False
    assert not (follow_edges(logits_of(drawn), rgb)[95:145, 135:185] > 0).any()


def test_a_leg_thinner_than_the_windows_stays():
    drawn = disc(80)
    drawn[195:230, 158:162] = True  # of the ground's colour, so that nothing but the mask speaks for it
    followed = follow_edges(logits_of(drawn), photo(radius=80))
    assert (followed[205:229, 158:162] > 0).all()
    assert not (followed[205:229, 166:] > 0).any()


def test_a_large_photo_is_followed_as_a_small_one_is():
    small = follow_edges(logits_of(disc(93)), photo(radius=90, noise=0.0)).numpy() > 0
    hw = (960, 1280)
    rgb = photo(radius=360, hw=hw, noise=0.0)
    large = follow_edges(logits_of(disc(372, hw)), rgb).numpy() > 0
    shrunk = cv2.resize(large.astype(np.float32), (320, 240), interpolation=cv2.INTER_AREA) > 0.5
    assert (shrunk != small).mean() < 0.005


def test_logits_are_within_their_bounds_and_outside_far_from_the_mask():
    followed = follow_edges(logits_of(disc(20)), photo(radius=20))
    assert followed.min() == OUTSIDE
    assert followed.max() <= -OUTSIDE
    assert (followed[:60] == OUTSIDE).all()
    assert followed.dtype == torch.float32


@pytest.mark.parametrize("inside", ["nothing", "all", "a pixel"])
def test_masks_without_an_edge_and_of_one_pixel(inside):
    drawn = np.full((60, 80), inside == "all")
    drawn[30, 40] = inside != "nothing"
    followed = follow_edges(logits_of(drawn), photo(radius=10, hw=(60, 80)))
    assert followed.isfinite().all()
    if inside != "a pixel":  # which texture may swallow
        np.testing.assert_array_equal(followed.numpy() > 0, drawn)


def test_the_fit_is_that_of_the_paper():
    """Equations 11 to 14 of He, Sun and Tang, by a loop over windows and a general solver."""
    random = np.random.default_rng(1)
    rgb = random.integers(0, 256, (12, 14, 3)).astype(np.uint8)
    mask = (random.random((12, 14)) > 0.5).astype(np.float32)
    reach, even = 3, 0.006 * (rgb / 255).reshape(-1, 3).var(axis=0).mean() + 1e-6
    padded = np.pad(rgb / 255, ((reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    covered = np.pad(mask, reach, mode="symmetric")
    slopes, offsets = np.zeros((12, 14, 3)), np.zeros((12, 14))
    for y in range(12):
        for x in range(14):
            colours = padded[y : y + 2 * reach + 1, x : x + 2 * reach + 1].reshape(-1, 3)
            cover = covered[y : y + 2 * reach + 1, x : x + 2 * reach + 1].ravel()
            spread = np.cov(colours.T, bias=True) + even * np.eye(3)
            together = (colours * cover[:, None]).mean(0) - colours.mean(0) * cover.mean()
            slopes[y, x] = np.linalg.solve(spread, together)
            offsets[y, x] = cover.mean() - slopes[y, x] @ colours.mean(0)
    mean_slopes, mean_offsets = (
        np.pad(values, ((reach, reach), (reach, reach), (0, 0))[: values.ndim], mode="symmetric")
        for values in (slopes, offsets)
    )
    expected = np.empty((12, 14))
    for y in range(12):
        for x in range(14):
            window = (slice(y, y + 2 * reach + 1), slice(x, x + 2 * reach + 1))
            expected[y, x] = mean_slopes[window].mean((0, 1)) @ (rgb[y, x] / 255) + mean_offsets[window].mean()
    found = guided_filter(mask, rgb, side=100)
    np.testing.assert_allclose(found, expected, atol=2e-4)
