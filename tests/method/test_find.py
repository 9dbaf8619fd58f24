"""How finds share an image's pixels: every pixel belongs to one, and what is not present keeps its best guess."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from persam.io.album import Target
from persam.method.concept import Concept
from persam.method.find import Extent, Find, result_of, without_overlap
from persam.method.recipes import PERSAM
from persam.types import Decoded, LocationPrior
from tests.method.rehearsed import NOTHING, SIDE, square

PRIOR = LocationPrior(torch.tensor([[0.5, -0.5]]), torch.tensor([[2.0, 3.0], [7.0, 0.0]]), torch.tensor([1.0, 0.0]))
LEFT, RIGHT, MIDDLE = square(0, 0, 3, 7), square(4, 0, 7, 7), square(2, 0, 5, 7)


def find(name: str, logits: torch.Tensor, **changes: object) -> Find:
    feature = torch.tensor([1.0])
    concept = Concept(name, PERSAM, "rehearsed", "0", feature, feature)
    return replace(Find(concept, PRIOR, Decoded(logits, torch.tensor(0.75))), **changes)


def masks(*finds: Find) -> list[torch.Tensor]:
    return [one.inside for one in without_overlap(finds)]


def test_what_does_not_overlap_stays_as_it_is():
    finds = [find("rex", LEFT), find("rex", RIGHT), find("tom", NOTHING, present=False)]
    assert without_overlap(finds) == finds
    assert without_overlap([]) == []


def test_among_instances_the_pixel_is_that_of_the_first_found_however_sure_the_second_is():
    first, second = masks(find("rex", LEFT), find("rex", square(3, 0, 7, 7, height=9.0)))
    assert torch.equal(first, LEFT > 0)
    assert torch.equal(second, RIGHT > 0)


def test_an_instance_of_which_less_than_half_is_left_is_the_same_thing_again():
    half = find("rex", square(2, 0, 5, 7))  # two of its four columns are free
    for same in (square(1, 0, 4, 7), square(1, 0, 5, 7)):  # one of four, two of five
        (only,) = masks(find("rex", LEFT), find("rex", same))
        assert torch.equal(only, LEFT > 0)
    _, second = masks(find("rex", LEFT), half)
    assert torch.equal(second, square(4, 0, 5, 7) > 0)


def test_what_was_dropped_takes_no_pixels():
    _, third = masks(find("rex", LEFT), find("rex", square(1, 0, 4, 7)), find("rex", RIGHT))
    assert torch.equal(third, RIGHT > 0)


def test_among_concepts_the_surer_logits_have_the_pixel():
    surer = square(2, 0, 5, 7, height=9.0)
    first, second = masks(find("rex", LEFT), find("tom", surer))
    assert torch.equal(first, square(0, 0, 1, 7) > 0)
    assert torch.equal(second, surer > 0)
    first, second = masks(find("tom", surer), find("rex", LEFT))
    assert torch.equal(first, surer > 0)
    assert torch.equal(second, square(0, 0, 1, 7) > 0)


def test_of_equally_sure_concepts_the_first_has_the_pixel():
    first, second = masks(find("rex", LEFT), find("tom", MIDDLE))
    assert torch.equal(first, LEFT > 0)
    assert torch.equal(second, square(4, 0, 5, 7) > 0)


def test_a_concept_that_loses_every_pixel_is_not_present():
    rex, tom = without_overlap([find("rex", LEFT), find("tom", square(1, 1, 2, 2))])
    assert rex.present
    assert not tom.present
    assert not tom.inside.any()


def test_what_is_not_present_keeps_its_best_guess_and_takes_no_pixel():
    absent = find("tom", square(2, 0, 5, 7, height=9.0), present=False, presence=0.1)
    for order in ([find("rex", LEFT), absent], [absent, find("rex", LEFT)]):
        kept = {one.concept.name: one for one in without_overlap(order)}
        assert torch.equal(kept["rex"].inside, LEFT > 0)
        assert kept["tom"] is absent


def test_several_instances_of_several_concepts_share_one_image():
    finds = [
        find("rex", square(0, 0, 3, 3)),
        find("rex", square(3, 0, 7, 3)),
        find("tom", square(0, 2, 7, 7, height=9.0)),
        find("tom", square(6, 6, 7, 7, height=9.0)),  # the same thing again
    ]
    kept = without_overlap(finds)
    assert [one.concept.name for one in kept] == ["rex", "rex", "tom"]
    together = torch.stack([one.inside for one in kept]).int().sum(0)
    assert together.max() == 1
    expected = [square(0, 0, 3, 1), square(4, 0, 7, 1), square(0, 2, 7, 7)]
    assert all(torch.equal(one.inside, truth > 0) for one, truth in zip(kept, expected, strict=True))


# ---- results


def target() -> Target:
    return Target("park", Path("park.jpg"), lambda: np.zeros((SIDE, SIDE, 3), np.uint8))


def test_a_find_becomes_a_result_of_arrays():
    segmentation = find("rex", square(1, 2, 5, 4), presence=0.8).segmentation(3)
    assert (segmentation.concept, segmentation.instance) == ("rex", 3)
    np.testing.assert_array_equal(segmentation.mask, square(1, 2, 5, 4) > 0)
    assert segmentation.box_xyxy == (1, 2, 5, 4)
    assert (segmentation.score, segmentation.presence, segmentation.present) == (0.75, 0.8, True)
    assert segmentation.points_xy.tolist() == [[2, 3], [7, 0]]
    assert segmentation.labels.tolist() == [1, 0]
    assert segmentation.similarity.tolist() == [[0.5, -0.5]]


@pytest.mark.parametrize(("predicted", "score"), [(1.02, 1.0), (-0.1, 0.0), (0.5, 0.5)])
def test_a_predicted_iou_is_brought_into_0_to_1(predicted, score):
    assert find("rex", LEFT, mask=Decoded(LEFT, torch.tensor(predicted))).segmentation(1).score == score


def test_instances_are_numbered_within_their_concept():
    finds = [find("rex", square(0, 0, 1, 1)), find("rex", square(4, 4, 5, 5)), find("tom", square(6, 0, 7, 1))]
    result = result_of(target(), target().read(), finds)
    assert [(one.concept, one.instance) for one in result.segmentations] == [("rex", 1), ("rex", 2), ("tom", 1)]
    assert (result.name, result.source, result.size_hw) == ("park", Path("park.jpg"), (SIDE, SIDE))
    assert result["tom"].box_xyxy == (6, 0, 7, 1)


def test_without_an_instance_that_was_dropped_the_numbers_have_no_gap():
    finds = [find("rex", LEFT), find("rex", LEFT), find("rex", RIGHT)]
    result = result_of(target(), target().read(), finds)
    assert [(one.instance, one.box_xyxy) for one in result] == [(1, (0, 0, 3, 7)), (2, (4, 0, 7, 7))]


@pytest.mark.parametrize("seed", range(20))
def test_pixels_that_two_masks_share_are_counted_where_their_boxes_meet(seed):
    random = torch.Generator().manual_seed(seed)
    pair = torch.zeros(2, 12, 9, dtype=torch.bool)
    for mask in pair:  # somewhere, so that some do not meet
        y, x, height, width = (int(torch.randint(1, most, (), generator=random)) for most in (10, 7, 6, 6))
        mask[y : y + height, x : x + width] = (
            torch.rand(mask[y : y + height, x : x + width].shape, generator=random) > 0.3
        )
    one, other = (Extent.of(mask) for mask in pair)
    if one is None or other is None:
        assert not pair.flatten(1).any(1).all()
        return
    assert (one.area_px, other.area_px) == tuple(pair.sum((1, 2)).tolist())
    assert one.shared_px(other) == other.shared_px(one) == int((pair[0] & pair[1]).sum())


def test_an_empty_mask_has_no_extent():
    assert find("rex", NOTHING).extent is None
