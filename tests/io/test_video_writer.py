"""A video holds its pictures and their times, plays however its writing ended, and appears whole."""

import errno
import os
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from persam.errors import OutputError, VideoError
from persam.io.video import open_video
from persam.io.video_writer import VideoWriter
from tests.io.clips import RED, clip, numbered, numbers, write

PICTURE = numbered(0)


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".MP4"])
def test_pictures_come_back(tmp_path: Path, suffix: str) -> None:
    video = open_video(write(tmp_path / f"a{suffix}"))
    assert (video.count, video.rate, video.size_hw) == (10, 10, (48, 64))
    assert numbers(video.frames()) == [(index, index) for index in range(10)]
    assert numbers(video.backward()) == [(index, index) for index in range(9, -1, -1)]
    for frame in video.frames():
        # lossy, and a quarter of the colours: 8 levels off near the edge; BT.601 for BT.709 is off by more than 15
        np.testing.assert_allclose(frame.rgb[2:12, 2:12].astype(int), np.broadcast_to(RED, (10, 10, 3)), atol=10)


def test_mp4_is_what_browsers_play(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    with av.open(str(path)) as container:
        [stream] = container.streams
        encoded: Any = stream.codec_context
        assert (encoded.name, encoded.pix_fmt, encoded.profile) == ("h264", "yuv420p", "High")
        assert (encoded.colorspace, encoded.color_primaries, encoded.color_trc, encoded.color_range) == (1, 1, 1, 1)
        stamps = [(packet.pts, packet.dts) for packet in container.demux(stream) if packet.size]
        assert all(pts == dts for pts, dts in stamps)  # no B-frames
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")  # plays before it is loaded


@pytest.mark.parametrize(
    ("size_hw", "even_hw"), [((47, 63), (48, 64)), ((48, 63), (48, 64)), ((1, 1), (2, 2))], ids=str
)
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_odd_sides_repeat_their_edge(
    tmp_path: Path, suffix: str, size_hw: tuple[int, int], even_hw: tuple[int, int]
) -> None:
    with VideoWriter(tmp_path / f"a{suffix}", rate=10) as writer:
        for index in range(3):
            writer.write(np.full((*size_hw, 3), 90, np.uint8), index / 10)
    video = open_video(tmp_path / f"a{suffix}")
    assert video.size_hw == even_hw
    for frame in video.frames():
        np.testing.assert_allclose(frame.rgb.astype(int), 90, atol=3)


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_times_are_kept_and_begin_at_0(tmp_path: Path, suffix: str) -> None:
    times = [2.0, 2.04, 2.5, 2.51, 3.9]
    with VideoWriter(tmp_path / f"a{suffix}", rate=25) as writer:
        for index, time in enumerate(times):
            writer.write(numbered(index), time)
    frames = list(open_video(tmp_path / f"a{suffix}").frames())
    assert [frame.time for frame in frames] == pytest.approx([0, 0.04, 0.5, 0.51, 1.9], abs=1e-3)
    with av.open(str(tmp_path / f"a{suffix}")) as container:
        assert container.duration / 1e6 == pytest.approx(1.94, abs=2e-3)  # the last one for 1 / 25 s


def test_transparency_of_webm(tmp_path: Path) -> None:
    picture = np.full((48, 64, 4), 120, np.uint8)
    picture[:24, :, 3], picture[24:, :, 3] = 255, 0
    with VideoWriter(tmp_path / "a.webm", rate=10) as writer:
        for index in range(3):
            writer.write(picture, index / 10)
    with av.open(str(tmp_path / "a.webm")) as container:
        decoder = av.CodecContext.create("libvpx-vp9", "r")  # FFmpeg's own decoder leaves transparency out
        frames = [frame for packet in container.demux(video=0) for frame in decoder.decode(packet)]
    assert [frame.format.name for frame in frames] == ["yuva420p"] * 3
    for frame in frames:
        np.testing.assert_allclose(
            frame.to_ndarray(format="rgba")[[8, 40], 30].astype(int), picture[[8, 40], 30], atol=3
        )


# --- whole, or not at all


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_block_left_by_an_error_keeps_what_was_written(tmp_path: Path, suffix: str, error: type[BaseException]) -> None:
    path = clip(tmp_path / "source.mp4", 30, sound="aac")
    with pytest.raises(error), VideoWriter(tmp_path / f"a{suffix}", rate=10, audio_from=path) as writer:  # noqa: PT012
        for index in range(7):
            writer.write(numbered(index), index / 10)
        raise error
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [f"a{suffix}", "source.mp4"]
    video = open_video(tmp_path / f"a{suffix}")
    assert video.count == 7
    assert numbers(video.frames()) == [(index, index) for index in range(7)]


def test_run_that_is_stopped_before_its_first_picture_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(VideoWriter, "_frame", stopped)
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "a.mp4", rate=10) as writer:
        writer.write(PICTURE, 0)
    assert list(tmp_path.iterdir()) == []


