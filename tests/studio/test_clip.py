"""A clip on the page: tracked, put right in the middle, and taken home."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from persam.errors import LimitError, PerSAMError, TrackingError, VideoError
from persam.io.video import open_video
from persam.io.video_writer import VideoWriter
from persam.studio.limits import Limits
from tests.colour import BLUE, photo

FRAMES = 6


@pytest.fixture
def walk(tmp_path):
    """A red thing that goes right by four pixels a frame, in front of a blue one that stays."""
    path = tmp_path / "walk.mp4"
    with VideoWriter(path, rate=10) as writer:
        for number in range(FRAMES):
            rgb = photo(at_xyxy=(4 + 4 * number, 8, 19 + 4 * number, 23))
            rgb[40:56, 40:56] = BLUE
            writer.write(rgb, number / 10)
    return path


def tracked(session, **more):
    return list(session.clip.track(session.shelf.concepts(["red"]), session.model, more.get("limits", session.limits)))


def test_a_clip_is_tracked_and_plays(taught, walk):
    taught.open_clip(walk)
    results = tracked(taught)
    assert len(results) == FRAMES
    assert all(result["red"].present for result in results)
    assert open_video(taught.clip.overlay).count == FRAMES
    with zipfile.ZipFile(taught.clip.archive()) as file:
        names = file.namelist()
    assert "masks/00005.png" in names
    assert {"overlay.mp4", "results.jsonl"} <= set(names)


def test_every_second_frame(taught, walk):
    taught.open_clip(walk).step = 2
    assert [result.name for result in tracked(taught)] == ["00000", "00002", "00004"]
    assert taught.clip.frame(3).name == "00002"


def test_a_frame_shows_what_was_found_in_it(taught, walk):
    clip = taught.open_clip(walk)
    results = tracked(taught)
    assert np.array_equal(clip.mask(3, "red"), results[3]["red"].mask)
    assert clip.picture(3, "red").shape == (64, 64, 3)


def test_a_correction_takes_effect_from_its_frame_on(taught, walk):
    clip = taught.open_clip(walk)
    before = [result["red"].mask for result in tracked(taught)]
    clip.marks = clip.marks.clicked((45, 45), inside=True)
    shown = clip.mask(2, "red", taught.model)
    assert shown[45, 45]
    assert shown[15, 20]
    clip.keep_correction(2, "red", taught.model)
    assert clip.marks.clicks == ()
    assert np.array_equal(clip.mask(2, "red"), shown)
    after = [result["red"].mask for result in tracked(taught)]
    assert np.array_equal(after[1], before[1])
    assert np.array_equal(after[2], shown)
    assert np.array_equal(clip.mask(2, "red"), shown)


def test_a_correction_needs_a_click(taught, walk):
    clip = taught.open_clip(walk)
    tracked(taught)
    with pytest.raises(TrackingError, match="no correction in this frame yet"):
        clip.keep_correction(2, "red", taught.model)


def test_what_was_tracked_stays_when_the_time_is_over(taught, walk):
    times = iter([0.0, 1.0, 2.0, 20.0])
    clip = taught.open_clip(walk)
    with pytest.raises(LimitError, match="tracking the clip takes longer than 10 s"):
        tracked(taught, limits=Limits(seconds=10, clock=lambda: next(times)))
    assert clip.done == 3
    assert open_video(clip.overlay).count == 3
    with pytest.raises(TrackingError, match="frame 5 was not tracked"):
        clip.mask(5, "red")


def test_another_track_removes_the_files_of_the_one_before(taught, walk):
    clip = taught.open_clip(walk)
    tracked(taught)
    first = clip.tracked
    tracked(taught)
    assert not first.exists()
    assert clip.tracked.is_dir()


def test_a_clip_that_is_too_large_or_none_is_refused(taught, walk, tmp_path):
    taught.limits = Limits(file_mb=0.0001)
    with pytest.raises(LimitError, match=r"walk\.mp4 has"):
        taught.open_clip(walk)
    taught.limits = Limits(megapixels=0.001)
    with pytest.raises(LimitError, match="64x64 pixels"):
        taught.open_clip(walk)
    taught.limits = Limits()
    (tmp_path / "none.mp4").write_bytes(b"no clip")
    with pytest.raises(VideoError):
        taught.open_clip(tmp_path / "none.mp4")
    assert taught.clip is None
    with pytest.raises(PerSAMError, match="no clip yet"):
        taught.opened_clip()


def test_before_a_track_every_question_says_so(taught, walk):
    clip = taught.open_clip(walk)
    with pytest.raises(TrackingError, match="nothing was tracked yet"):
        clip.archive()
    tracked(taught)
    with pytest.raises(TrackingError, match=r"'blue' was not tracked in this clip\. Choose one of red"):
        clip.mask(0, "blue")


def test_objects_have_the_colour_of_the_video_in_a_frame(taught, walk):
    taught.load_reference(walk.parent / "uploads" / "ref.png")
    taught.click((15, 30), "object")
    taught.keep("again")
    clip = taught.open_clip(walk)
    list(clip.track(taught.shelf.concepts(["again", "red"]), taught.model, taught.limits))
    first, second = (clip.picture(0, name) for name in ("again", "red"))
    assert not np.array_equal(first, second)
    with Image.open(clip.tracked / "masks" / "00000.png") as indices:
        assert set(np.unique(np.array(indices))) <= {0, 1, 2}


def test_a_tab_that_is_closed_while_it_tracks_ends_the_track_without_an_error(taught, walk):
    clip = taught.open_clip(walk)
    frames = clip.track(taught.shelf.concepts(["red"]), taught.model, taught.limits)
    next(frames)
    taught.close()
    frames.close()  # what was still to be written has no place any more
    assert not clip.home.exists()
