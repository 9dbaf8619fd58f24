"""Tracking by a video model: when concepts start it, when they bring an object back, and what results say.

The quick tests have a stand-in that carries masks as it is told; the slow ones SAM 2.1 and EdgeTAM with random weights.
"""

import numpy as np
import pytest
import torch

import persam
from persam.errors import NotCalibratedWarning, TrackingError, WeightsError
from persam.geometry import box_of
from persam.method import calibration
from persam.sam.video_memory import Propagated
from persam.sam.video_model import VideoModel, load_video_model
from persam.tracking.propagation import PATIENCE, Propagation
from persam.tracking.recipes import PropagationRecipe
from persam.tracking.tracker import Tracker
from persam.types import Decoded
from tests.colour import BLUE, GREY, ColourBackbone, colour_model, mask, photo
from tests.sam.video_models import KINDS, save, see

HERE, THERE = (6, 20, 25, 39), (36, 40, 55, 59)
RECIPE = PropagationRecipe(VideoModel(None, "stand-in", None, "none"))
EMPTY = np.zeros((64, 64), bool)


class Carried:
    """Carries the mask that was given last, where it was, until `says` has something else for a track id."""

    def __init__(self, model):
        self.model = model
        self.frames = 0
        self.given: dict[int, list[tuple[int, np.ndarray]]] = {}
        self.says: dict[int, tuple[np.ndarray, float]] = {}

    def enter(self, rgb):
        self.frames += 1

    def condition(self, track_id, mask):
        assert mask.any()
        self.given.setdefault(track_id, []).append((self.frames - 1, mask))

    def propagate(self, track_id):
        mask, presence = self.says.get(track_id, (self.given[track_id][-1][1], 0.9))
        logits = torch.where(torch.from_numpy(mask), 6.0 + track_id, -6.0)
        return Propagated(Decoded(logits, torch.tensor(0.8)), presence)


@pytest.fixture(autouse=True)
def stand_in(request, monkeypatch):
    if "slow" not in request.keywords:
        monkeypatch.setattr("persam.tracking.propagation.VideoMemory", Carried)


def started(model=None):
    """A tracker with its stand-in, and what it said of a first frame with a mask."""
    tracker = Tracker(model or colour_model(), recipe=RECIPE)
    first = tracker.step(photo(at_xyxy=HERE), [mask(at_xyxy=HERE)], names=["rex"])
    return tracker, memory_of(tracker), first


def memory_of(tracker):
    assert isinstance(tracker._follower, Propagation)
    return tracker._follower.memory


def at(box):
    """The box, give or take the pixel by which the colour stand-in is soft."""
    return pytest.approx(box, abs=1)


def given_at(memory, track_id=1):
    """Frames, and boxes, that the video model was given masks of."""
    return [(frame, box_of(one)) for frame, one in memory.given[track_id]]


def empty():
    return photo(at_xyxy=(0, 0, 0, 0), colour=GREY)


def test_a_mask_starts_the_video_model_which_carries_it():
    tracker, memory, first = started()
    assert (first["rex"].mask == mask(at_xyxy=HERE)).all()
    assert (first["rex"].score, first["rex"].track_id) == (1.0, 1)
    memory.says[1] = mask(at_xyxy=THERE), 0.75
    second = tracker.step(photo(at_xyxy=HERE))["rex"]
    assert (second.mask == mask(at_xyxy=THERE)).all()
    assert second.box_xyxy == THERE
    assert (second.track_id, second.presence, second.present) == (1, 0.75, True)
    assert second.score == pytest.approx(0.8)
    assert given_at(memory) == [(0, HERE)]


def test_what_is_followed_costs_no_encoding_of_ours():
    model = colour_model()
    tracker, _, _ = started(model)
    before = model.backbone.encoded
    tracker.step(photo(at_xyxy=HERE))
    assert model.backbone.encoded == before