def test_file_appears_when_it_is_closed_and_replaces_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.mp4"
    writer = VideoWriter(path, rate=10)
    assert list(path.parent.iterdir()) == []
    path.write_bytes(b"older")
    writer.write(PICTURE, 0)
    assert path.read_bytes() == b"older"
    assert sorted(entry.name[0] for entry in path.parent.iterdir()) == [".", "a"]  # the part is hidden
    assert writer.close() == path
    assert writer.close() == path  # again does no harm
    assert [entry.name for entry in path.parent.iterdir()] == ["a.mp4"]
    assert open_video(path).count == 1
    with pytest.raises(OutputError, match=r"it is closed\. Open another VideoWriter\."):
        writer.write(PICTURE, 1)


def test_nothing_written_is_no_file_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "b.mp4").write_bytes(b"older")
    for name in ("a.mp4", "b.mp4"):
        with VideoWriter(tmp_path / name, rate=10):
            pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["b.mp4"]
    assert (tmp_path / "b.mp4").read_bytes() == b"older"


@pytest.mark.parametrize(
    ("second", "time", "message"),
    [
        (numbered(1, (48, 66)), 0.1, r"has the shape \(48, 66, 3\), and those before it in .* \(48, 64, 3\)\. Scale"),
        (np.zeros((48, 64, 4), np.uint8), 0.1, r"3 channels, or choose \.webm, which keeps transparency"),
        (np.zeros((48, 64, 1), np.uint8), 0.1, r"Pass height x width x 3 channels"),
        (PICTURE, 0.0, r"picture at 0\.0000 s does not come after .* stamps are 0 and 0 of 1/90000 s\. Pass times"),
        (PICTURE, -1.0, r"does not come after the one before it"),
        (PICTURE, float("nan"), r"cannot write a picture at nan s"),
    ],
)
def test_picture_that_does_not_belong(tmp_path: Path, second: np.ndarray, time: float, message: str) -> None:
    with VideoWriter(tmp_path / "a.mp4", rate=10) as writer:
        writer.write(PICTURE, 0.0)
        with pytest.raises(OutputError, match=message):
            writer.write(second, time)
        writer.write(numbered(1), 0.2)
    assert numbers(open_video(tmp_path / "a.mp4").frames()) == [(0, 0), (1, 1)]


def test_place_that_cannot_be_written_is_said_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder.mp4").mkdir()
    for path, message in (
        (tmp_path / "a.avi", r"cannot write a video as .*a\.avi: choose one of \.mp4, \.webm\."),
        (tmp_path / "file" / "a.mp4", r"a part of .* is a file, where a folder should be"),
        (tmp_path / "folder.mp4", r"it is a folder\. Name a file in it\."),
        (tmp_path / ("x" * 300) / "a.mp4", r"File name too long"),
    ):
        with pytest.raises(OutputError, match=message):
            VideoWriter(path, rate=10)
    with pytest.raises(OutputError, match=r"at 0 pictures a second\. Pass a rate above 0\."):
        VideoWriter(tmp_path / "a.mp4", rate=0)


def test_full_disk_leaves_the_older_file_and_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "a.mp4").write_bytes(b"older")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match=r"a\.mp4: No space left on device\. Make room there"):
        write(tmp_path / "a.mp4")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"older"


def test_picture_that_the_encoder_refuses(tmp_path: Path) -> None:
    with (
        VideoWriter(tmp_path / "a.mp4", rate=10) as writer,
        pytest.raises(OutputError, match=r"cannot write pictures of the shape \(2, 40000, 3\) .* FFmpeg says"),
    ):
        writer.write(np.zeros((2, 40000, 3), np.uint8), 0)
    assert list(tmp_path.iterdir()) == []


def test_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with VideoWriter("~/a.mp4", rate=10) as writer:
        writer.write(PICTURE, 0)
        assert writer.close() == tmp_path / "a.mp4"


def test_without_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(VideoError, match=r'pip install "persam\[video\]"'):
        VideoWriter(tmp_path / "a.mp4", rate=10)
