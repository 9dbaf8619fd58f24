"""Of the backbone's masks for a prompt, the one that stays where the user pointed, and no more of it."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from persam.errors import MaskError
from persam.geometry import Frame, box_of
from persam.io.images import read_image
from persam.method.prompt_masks import mask_from_prompt
from persam.method.prompts import Box, Pointed, Points, Scribble
from persam.types import ImageEmbedding
from tests.colour import mask
from tests.method.rehearsed import Rehearsed, answer, square

PHOTOS = Path(__file__).parents[2] / "data" / "examples" / "photos"
EMBEDDING = ImageEmbedding(torch.zeros(1, 3, 4, 4), (Frame((64, 64), 64, 16),), ("an image",))
NOTHING = torch.full((64, 64), -5.0)


def at(x0: int, y0: int, x1: int, y1: int) -> torch.Tensor:
    """Logits of a rectangle, corners included."""
    return square(x0, y0, x1, y1, side=64)


def chosen(prompt: Pointed, *three: torch.Tensor, scores=(0.9, 0.8, 0.7)) -> np.ndarray:
    """The mask of a prompt where the backbone answers with whole, part and subpart."""
    backbone = Rehearsed(answer(0.99, *scores, masks=[NOTHING, *three]))
    return mask_from_prompt(prompt, backbone, EMBEDDING)


def rectangle(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    return mask(at_xyxy=(x0, y0, x1, y1))


BOX = Box(20, 20, 40, 30)  # a tenth of its longer side is 2: columns 18 to 42, rows 18 to 32


@pytest.mark.parametrize(
    ("whole", "kept"),
    [
        ((20, 20, 40, 30), (20, 20, 40, 30)),
        ((18, 18, 42, 32), (18, 18, 42, 32)),  # all of the margin
        ((15, 22, 45, 28), (18, 22, 42, 28)),  # cut at the margin
        ((22, 10, 38, 32), (22, 18, 38, 32)),
    ],
)
def test_a_boxs_mask_stays_within_the_box_and_a_tenth_of_its_longer_side(whole, kept):
    np.testing.assert_array_equal(chosen(BOX, at(*whole), NOTHING, NOTHING), rectangle(*kept))


def test_a_mask_of_which_most_lies_elsewhere_is_passed_over_for_the_next_best():
    everything, half_out = at(0, 0, 63, 63), at(20, 20, 50, 60)
    found = chosen(BOX, everything, half_out, at(22, 22, 38, 28))
    np.testing.assert_array_equal(found, rectangle(22, 22, 38, 28))


def test_half_of_a_mask_in_the_box_is_enough():
    # rows 18 to 32 are 15 of the 30 from 3 to 32; with one row more it is less than half
    np.testing.assert_array_equal(chosen(BOX, at(20, 3, 40, 32), NOTHING, NOTHING), rectangle(20, 18, 40, 32))
    with pytest.raises(MaskError, match="nothing fits"):
        chosen(BOX, at(20, 2, 40, 32), NOTHING, NOTHING)


def test_a_box_in_which_less_than_half_of_every_mask_lies_is_an_error():
    message = r"nothing fits Box\(x0=20, .*\) in the 64x64 reference\. Mark the object more closely, or give a mask"
    with pytest.raises(MaskError, match=message):
        chosen(BOX, at(0, 0, 63, 63), at(20, 20, 50, 60), at(50, 50, 60, 60))


def test_a_speck_in_a_box_is_passed_over():
    # a twentieth of 20 x 10 pixels is 10
    with pytest.raises(MaskError, match="nothing fits"):
        chosen(BOX, at(25, 25, 27, 27), NOTHING, NOTHING)
    np.testing.assert_array_equal(chosen(BOX, at(25, 25, 29, 26), NOTHING, NOTHING), rectangle(25, 25, 29, 26))


def test_the_best_predicted_of_the_second_answer_is_tried_first():
    masks = [at(20, 20, 40, 30), at(20, 20, 30, 30), at(32, 20, 40, 30)]
    np.testing.assert_array_equal(chosen(BOX, *masks, scores=(0.1, 0.2, 0.9)), rectangle(32, 20, 40, 30))
    np.testing.assert_array_equal(chosen(BOX, *masks, scores=(0.1, 0.9, 0.2)), rectangle(20, 20, 30, 30))


LEFT, RIGHT = (5, 5, 20, 20), (40, 40, 60, 60)
TWO = torch.maximum(at(*LEFT), at(*RIGHT))


@pytest.mark.parametrize("prompt", [Points(((10, 10),)), Scribble(((6, 6), (18, 18)))])
def test_points_and_scribbles_give_the_component_that_holds_them(prompt):
    np.testing.assert_array_equal(chosen(prompt, TWO, NOTHING, NOTHING), rectangle(*LEFT))


def test_points_in_two_components_give_both():
    found = chosen(Points(((10, 10), (50, 50))), TWO, NOTHING, NOTHING)
    np.testing.assert_array_equal(found, rectangle(*LEFT) | rectangle(*RIGHT))


def test_a_component_with_a_point_outside_is_left_out():
    three = torch.maximum(TWO, at(5, 40, 20, 60))
    found = chosen(Points(((10, 10), (50, 50)), ((59, 59),)), three, NOTHING, NOTHING)
    np.testing.assert_array_equal(found, rectangle(*LEFT))


def test_a_mask_without_the_points_outside_is_better_than_a_surer_one_with_them():
    found = chosen(Points(((10, 10),), ((18, 18),)), at(*LEFT), at(5, 5, 15, 15), NOTHING)
    np.testing.assert_array_equal(found, rectangle(5, 5, 15, 15))


def test_a_mask_with_more_of_the_points_inside_is_better_than_a_surer_one():
    found = chosen(Points(((10, 10), (50, 50))), at(*LEFT), TWO, NOTHING)
    np.testing.assert_array_equal(found, rectangle(*LEFT) | rectangle(*RIGHT))


@pytest.mark.parametrize(
    "prompt",
    [Points(((30, 30),)), Points(((10, 10),), ((18, 18),)), Scribble(((30, 5), (30, 60)))],
    ids=["beside every mask", "one component with both", "a scribble between"],
)
def test_points_that_no_component_fits_are_an_error(prompt):
    with pytest.raises(MaskError, match=r"nothing fits (Points|Scribble)\(.*in the 64x64 reference\. Mark the object"):
        chosen(prompt, TWO, at(*LEFT), NOTHING)


def check_a_box_on_a_photo(nano, name: str, box: tuple[int, int, int, int]) -> None:
    embedding = nano.backbone.encode([read_image(PHOTOS / f"{name}.jpg")])
    found = mask_from_prompt(Box(*box), nano.backbone, embedding)
    x0, y0, x1, y1 = box
    margin = 0.1 * max(x1 - x0, y1 - y0) + 0.5  # half a pixel for rounding
    left, top, right, bottom = box_of(found)
    assert x0 - margin <= left <= right <= x1 + margin
    assert y0 - margin <= top <= bottom <= y1 + margin
    assert found.sum() >= 0.05 * (x1 - x0) * (y1 - y0)


@pytest.mark.parametrize(
    ("name", "box"),
    [
        ("gallery", (300, 50, 440, 230)),
        ("astronaut", (120, 10, 370, 480)),
        ("camera", (110, 60, 330, 500)),
    ],
)
def test_the_bundled_model_keeps_to_a_box_on_a_photo(nano, name, box):
    check_a_box_on_a_photo(nano, name, box)


def test_the_bundled_model_keeps_to_a_box_of_nothing_or_says_that_nothing_fits(nano):
    with suppress(MaskError):
        check_a_box_on_a_photo(nano, "picnic", (0, 0, 10, 10))