def test_a_concept_starts_the_video_model_in_the_frame_where_it_is_found():
    model = colour_model()
    tracker = Tracker(model, recipe=RECIPE)
    tracker.add_concepts(model.learn(photo(), mask(), name="red"))
    memory = memory_of(tracker)
    for _ in range(2):
        absent = tracker.step(empty())["red"]
        assert (absent.present, absent.track_id) == (False, 1)
        assert not memory.given
    found = tracker.step(photo(at_xyxy=THERE))["red"]
    assert found.present
    assert found.box_xyxy == at(THERE)
    assert given_at(memory) == [(2, found.box_xyxy)]
    before = model.backbone.encoded
    assert tracker.step(photo(at_xyxy=HERE))["red"].box_xyxy == at(THERE)  # the stand-in's word now
    assert model.backbone.encoded == before


def test_an_object_that_the_video_model_does_not_see_is_absent():
    tracker, memory, _ = started()
    memory.says[1] = EMPTY, 0.02
    gone = tracker.step(empty())["rex"]
    assert (gone.present, gone.presence, gone.box_xyxy, gone.track_id) == (False, 0.02, None, 1)


def test_presence_is_against_the_models_threshold():
    model = persam.PerSAM(ColourBackbone(), threshold=0.8)
    tracker, memory, _ = started(model)
    memory.says[1] = mask(at_xyxy=HERE), 0.79
    unsure = tracker.step(photo(at_xyxy=HERE))["rex"]
    assert not unsure.present
    assert unsure.mask.any()  # its best guess
    memory.says[1] = mask(at_xyxy=HERE), 0.81
    assert tracker.step(photo(at_xyxy=HERE))["rex"].present


def test_what_is_lost_for_long_is_found_again_under_its_number():
    model = colour_model()
    tracker, memory, _ = started(model)
    memory.says[1] = EMPTY, 0.1
    before = model.backbone.encoded
    for _ in range(PATIENCE):
        assert not tracker.step(photo(at_xyxy=THERE))["rex"].present
    assert model.backbone.encoded == before  # so long it is the video model's alone
    back = tracker.step(photo(at_xyxy=THERE))["rex"]
    assert (back.present, back.track_id) == (True, 1)
    assert back.box_xyxy == at(THERE)
    assert given_at(memory) == [(0, HERE), (PATIENCE + 1, back.box_xyxy)]
    del memory.says[1]
    assert tracker.step(photo(at_xyxy=HERE))["rex"].box_xyxy == at(THERE)


def test_the_wait_begins_anew_when_the_video_model_sees_it_again():
    tracker, memory, _ = started()
    for seen in (False, True, False):
        memory.says[1] = (mask(at_xyxy=HERE), 0.9) if seen else (EMPTY, 0.1)
        for _ in range(PATIENCE):
            tracker.step(photo(at_xyxy=THERE))
    assert given_at(memory) == [(0, HERE)]


def test_something_else_in_its_place_is_no_comeback():
    tracker, memory, _ = started()
    memory.says[1] = EMPTY, 0.1
    for _ in range(PATIENCE + 2):
        result = tracker.step(photo(at_xyxy=THERE, colour=BLUE))["rex"]
        assert not result.present
    assert result.presence == 0.1  # the video model's
    assert given_at(memory) == [(0, HERE)]


def test_a_model_that_cannot_judge_presence_brings_nothing_back(monkeypatch):
    monkeypatch.setattr(calibration, "_TOLD", set())
    backbone = ColourBackbone("uncalibrated")
    with pytest.warns(NotCalibratedWarning):
        tracker, memory, _ = started(persam.PerSAM(backbone))
    memory.says[1] = EMPTY, 0.1
    before = backbone.encoded
    for _ in range(PATIENCE + 2):
        assert not tracker.step(photo(at_xyxy=THERE))["rex"].present
    assert given_at(memory) == [(0, HERE)]
    assert backbone.encoded == before


def test_a_correction_is_a_conditioning_frame():
    tracker, memory, _ = started()
    wrong = tracker.step(photo(at_xyxy=HERE))
    right = tracker.correct(wrong, mask(at_xyxy=THERE))
    assert (right["rex"].mask == mask(at_xyxy=THERE)).all()
    assert given_at(memory) == [(0, HERE), (1, THERE)]
    assert tracker.step(photo(at_xyxy=HERE))["rex"].box_xyxy == THERE


