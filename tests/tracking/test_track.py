"""`persam.track`: a video in, a result a frame out."""

import inspect

import numpy as np
import pytest

import persam
from persam.errors import TrackingError, VideoError
from tests.colour import colour_model, mask, photo

START = (6, 20, 25, 39)


def clip(count=6):
    """The square goes two pixels a frame to the right."""
    return [photo(at_xyxy=(6 + 2 * n, 20, 25 + 2 * n, 39)) for n in range(count)]


def boxes(results):
    return [frame.box_xyxy[0] for frame in results]


def test_every_frame_has_a_result_with_name_time_and_number():
    results = list(persam.track(clip(), mask(at_xyxy=START), model=colour_model(), names=["rex"]))
    assert [one.name for one in results] == [f"{n:05d}" for n in range(6)]
    assert [one.time for one in results] == pytest.approx([n / 24 for n in range(6)])
    assert {one["rex"].track_id for one in results} == {1}
    assert boxes(results) == pytest.approx([6, 8, 10, 12, 14, 16], abs=2)


def test_results_come_while_frames_are_read():
    assert inspect.isgenerator(persam.track(iter(clip()), mask(at_xyxy=START), model=colour_model()))


def test_backward_from_the_last_frame():
    last = mask(at_xyxy=(16, 20, 35, 39))
    results = list(persam.track(clip(), last, model=colour_model(), backward=True))
    assert [one.name for one in results] == ["00005", "00004", "00003", "00002", "00001", "00000"]
    assert boxes(results) == pytest.approx([16, 14, 12, 10, 8, 6], abs=2)


def test_a_part_of_the_clip_in_steps():
    begin = mask(at_xyxy=(8, 20, 27, 39))
    results = list(persam.track(clip(), begin, model=colour_model(), start=1, stop=5, step=2))
    assert [one.name for one in results] == ["00001", "00003"]


def test_a_concept_is_found_without_a_mask_in_the_clip():
    model = colour_model()
    rex = model.learn(photo(), mask(), name="rex")
    results = list(persam.track(np.stack(clip(3)), rex, model=model))
    assert [one["rex"].present for one in results] == [True, True, True]


def test_the_clip_may_end_early_after_the_results_before():
    frames = [*clip(2), np.zeros((32, 32, 3), np.uint8)]
    results = persam.track(frames, mask(at_xyxy=START), model=colour_model())
    assert [next(results).name, next(results).name] == ["00000", "00001"]
    with pytest.raises(VideoError, match="32x32"):
        next(results)


def test_masks_and_concepts_do_not_mix():
    model = colour_model()
    rex = model.learn(photo(), mask(), name="rex")
    with pytest.raises(TrackingError, match="give masks of frame `start`"):
        persam.track(clip(), [rex, mask()], model=model)
    with pytest.raises(TrackingError, match="give masks of frame `start`"):
        persam.track(clip(), [], model=model)
