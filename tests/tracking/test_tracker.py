"""The tracker on a stand-in that knows colours: what it finds can be told by looking at the frames."""

import numpy as np
import pytest
import torch

import persam
from persam.errors import MaskError, OutOfMemoryError, TrackingError
from persam.tracking.tracker import Tracker, _Ours
from tests.colour import BLUE, GREEN, RED, VIEWS, colour_model, mask, photo

HERE, THERE = (6, 20, 25, 39), (36, 40, 55, 59)


def moved(at, by):
    return (at[0] + by, at[1], at[2] + by, at[3])


def two(red=HERE, blue=THERE, red_colour=RED, blue_colour=BLUE):
    """A red and a blue rectangle; None for one that is not there."""
    rgb = photo(at_xyxy=red, colour=red_colour) if red else photo(at_xyxy=(0, 0, 0, 0), colour=(128, 128, 128))
    if blue:
        x0, y0, x1, y1 = blue
        rgb[y0 : y1 + 1, x0 : x1 + 1] = blue_colour
    return rgb


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


def started(recipe="persam_video", model=None):
    tracker = Tracker(model or colour_model(), recipe=recipe)
    first = tracker.step(two(), [mask(at_xyxy=HERE), mask(at_xyxy=THERE)], names=["red", "blue"])
    return tracker, first


@pytest.mark.parametrize("recipe", ["persam_video", "persam_video_fast", "official_persam_video"])
def test_both_objects_are_followed_under_their_numbers(recipe):
    tracker, first = started(recipe)
    assert [(one.concept, one.track_id) for one in first.segmentations] == [("red", 1), ("blue", 2)]
    for step in range(1, 4):
        result = tracker.step(two(moved(HERE, 2 * step), moved(THERE, -2 * step)), time=step / 24)
        assert [(one.concept, one.track_id) for one in result.segmentations] == [("red", 1), ("blue", 2)]
        assert iou(result["red"].mask, mask(at_xyxy=moved(HERE, 2 * step))) > 0.75
        assert iou(result["blue"].mask, mask(at_xyxy=moved(THERE, -2 * step))) > 0.75
        assert result.time == step / 24
        assert not (result["red"].mask & result["blue"].mask).any()


def test_an_object_that_leaves_is_not_here_and_comes_back_under_its_number():
    tracker, _ = started()
    gone = tracker.step(two(red=None))
    assert not gone["red"].present
    assert gone["blue"].present
    back = tracker.step(two(red=(2, 2, 21, 21)))
    assert back["red"].present
    assert back["red"].track_id == 1
    assert iou(back["red"].mask, mask(at_xyxy=(2, 2, 21, 21))) > 0.75


def test_another_object_in_its_place_is_not_taken_for_it():
    tracker, _ = started()
    result = tracker.step(two(red_colour=GREEN))
    assert not result["red"].present


def test_an_object_may_enter_late():
    tracker = Tracker(colour_model())
    tracker.step(two(blue=None), [mask(at_xyxy=HERE)], names=["red"])
    second = tracker.step(two(), [mask(at_xyxy=THERE)])
    assert [(one.concept, one.track_id) for one in second.segmentations] == [("red", 1), ("object 2", 2)]
    third = tracker.step(two())
    assert third["object 2"].present


def test_concepts_need_no_mask_in_the_video():
    model = colour_model()
    red = model.learn(photo(), mask(), name="red")
    tracker = Tracker(model)
    tracker.add_concepts(red)
    assert not tracker.step(two(red=None))["red"].present
    found = tracker.step(two())
    assert found["red"].present
    assert found["red"].track_id == 1
    assert iou(found["red"].mask, mask(at_xyxy=HERE)) > 0.75
    assert iou(tracker.step(two(moved(HERE, 2)))["red"].mask, mask(at_xyxy=moved(HERE, 2))) > 0.75


def test_a_correction_is_a_new_anchor_and_the_number_stays():
    model = colour_model()
    tracker = Tracker(model)
    wrong = tracker.step(two(), [mask(at_xyxy=HERE)], names=["it"])
    right = tracker.correct(wrong, mask(at_xyxy=THERE))
    assert right["it"].track_id == 1
    assert (right["it"].mask == mask(at_xyxy=THERE)).all()
    assert model.backbone.encoded == 2 + VIEWS  # the frame, and the reference with its crops: a correction costs none


