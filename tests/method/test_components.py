"""Components of a mask: the one that is meant, holes, and masks that are the same."""

import pytest
import torch

from persam.geometry import Frame
from persam.method.components import different, keep_component, without_holes
from tests.method.rehearsed import EMBEDDING, NOTHING, PART, square

FRAME = EMBEDDING.frame
TWO = torch.maximum(square(0, 0, 2, 1), square(5, 5, 7, 7))


@pytest.mark.parametrize(
    ("point", "kept"),
    [
        ((1.0, 0.0), square(0, 0, 2, 1)),
        ((6.0, 7.0), square(5, 5, 7, 7)),
        ((4.0, 4.0), square(5, 5, 7, 7)),
        ((3.4, 1.0), square(0, 0, 2, 1)),
    ],
    ids=["in the first", "in the second", "nearer to the second", "nearer to the first"],
)
def test_of_two_components_the_one_at_the_point_is_kept(point, kept):
    component = keep_component(TWO, torch.tensor(point), FRAME)
    assert torch.equal(component > 0, kept > 0)
    assert torch.equal(component[kept > 0], TWO[kept > 0])
    assert torch.equal(component[TWO < 0], TWO[TWO < 0])


def test_what_is_not_kept_is_surely_outside():
    component = keep_component(TWO, torch.tensor([6.0, 6.0]), FRAME)
    assert torch.equal(component[:2, :3], torch.full((2, 3), -4.0))


def test_the_point_is_in_pixels_of_the_image_and_not_of_the_mask():
    frame = Frame((80, 80), 8, 4)  # ten pixels to one of the mask
    component = keep_component(TWO, torch.tensor([65.0, 65.0]), frame)
    assert torch.equal(component > 0, square(5, 5, 7, 7) > 0)


@pytest.mark.parametrize("logits", [NOTHING, PART], ids=["nothing", "one component"])
def test_a_mask_of_one_component_or_none_stays_as_it_is(logits):
    assert torch.equal(keep_component(logits, torch.tensor([0.0, 0.0]), FRAME), logits)


def test_parts_that_touch_at_a_corner_are_one_component():
    diagonal = torch.maximum(square(0, 0, 1, 1), square(2, 2, 3, 3))
    assert torch.equal(keep_component(diagonal, torch.tensor([0.0, 0.0]), FRAME), diagonal)


def test_small_holes_are_filled_and_large_ones_stay():
    frame = Frame((16, 16), 16, 4)
    logits = square(0, 0, 15, 15, side=16)
    logits[4, 4] = -5.0
    logits[8:13, 8:13] = -5.0
    filled = without_holes(logits, frame, least=0.02) > 0
    assert filled[4, 4]
    assert not filled[8:13, 8:13].any()


def test_what_reaches_the_border_is_no_hole():
    logits = square(0, 0, 15, 15, side=16)
    logits[3, :2] = -5.0
    assert torch.equal(without_holes(logits, Frame((16, 16), 16, 4), least=0.5), logits)


def test_the_first_of_nearly_equal_masks_stands():
    masks = torch.stack([square(*corners) > 0 for corners in ((0, 0, 7, 7), (0, 0, 7, 6), (0, 0, 3, 3), (0, 0, 0, 0))])
    assert different(masks, least=2, alike=0.8) == [0, 2]
    assert different(masks, least=1, alike=0.9) == [0, 1, 2, 3]
