"""A clip from pictures: a folder, a pattern, arrays, an iterator; and frames that are read ahead of their use."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from persam.errors import VideoError
from persam.io.video import VideoFrame, open_video, read_ahead
from tests.io.clips import clip, folder, number_of, numbered, numbers


def test_folder_in_natural_order_by_the_names_of_its_files(tmp_path: Path) -> None:
    video = open_video(folder(tmp_path / "walk", 11), rate=5)
    assert (video.source, video.count, video.rate) == (tmp_path / "walk", 11, 5)
    frames = list(video.frames())
    assert [frame.name for frame in frames] == [f"walk_{number}" for number in range(1, 12)]
    assert [frame.time for frame in frames[:3]] == [0, 0.2, 0.4]
    np.testing.assert_array_equal(frames[9].rgb, numbered(9))
    assert numbers(video.frames(2, 9, 3)) == [(2, 2), (5, 5), (8, 8)]
    assert numbers(video.backward(step=4)) == [(10, 10), (6, 6), (2, 2)]


def test_pattern_paths_and_arrays(tmp_path: Path) -> None:
    walk = folder(tmp_path / "walk")
    arrays = [numbered(index) for index in range(3)]
    paths = [walk / "walk_3.png", str(walk / "walk_1.png")]
    for source, expected, names in (
        (str(walk / "*.png"), [0, 1, 2], ["walk_1", "walk_2", "walk_3"]),
        (paths, [2, 0], ["walk_3", "walk_1"]),
        (walk / "walk_2.png", [1], ["walk_2"]),
        (arrays, [0, 1, 2], ["00000", "00001", "00002"]),
        (tuple(arrays), [0, 1, 2], ["00000", "00001", "00002"]),
        (np.stack(arrays), [0, 1, 2], ["00000", "00001", "00002"]),
        (torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2), [0, 1, 2], ["00000", "00001", "00002"]),
    ):
        video = open_video(source)
        assert video.count == len(expected)
        assert [number_of(frame) for frame in video.frames()] == expected
        assert [number_of(frame) for frame in video.backward()] == expected[::-1]
        assert [frame.name for frame in video.frames()] == names


def test_frames_own_their_memory_where_the_caller_has_the_pictures() -> None:
    pictures = [numbered(0), numbered(1)]
    frames = list(open_video(pictures).frames())
    pictures[1][:] = 0
    assert number_of(frames[1]) == 1


def test_iterator_is_drawn_from_as_it_is_read_and_once() -> None:
    drawn: list[int] = []

    def camera() -> Iterator[np.ndarray]:
        buffer = numbered(0)
        for number in range(9):
            drawn.append(number)
            buffer[:] = numbered(number)
            yield buffer

    video = open_video(camera(), rate=2)
    assert (video.count, video.rate, video.size_hw, drawn) == (None, 2, (48, 64), [0])
    frames = video.frames(1, 6, 2)
    assert next(frames).time == 0.5
    assert drawn == [0, 1]
    assert numbers(frames) == [(3, 3), (5, 5)]
    assert drawn == [0, 1, 2, 3, 4, 5]
    with pytest.raises(VideoError, match=r"an iterator and was read before.* Make a new one, or pass a list"):
        next(video.frames())


def test_iterator_has_no_way_back_and_no_frame_past_its_end() -> None:
    video = open_video(iter([numbered(0), numbered(1)]))
    with pytest.raises(VideoError, match=r"gives its pictures forward only\. Pass a list"):
        video.backward()
    with pytest.raises(VideoError, match=r"there is no frame 2: the iterator gave fewer"):
        next(video.frames(2))


# --- reading ahead


def frames_of(count: int, drawn: list[int], closed: list[str], error: BaseException | None = None) -> Any:
    try:
        for index in range(count):
            drawn.append(index)
            yield VideoFrame(f"{index:05d}", index, float(index), np.zeros((1, 1, 3), np.uint8))
        if error:
            raise error
    finally:
        closed.append(threading.current_thread().name)


def test_read_ahead_keeps_the_order_and_ends() -> None:
    drawn: list[int] = []
    closed: list[str] = []
    assert [frame.index for frame in read_ahead(frames_of(20, drawn, closed), depth=3)] == list(range(20))
    assert closed == ["persam reads ahead"]


def test_read_ahead_raises_after_the_frames_before_the_error() -> None:
    got: list[int] = []
    with pytest.raises(VideoError, match="broken here"):
        got.extend(frame.index for frame in read_ahead(frames_of(5, [], [], VideoError("broken here"))))
    assert got == [0, 1, 2, 3, 4]


def test_read_ahead_reads_no_further_than_its_depth_and_ends_with_its_reader() -> None:
    drawn: list[int] = []
    closed: list[str] = []
    ahead = read_ahead(frames_of(99, drawn, closed), depth=3)
    assert drawn == []  # nothing before it is asked
    assert next(ahead).index == 0
    deadline = time.monotonic() + 5
    while len(drawn) < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert drawn == [0, 1, 2, 3]  # one is here, three wait
    ahead.close()
    assert closed == ["persam reads ahead"]
    assert all(thread.name != "persam reads ahead" for thread in threading.enumerate())


def test_reading_ahead_a_file_and_leaving_early_closes_it(tmp_path: Path) -> None:
    video = open_video(clip(tmp_path / "a.mp4", 40))
    ahead = read_ahead(video.frames())
    assert [next(ahead).index for _ in range(5)] == [0, 1, 2, 3, 4]
    ahead.close()
    assert numbers(read_ahead(video.backward(9))) == [(index, index) for index in range(9, -1, -1)]