@pytest.mark.parametrize("mark", [persam.Box(36, 40, 55, 59), persam.Points(((45, 50),))])
def test_a_correction_may_be_a_box_or_points(mark):
    tracker, first = started()
    right = tracker.correct(first, mark, concept="blue")
    assert iou(right["blue"].mask, mask(at_xyxy=THERE)) > 0.9
    assert right["red"].present


def test_what_a_correction_gives_to_one_object_is_taken_from_the_others():
    tracker = Tracker(colour_model())
    both = mask(at_xyxy=HERE) | mask(at_xyxy=THERE)
    first = tracker.step(two(), [both, mask(at_xyxy=(0, 0, 3, 3))], names=["red", "blue"])
    right = tracker.correct(first, mask(at_xyxy=THERE), concept="blue")
    assert (right["red"].mask == mask(at_xyxy=HERE)).all()
    assert isinstance(tracker._follower, _Ours)
    red = tracker._follower.tracks[0]
    assert (red.logits > 0).sum() == mask(at_xyxy=HERE).sum()  # what the next frame starts from


def test_a_frame_is_encoded_once_however_many_objects():
    model = colour_model()
    tracker, _ = started("persam_video_fast", model)
    before = model.backbone.encoded
    tracker.step(two(moved(HERE, 1), moved(THERE, 1)))
    assert model.backbone.encoded == before + 1


def test_crop_refinement_costs_one_more_encoding_however_many_objects():
    model = colour_model()
    tracker, _ = started("persam_video", model)
    before = model.backbone.encoded
    tracker.step(two(moved(HERE, 1), moved(THERE, 1)))
    assert model.backbone.encoded == before + 2


def test_what_cannot_be_tracked_is_said():
    with pytest.raises(TrackingError, match="no recipe named 'fastest'"):
        Tracker(colour_model(), recipe="fastest")
    with pytest.raises(TrackingError, match="nothing to track"):
        Tracker(colour_model()).step(two())
    tracker, first = started()
    with pytest.raises(TrackingError, match="the frame is 32x64 and those before were 64x64"):
        tracker.step(two()[:, :32])
    with pytest.raises(TrackingError, match="'red' is tracked already"):
        tracker.step(two(), [mask()], names=["red"])
    with pytest.raises(TrackingError, match="1 masks came with 2 names"):
        tracker.step(two(), [mask()], names=["one", "two"])
    assert tracker.correct(first, mask(at_xyxy=HERE), concept="red").present  # what was refused has changed nothing
    tracker.step(two())
    with pytest.raises(TrackingError, match="only the last frame can be corrected"):
        tracker.correct(first, mask(), concept="red")


def test_a_frame_for_which_there_is_no_memory_says_so(monkeypatch):
    tracker = Tracker(colour_model())
    tracker.step(photo(), [mask()])

    def fail(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB.")

    monkeypatch.setattr(tracker.model.backbone, "encode", fail)
    with pytest.raises(OutOfMemoryError, match="tracking a frame needs more memory than is free"):
        tracker.step(photo())


def test_what_cannot_be_corrected_is_said():
    tracker, first = started()
    with pytest.raises(TrackingError, match=r"concept is one of \['red', 'blue'\], and None was given"):
        tracker.correct(first, mask())
    with pytest.raises(MaskError, match="empty"):
        tracker.correct(first, np.zeros((64, 64), bool), concept="red")


def test_a_published_recipe_starts_from_masks_of_the_first_frame_alone():
    model = colour_model()
    tracker, first = started("official_persam_video", model)
    with pytest.raises(TrackingError, match="all masks in the first frame"):
        tracker.step(two(), [mask()])
    with pytest.raises(TrackingError, match="knows no corrections"):
        tracker.correct(first, mask(), concept="red")
    with pytest.raises(TrackingError, match="starts from masks"):
        tracker.add_concepts(model.learn(photo(), mask()))
