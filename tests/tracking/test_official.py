"""The published video recipes, step by step with answers that can be seen; test_golden.py holds their numbers."""

import numpy as np
import pytest
import torch

from persam.errors import ConceptError
from persam.geometry import Frame
from persam.sam.decoder import NO_GUIDANCE
from persam.tracking import official
from persam.tracking.official import Target
from persam.types import ImageEmbedding
from tests.colour import BLUE, GREEN, GREY, RED, ColourBackbone
from tests.method.rehearsed import Rehearsed, answer, square

# ---- objects of plain colours on grey ground, which are found where they are

RED_AT, GREEN_AT, BLUE_AT = (4, 4, 19, 23), (36, 8, 51, 27), (20, 40, 39, 55)


def scene(*objects) -> tuple[np.ndarray, np.ndarray]:
    """A frame of 64 x 64 and its label map; objects are (box, colour) from label 1 on."""
    rgb, label_map = np.full((64, 64, 3), GREY, np.uint8), np.zeros((64, 64), np.uint8)
    for label, ((x0, y0, x1, y1), colour) in enumerate(objects, 1):
        rgb[y0 : y1 + 1, x0 : x1 + 1] = colour
        label_map[y0 : y1 + 1, x0 : x1 + 1] = label
    return rgb, label_map


def learned(*objects, tune: bool = False) -> tuple[ColourBackbone, list[Target], np.ndarray]:
    backbone, (rgb, label_map) = ColourBackbone(), scene(*objects)
    masks = [label_map == label for label in range(1, len(objects) + 1)]
    return backbone, official.learn(backbone, backbone.encode([rgb]), masks, tune=tune), label_map


def moved(box, x, y):
    x0, y0, x1, y1 = box
    return x0 + x, y0 + y, x1 + x, y1 + y


@pytest.mark.parametrize("tune", [False, True], ids=["persam", "persam_f"])
@pytest.mark.usefixtures("quick_fit")
def test_objects_that_move_are_followed_for_two_frames(tune):
    backbone, targets, label_map = learned((RED_AT, RED), (BLUE_AT, BLUE), tune=tune)
    for t in (1, 2):
        rgb, there = scene((moved(RED_AT, 4 * t, 2 * t), RED), (moved(BLUE_AT, -3 * t, 0), BLUE))
        found = official.step(backbone, backbone.encode([rgb]), targets, label_map)
        label_map = found.label_map
        np.testing.assert_array_equal(label_map, there)
        assert label_map.dtype == np.uint8
        assert [float(slot.mask.score) for slot in found.slots] == pytest.approx([0.9, 0.9])


def test_the_frame_is_encoded_once_for_all_objects():
    # ledger 12: the published code encodes the first frame for each of them
    backbone, targets, label_map = learned((RED_AT, RED), (GREEN_AT, GREEN), (BLUE_AT, BLUE))
    assert backbone.encoded == 1
    official.step(backbone, backbone.encode([scene((RED_AT, RED))[0]]), targets, label_map)
    assert backbone.encoded == 2


