"""A photo's view and its own pixels: what is clicked or painted in one is meant in the other."""

import numpy as np
import pytest

from persam.errors import MaskError
from persam.studio.photo import Photo, painted_mask, view


def test_the_view_of_a_large_photo_is_small_and_of_a_small_one_itself():
    large = Photo("large", np.zeros((3000, 2000, 3), np.uint8))
    assert large.view_hw == (1280, 853)
    assert view(large.rgb).shape == (1280, 853, 3)
    small = np.zeros((30, 20, 3), np.uint8)
    assert view(small) is small


def test_a_place_in_the_view_is_the_middle_of_the_pixels_it_stands_for():
    photo = Photo("wide", np.zeros((1280, 2560, 3), np.uint8))  # its view is half as large
    assert photo.view_hw == (640, 1280)
    assert photo.place((0, 0)) == (0.5, 0.5)
    assert photo.place((1279, 639)) == (2558.5, 1278.5)
    assert photo.place((5000, -3)) == (2559, 0)  # kept inside


def test_a_painting_comes_back_in_the_photos_own_pixels():
    layer = np.zeros((480, 640, 4), np.uint8)
    layer[120:240, 160:320] = (200, 40, 40, 255)
    mask = painted_mask(layer, (2400, 3200))  # five times as large
    assert mask.shape == (2400, 3200)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (600, 1199, 800, 1599)
    assert 600 * 800 - mask.sum() <= 12  # its corners, which are rounded by resampling


def test_faint_paint_does_not_count():
    layer = np.zeros((10, 10), np.uint8)
    layer[2:4, 2:4], layer[6:8, 6:8] = 255, 100
    assert painted_mask(layer, (10, 10)).sum() == 4


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (np.zeros((48, 64, 4), np.uint8), "nothing is painted"),
        (np.full((48, 64, 4), 255, np.uint8), "everything is painted"),
        (np.full((64, 48, 4), 255, np.uint8), "48x64 pixels, which is not the shape of the photo of 640x480"),
    ],
)
def test_a_painting_that_cannot_be_used_is_said(layer, said):
    with pytest.raises(MaskError, match=said):
        painted_mask(layer, (480, 640))
