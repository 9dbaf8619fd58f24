"""The cut-out around an object is a square about it, and shows it at one size wherever and however large it is."""

import numpy as np
import pytest

from persam.sam.crop import CloseUp
from tests.colour import GREY, RED, SIDE, ColourBackbone


def scene(x0: int, y0: int, x1: int, y1: int) -> tuple[np.ndarray, np.ndarray]:
    """A grey photo of 400 x 300 with a red box, corners included, and its mask."""
    rgb, mask = np.full((300, 400, 3), GREY, np.uint8), np.zeros((300, 400), bool)
    mask[y0 : y1 + 1, x0 : x1 + 1] = True
    rgb[mask] = RED
    return rgb, mask


def test_it_is_a_square_around_the_mask_and_what_is_encoded_is_that_part_of_the_photo(monkeypatch):
    rgb, mask = scene(200, 100, 299, 149)
    backbone = ColourBackbone()
    seen, encode = [], backbone.encode
    monkeypatch.setattr(backbone, "encode", lambda part, **how: (seen.append(part), encode(part, **how))[1])
    close = CloseUp.of(backbone, rgb, mask, margin=1.5)
    x0, y0, x1, y1 = close.window
    assert (x1 - x0, y1 - y0) == (150, 150)
    assert ((x0 + x1) // 2, (y0 + y1) // 2) == (250, 125)
    assert close.embedding.frame.original_hw == (y1 - y0, x1 - x0)
    assert mask[close.slices].sum() == mask.sum()
    np.testing.assert_array_equal(seen, [rgb[close.slices]])


@pytest.mark.parametrize(
    "box", [(200, 100, 299, 149), (0, 0, 40, 40), (380, 290, 399, 299), (0, 250, 9, 299), (5, 5, 390, 290)]
)
@pytest.mark.parametrize("margin", [1.2, 2])
def test_the_object_has_one_size_in_it_also_at_the_photos_edge_and_where_it_fills_the_photo(box, margin):
    rgb, mask = scene(*box)
    close = CloseUp.of(ColourBackbone(), rgb, mask, margin=margin)
    x0, y0, x1, y1 = close.window
    assert 0 <= x0 < x1 <= 400
    assert 0 <= y0 < y1 <= 300
    assert mask[close.slices].sum() == mask.sum()
    height, width = close.embedding.frame.input_hw
    columns, rows = mask.any(0).sum() * width / (x1 - x0), mask.any(1).sum() * height / (y1 - y0)
    assert max(columns, rows) == pytest.approx(4 * SIDE / margin, rel=0.02)


def test_around_nothing_there_is_none():
    backbone = ColourBackbone()
    assert CloseUp.of(backbone, np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), bool), margin=2) is None
    assert backbone.encoded == 0