def test_after_a_loss_a_later_object_takes_the_slot_and_the_feature_of_the_one_before():
    # ledger 11
    objects = (RED_AT, RED), (GREEN_AT, GREEN), (BLUE_AT, BLUE)
    backbone, targets, label_map = learned(*objects)
    rgb, there = scene(*objects)
    lost = np.where(label_map == 2, 0, label_map).astype(np.uint8)
    found = official.step(backbone, backbone.encode([rgb]), targets, lost)
    assert len(found.slots) == 2
    # the second slot is told the place of the blue object, whose box grows to 10..50 x 30..64, and the green one's look
    centre, green = found.slots[1].prior.points_xy[2].tolist(), found.slots[1].prior.points_xy[0].tolist()
    assert centre == [(10 + 49) // 2, (30 + 64) // 2]
    assert there[int(green[1]), int(green[0])] == 2
    np.testing.assert_array_equal(found.label_map, np.where(there == 3, 0, there))  # green again, and blue is gone
    again = official.step(backbone, backbone.encode([rgb]), targets, found.label_map)
    assert len(again.slots) == 2  # what is lost does not come back


def test_labels_need_not_follow_each_other():
    backbone, targets, label_map = learned((RED_AT, RED), (BLUE_AT, BLUE))
    spread = np.array([0, 7, 200], np.uint8)[label_map]
    found = official.step(backbone, backbone.encode([scene((RED_AT, RED), (BLUE_AT, BLUE))[0]]), targets, spread)
    np.testing.assert_array_equal(found.label_map, label_map)


def test_labels_beyond_the_last_object_are_not_followed():
    backbone, targets, label_map = learned((RED_AT, RED), (BLUE_AT, BLUE))
    rgb, there = scene((RED_AT, RED), (BLUE_AT, BLUE))
    found = official.step(backbone, backbone.encode([rgb]), targets[:1], label_map)
    np.testing.assert_array_equal(found.label_map, there == 1)


def test_an_empty_label_map_stays_empty():
    backbone, targets, label_map = learned((RED_AT, RED))
    embedding = backbone.encode([scene((RED_AT, RED))[0]])
    found = official.step(backbone, embedding, targets, np.zeros_like(label_map))
    assert (found.slots, found.label_map.any(), found.label_map.shape) == ((), False, (64, 64))
    assert backbone.prompts == []


# ---- learning


def test_the_feature_is_half_the_mean_and_half_the_maximum_of_the_objects_patches_at_unit_length():
    features = torch.full((1, 2, 4, 4), -9.0)
    features[0, :, 1, 1], features[0, :, 1, 2] = torch.tensor([3.0, 0.0]), torch.tensor([1.0, 4.0])
    mask = np.zeros((64, 64), bool)
    mask[16:32, 16:48] = True
    embedding = ImageEmbedding(features, (Frame((64, 64), 64),), ("a frame",))
    (target,) = official.learn(Rehearsed(answer(0, 0, 0, 0)), embedding, [mask], tune=False)
    torch.testing.assert_close(target.feature, torch.tensor([2.5, 3.0]) / (2.5**2 + 3**2) ** 0.5)
    assert target.scale_weights is None


def test_patches_are_those_of_a_mask_at_grey_level_215():
    # ledger 15: a patch is looked at where its quarters meet; three of four give 161, and 96 at the image script's 128
    features = torch.arange(16.0).view(1, 1, 4, 4)
    mask = np.zeros((64, 64), bool)
    mask[16:32, 16:32] = True
    mask[24:32, 24:32] = False
    embedding = ImageEmbedding(torch.cat([features, 0 * features + 1], 1), (Frame((64, 64), 64),), ("a frame",))
    (target,) = official.learn(Rehearsed(answer(0, 0, 0, 0)), embedding, [mask], tune=False)
    torch.testing.assert_close(target.feature, torch.tensor([5.0, 1.0]) / 26**0.5)


def test_an_object_without_a_patch_is_an_error_that_names_it():
    # ledger 13: the published code goes on with NaN
    backbone, (rgb, label_map) = ColourBackbone(), scene((RED_AT, RED))
    speck = np.zeros((512, 512), bool)
    speck[100, 50:60] = True
    embedding = backbone.encode([np.zeros((512, 512, 3), np.uint8)])
    whole = np.ones((512, 512), bool)
    with pytest.raises(ConceptError, match=r"object 2, of 10 pixels, covers no patch.*recipe 'persam_video'"):
        official.learn(backbone, embedding, [whole, speck], tune=False)
    with pytest.raises(ConceptError, match=r"object 1, of 0 pixels, covers no patch"):
        official.learn(backbone, backbone.encode([rgb]), [label_map == 2], tune=True)


@pytest.mark.usefixtures("quick_fit")
def test_persam_f_fits_its_weights_to_the_objects_mask_with_the_prompt_of_later_frames():
    part = square(2, 2, 9, 9, side=SIDE)
    backbone = Rehearsed(answer(0, 0, 0, 0, masks=[EVERYTHING, EVERYTHING, part, NOTHING]))
    embedding = blank((SIDE, SIDE))
    (target,) = official.learn(backbone, embedding, [np.asarray(part) > 0], tune=True)
    assert target.scale_weights.sum() == pytest.approx(1, abs=1e-5)
    assert target.scale_weights[1] > 0.4  # from a third
    ((prompt, guidance),) = backbone.asked
    assert prompt.box_xyxy.tolist() == [[0, 0, 19, 19]]
    assert prompt.points_xy.shape == (1, 2, 2)
    assert prompt.points_xy[0, 1].tolist() == [9, 9]
    assert guidance is NO_GUIDANCE


# ---- the cascade, with answers told beforehand: 20 x 20 pixels, two patches a side

SIDE = 20
EVERYTHING, NOTHING = square(0, 0, 19, 19, side=SIDE), torch.full((SIDE, SIDE), -5.0)
FEATURE = torch.tensor([1.0, 0.0, 0.0])
BEFORE = (12, 14, 15, 16)


def blank(hw: tuple[int, int]) -> ImageEmbedding:
    """Its most similar patch is the second of the first row, so that the peak lies in the right upper corner."""
    features = torch.zeros(1, 3, 2, 2)
    features[0, :, 0, 1] = FEATURE
    features[0, 1, 1] = 1.0
    features[0, 1, 0, 0] = 1.0
    return ImageEmbedding(features, (Frame(hw, max(hw), max(hw) // 2),), ("a frame",))


def followed(*answers, weights=None):
    """The only slot, and what the backbone was asked."""
    backbone, label_map = Rehearsed(*answers), np.zeros((SIDE, SIDE), np.uint8)
    x0, y0, x1, y1 = BEFORE
    label_map[y0 : y1 + 1, x0 : x1 + 1] = 1
    weights = None if weights is None else torch.tensor(weights)
    found = official.step(backbone, blank((SIDE, SIDE)), [Target(FEATURE, weights)], label_map)
    (slot,) = found.slots
    np.testing.assert_array_equal(found.label_map > 0, slot.mask.logits > 0)
    return slot, backbone.asked


def rows(count: int, height: float = 5.0) -> torch.Tensor:
    """A mask of so many full rows: 20 pixels each."""
    return square(0, 0, 19, count - 1, side=SIDE, height=height)


WEIGHTS = [0.5, 0.5, 0.0]


@pytest.mark.parametrize(("weights", "count"), [(None, 2), (WEIGHTS, 1)], ids=["persam", "persam_f"])
def test_every_decode_is_prompted_with_the_peaks_and_the_centre_of_the_grown_box(weights, count):
    slot, asked = followed(answer(0.1, 0.2, 0.9, 0.3, masks=[NOTHING, rows(8), rows(4), rows(2)]), weights=weights)
    # the box 12, 14, 15, 16 grown by 10: 2 and 4, and on the high sides no further than the width and height, 20
    assert asked[0][0].box_xyxy.tolist() == [[2, 4, 20, 20]]
    assert slot.steps[0].box_xyxy == (2, 4, 20, 20)
    assert len(asked) == len(slot.steps) == 3
    *best, centre = slot.prior.points_xy.tolist()
    assert centre == [11, 12]
    assert len(best) == count
    for x, y in best:  # ledger 16: side by side
        assert x >= 14
        assert y <= 5
    if count == 2:
        assert (slot.prior.points_xy[0] - slot.prior.points_xy[1]).abs().sum() == 1
    for prompt, guidance in asked:
        assert torch.equal(prompt.points_xy[0], slot.prior.points_xy)
        assert prompt.labels.tolist() == [[1] * (count + 1)]
        assert guidance is NO_GUIDANCE


def test_persam_takes_the_largest_area_modulo_256_then_the_best():
    # ledger 8: 18 rows are 360 pixels, which eight bits hold as 104; 12 rows are 240
    masks = [EVERYTHING, rows(18), rows(12), rows(4)]
    slot, asked = followed(answer(0, 0.9, 0.1, 0.2, masks=masks))
    assert [step.taken for step in slot.steps] == [1, 0, 0]
    assert [step.box_xyxy for step in slot.steps] == [(2, 4, 20, 20), None, (0, 0, 19, 17)]
    assert [prompt.mask_logits is None for prompt, _ in asked] == [True, False, False]
    assert torch.equal(asked[1][0].mask_logits[0, 0], rows(12))
    assert torch.equal(asked[2][0].mask_logits[0, 0], rows(18))
    assert torch.equal(slot.mask.logits, rows(18))
    assert slot.mask.score == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("counts", "taken"),
    [((2, 12, 12), 1), ((4, 4, 4), 0), ((3, 13, 12), 2), ((0, 0, 0), 0)],
    ids=["the first of equals", "all equal", "260 counts as 4", "all empty"],
)
def test_the_area_that_decides(counts, taken):
    slot, _ = followed(answer(0, 0, 0, 0, masks=[NOTHING, *map(rows, counts)]))
    assert slot.steps[0].taken == taken


def test_persam_f_goes_on_with_the_weighted_sum_and_its_box():
    masks = [NOTHING, rows(10), rows(6, height=15.0), rows(2)]
    slot, asked = followed(answer(0, 0.2, 0.8, 0.1, masks=masks), weights=WEIGHTS)
    assert [step.taken for step in slot.steps] == [None, 1, 1]
    # 5 and 15 above; 5 and -15 in rows 6 to 9: the sum's box is that of the first six rows, both times
    assert slot.steps[0].mask.logits[:, 0].tolist() == [10.0] * 6 + [-5.0] * 4 + [-10.0] * 10
    assert slot.steps[0].mask.score == pytest.approx(0.5)
    assert torch.equal(asked[1][0].mask_logits[0, 0], slot.steps[0].mask.logits)
    assert [step.box_xyxy for step in slot.steps] == [(2, 4, 20, 20), (0, 0, 19, 5), (0, 0, 19, 5)]


@pytest.mark.parametrize(("weights", "box"), [([0.1, 0.0, 0.9], (0, 0, 19, 7)), ([-0.1, 0.0, 1.1], (0, 0, 19, 2))])
def test_an_empty_sum_takes_the_box_of_the_best_mask_by_scores_times_the_first_weight(weights, box):
    # the third mask, by far the heaviest, is empty, and so is the sum; a weight below 0 makes the worst the best
    masks = [NOTHING, rows(3), rows(8), NOTHING * 10]
    slot, asked = followed(answer(0, 0.2, 0.9, 0.3, masks=masks), weights=weights)
    assert not (slot.steps[0].mask.logits > 0).any()
    assert slot.steps[1].box_xyxy == box
    assert torch.equal(asked[1][0].mask_logits[0, 0], slot.steps[0].mask.logits)


# ---- empty masks


def test_an_empty_second_mask_leaves_the_first():
    # ledger 14: the published code crashes, because there is no box
    nothing = answer(0, 0.9, 0.8, 0.7, masks=[NOTHING] * 4)
    slot, asked = followed(answer(0, 0.3, 0.2, 0.1, masks=[NOTHING, rows(2), rows(12), rows(4)]), nothing)
    assert len(asked) == 2
    assert len(slot.steps) == 1
    assert torch.equal(slot.mask.logits, rows(12))
    assert slot.mask.score == pytest.approx(0.2)


def test_a_sum_without_any_box_loses_the_object():
    # ledger 14
    slot, asked = followed(answer(0, 0.9, 0.8, 0.7, masks=[NOTHING] * 4), weights=WEIGHTS)
    assert len(asked) == len(slot.steps) == 1
    assert not (slot.mask.logits > 0).any()


def test_an_empty_third_mask_loses_the_object():
    some = answer(0, 0.3, 0.2, 0.1, masks=[NOTHING, rows(2), rows(12), rows(4)])
    slot, _ = followed(some, some, answer(0, 0.9, 0.8, 0.7, masks=[NOTHING] * 4))
    assert len(slot.steps) == 3
    assert not (slot.mask.logits > 0).any()


# ---- the merge


def merged(*masks: torch.Tensor) -> np.ndarray:
    """The label map of a mask for each slot."""
    answers = [answer(0, 0.9, 0.1, 0.1, masks=[NOTHING, mask, mask, mask]) for mask in masks for _ in range(3)]
    label_map = np.zeros((SIDE, SIDE), np.uint8)
    label_map[0, : len(masks)] = range(1, len(masks) + 1)
    backbone, targets = Rehearsed(*answers), [Target(FEATURE)] * len(masks)
    return official.step(backbone, blank((SIDE, SIDE)), targets, label_map).label_map


def test_a_pixel_goes_to_the_highest_logit_and_of_equals_to_the_first():
    found = merged(rows(6), rows(10), square(0, 8, 19, 11, side=SIDE, height=9.0))
    np.testing.assert_array_equal(found[:, 0], [1] * 6 + [2] * 2 + [3] * 4 + [0] * 8)


def test_a_logit_of_nought_is_background():
    level = rows(4)
    level[2:] = 0.0
    assert merged(level)[:, 0].tolist() == [1, 1] + [0] * 18