def test_a_correction_may_show_a_concept_that_was_never_found():
    model = colour_model()
    tracker = Tracker(model, recipe=RECIPE)
    tracker.add_concepts(model.learn(photo(), mask(), name="red"))
    tracker.correct(tracker.step(empty()), mask(at_xyxy=THERE))
    assert given_at(memory_of(tracker)) == [(0, THERE)]
    assert tracker.step(empty())["red"].box_xyxy == THERE


def test_a_pixel_belongs_to_one_object_and_numbers_stay():
    tracker, memory, _ = started()
    both = photo(at_xyxy=HERE)
    second = tracker.step(both, [mask(at_xyxy=THERE)], names=["tom"])
    assert [(one.concept, one.track_id) for one in second.segmentations] == [("rex", 1), ("tom", 2)]
    memory.says = {1: (mask(at_xyxy=(10, 10, 29, 29)), 0.9), 2: (mask(at_xyxy=(20, 20, 39, 39)), 0.9)}
    third = tracker.step(both)
    assert [(one.concept, one.track_id) for one in third.segmentations] == [("rex", 1), ("tom", 2)]
    assert (third["tom"].mask == mask(at_xyxy=(20, 20, 39, 39))).all()  # its logits are the higher ones
    assert (third["rex"].mask == (mask(at_xyxy=(10, 10, 29, 29)) & ~third["tom"].mask)).all()


def test_the_video_model_is_loaded_when_the_tracker_is_made(tmp_path):
    with pytest.raises(WeightsError, match="there is no folder"):
        Tracker(colour_model(), recipe=PropagationRecipe(tmp_path / "none"))
    with pytest.raises(TrackingError, match="nothing to track"):
        Tracker(colour_model(), recipe=RECIPE).step(photo())


# ---- on networks with random weights


@pytest.fixture(scope="module", params=KINDS)
def video_model(request, tmp_path_factory):
    return load_video_model(save(request.param, tmp_path_factory.mktemp(request.param)), device="cpu")


def clip(count=5):
    return [photo(at_xyxy=(6 + 2 * n, 20, 25 + 2 * n, 39), hw=(64, 96)) for n in range(count)]


@pytest.mark.slow
def test_a_clip_is_tracked_by_masks(video_model):
    masks = [mask(at_xyxy=HERE, hw=(64, 96)), mask(at_xyxy=THERE, hw=(64, 96))]
    recipe = PropagationRecipe(video_model)
    frames = list(persam.track(clip(), masks, model=colour_model(), recipe=recipe, names=["rex", "tom"]))
    assert [one.name for one in frames] == ["00000", "00001", "00002", "00003", "00004"]
    for frame in frames:
        assert [(one.concept, one.track_id) for one in frame.segmentations] == [("rex", 1), ("tom", 2)]
        assert {one.mask.shape for one in frame.segmentations} == {(64, 96)}
        assert all(0 <= one.presence <= 1 and 0 <= one.score <= 1 for one in frame.segmentations if one.presence)
        assert not (frame["rex"].mask & frame["tom"].mask).any()
    assert (frames[0]["rex"].mask == masks[0]).all()
    assert frames[1]["rex"].presence is not None


@pytest.mark.slow
def test_a_concept_starts_it_and_an_object_that_is_gone_comes_back(video_model):
    model = colour_model()
    tracker = Tracker(model, recipe=PropagationRecipe(video_model))
    tracker.add_concepts(model.learn(photo(), mask(), name="red"))
    assert not tracker.step(empty())["red"].present
    assert tracker.step(photo(at_xyxy=THERE))["red"].box_xyxy == at(THERE)
    see(video_model.network, -3.0)
    for _ in range(PATIENCE):
        gone = tracker.step(empty())["red"]
        assert (gone.present, gone.box_xyxy) == (False, None)
    assert tracker.step(photo(at_xyxy=HERE))["red"].box_xyxy == at(HERE)
    see(video_model.network, None)
    assert tracker.step(photo(at_xyxy=HERE))["red"].track_id == 1


@pytest.mark.slow
def test_a_folder_is_enough(tmp_path):
    recipe = PropagationRecipe(save("Sam2Video", tmp_path / "tiny"))
    first, second = persam.track(clip(2), mask(at_xyxy=HERE, hw=(64, 96)), model=colour_model(), recipe=recipe)
    assert first["object 1"].present
    assert second["object 1"].mask.shape == (64, 96)
