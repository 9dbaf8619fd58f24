"""Clicks, boxes and paint become a mask; further clicks put it right."""

import numpy as np
import pytest

from persam.errors import MaskError
from persam.studio.marking import Marks, corrected, mask_of, refined
from tests.colour import BLUE, ColourBackbone, mask, photo


@pytest.fixture
def backbone():
    return ColourBackbone()


@pytest.fixture
def embedding(backbone):
    """A red square at 10, 20 to 29, 39 and a blue one at 40, 40 to 55, 55."""
    rgb = photo()
    rgb[40:56, 40:56] = BLUE
    return backbone.encode([rgb])


BLUE_MASK = mask(at_xyxy=(40, 40, 55, 55))


def test_without_marks_there_is_no_mask(backbone, embedding):
    assert mask_of(Marks(), backbone, embedding) is None


def test_a_click_is_the_object_under_it(backbone, embedding):
    found = mask_of(Marks().clicked((15, 25), inside=True), backbone, embedding)
    assert np.array_equal(found, mask())


def test_two_clicks_on_different_things_are_both(backbone, embedding):
    marks = Marks().clicked((15, 25), inside=True).clicked((45, 45), inside=True)
    assert np.array_equal(mask_of(marks, backbone, embedding), mask() | BLUE_MASK)


def test_two_corners_in_any_order_are_a_box(backbone, embedding):
    first = Marks().cornered((31, 18))
    assert mask_of(first, backbone, embedding) is None
    both = first.cornered((8, 41))
    assert (both.box.x0, both.box.y0, both.box.x1, both.box.y1) == (8, 18, 31, 41)
    assert np.array_equal(mask_of(both, backbone, embedding), mask())


def test_a_box_without_height_is_said():
    with pytest.raises(MaskError, match="corners make no box"):
        Marks().cornered((3, 5)).cornered((9, 5))


def test_paint_is_the_mask_and_forgets_earlier_clicks(backbone, embedding):
    painted = mask(at_xyxy=(0, 0, 9, 9))
    marks = Marks().clicked((15, 25), inside=True).painted_over(painted)
    assert np.array_equal(mask_of(marks, backbone, embedding), painted)
    assert marks.before.clicks == (((15, 25), True),)


def test_only_clicks_beside_the_object_say_what_is_missing(backbone, embedding):
    with pytest.raises(MaskError, match="click on the object first"):
        mask_of(Marks().clicked((2, 2), inside=False), backbone, embedding)


def test_a_click_on_the_object_adds_what_the_mask_lacks(backbone, embedding):
    half = mask() & (np.arange(64) < 20)
    found = corrected(half, [(25, 25)], [], backbone, embedding)
    assert np.array_equal(found, mask())


def test_a_click_beside_the_object_takes_away_what_is_there(backbone, embedding):
    both = mask() | BLUE_MASK
    found = corrected(both, [], [(45, 45)], backbone, embedding)
    assert np.array_equal(found, mask())


def test_a_click_adds_a_second_part_and_keeps_the_first(backbone, embedding):
    found = corrected(mask(), [(15, 25), (45, 45)], [], backbone, embedding)
    assert np.array_equal(found, mask() | BLUE_MASK)


def test_a_click_beside_the_object_that_the_decoder_takes_for_it_takes_a_spot_away(backbone, embedding):
    found = corrected(mask(), [], [(12, 30)], backbone, embedding)
    assert not found[30, 12]
    assert 0.9 < found.sum() / mask().sum() < 1
    assert not (found & ~mask()).any()


def test_the_decoder_is_asked_with_the_mask_as_its_earlier_answer(backbone, embedding):
    corrected(mask(), [(15, 25)], [(2, 2)], backbone, embedding)
    prompt = backbone.prompts[0]
    assert prompt.labels.tolist() == [[1, 0]]
    logits = prompt.mask_logits[0, 0]
    assert logits.shape == (256, 256)
    # a pixel of the photo is four of the earlier answer's
    assert (logits[82:158, 42:118] == 8).all()
    assert (logits[:78] == -8).all()
    assert (logits[162:] == -8).all()


def test_a_mask_of_marks_is_refined_where_the_clicks_agree(backbone):
    rough, clicked = mask(at_xyxy=(8, 18, 31, 41)), Marks().clicked((15, 25), inside=True)
    assert np.array_equal(refined(rough, clicked, backbone, photo()), mask())
    assert backbone.encoded == 1
    outside_too = clicked.clicked((12, 30), inside=False)  # which the refined mask would hold
    assert np.array_equal(refined(rough, outside_too, backbone, photo()), rough)


def test_paint_is_not_refined(backbone):
    rough = mask(at_xyxy=(8, 18, 31, 41))
    assert refined(rough, Marks(painted=rough), backbone, photo()) is rough
    assert backbone.encoded == 0
