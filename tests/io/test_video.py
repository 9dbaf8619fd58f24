"""A video file gives the same frames however it is stored, and however they are reached."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from persam.io import video_file
from persam.io.video import open_video
from tests.io.clips import B_FRAMES, LIVE, MPEG4, RED, clip, number_of, numbers, turned, without_beginning

KINDS = [
    pytest.param("a.mp4", "libx264", {}, id="mp4, B-frames"),
    pytest.param("a.mov", "libx264", {}, id="mov, B-frames"),
    pytest.param("a.mkv", "libx264", {}, id="mkv, B-frames"),
    pytest.param("a.webm", "libvpx-vp9", {"options": LIVE}, id="webm"),
    pytest.param("a.avi", "mpeg4", {"options": MPEG4}, id="avi, B-frames"),
    pytest.param("b.avi", "libx264", {}, id="avi, H.264 with B-frames"),
    pytest.param("a.ts", "libx264", {}, id="ts, B-frames, does not begin at 0"),
    pytest.param("a.gif", "gif", {"options": {}, "pix_fmt": "rgb8", "rate": 10}, id="gif"),
]
GIF_STEP = 37  # a grey of 8 bits a pixel is one of 8


@pytest.mark.parametrize(("name", "codec", "options"), KINDS)
def test_every_frame_once_in_the_order_of_display(
    tmp_path: Path, name: str, codec: str, options: dict[str, Any]
) -> None:
    path = clip(tmp_path / name, 30, codec, **options)
    video = open_video(path)
    assert (video.source, video.count, video.size_hw, video.original_hw) == (path, 30, (48, 64), (48, 64))
    assert video.rate == pytest.approx(10, rel=1e-6)
    frames = list(video.frames())
    assert [frame.index for frame in frames] == list(range(30))
    assert [frame.name for frame in frames][:11:5] == ["00000", "00005", "00010"]
    times = [frame.time for frame in frames]
    assert times == pytest.approx([index / 10 for index in range(30)], abs=1e-3)  # Matroska counts milliseconds
    if codec == "gif":
        assert [abs(float(frame.rgb[30].mean()) - 40 - 4 * frame.index) < GIF_STEP for frame in frames] == [True] * 30
    else:
        assert [number_of(frame) for frame in frames] == list(range(30))
    for frame in frames:
        assert frame.rgb.dtype == np.uint8
        assert frame.rgb.flags.c_contiguous
        assert frame.rgb.flags.owndata
        assert frame.rgb.flags.writeable


@pytest.mark.parametrize(("name", "codec", "options"), KINDS[:-1])
def test_any_part_is_exact_forward_and_backward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, codec: str, options: dict[str, Any]
) -> None:
    monkeypatch.setattr("persam.io.video_file.BACKWARD_BYTES", 7 * 48 * 64 * 3)  # seven frames at a time
    video = open_video(clip(tmp_path / name, 40, codec, **options))
    whole = [(index, index) for index in range(40)]
    assert numbers(video.frames(17)) == whole[17:]
    assert numbers(video.frames(0, 3)) == whole[:3]
    assert numbers(video.frames(13, 30, 4)) == whole[13:30:4]
    assert numbers(video.frames(24, 99)) == whole[24:]  # 24 is a keyframe, and 99 past the end
    assert numbers(video.frames(5, 5)) == []
    assert numbers(video.backward()) == whole[::-1]
    assert numbers(video.backward(23, 11)) == whole[23:10:-1]
    assert numbers(video.backward(38, 0, 3)) == whole[38::-3]
    assert numbers(video.backward(0)) == whole[:1]


def test_a_gif_backward_is_the_gif_forward(tmp_path: Path) -> None:
    video = open_video(clip(tmp_path / "a.gif", 12, "gif", options={}, pix_fmt="rgb8"))
    forward, backward = list(video.frames()), list(video.backward())
    for one, other in zip(forward, backward[::-1], strict=True):
        assert one.index == other.index
        assert one.time == other.time
        np.testing.assert_array_equal(one.rgb, other.rgb)


def test_one_keyframe_is_decoded_from_where_they_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int | None] = []

    def counted(path: Path, cut: bool, seek: int | None) -> Iterator[Any]:
        for picture in once(path, cut, seek):
            decoded.append(picture.pts)
            yield picture

    # a keyframe every second frame is stored before the frame that is shown before it
    video = open_video(clip(tmp_path / "a.mp4", 40, options=B_FRAMES | {"g": "2"}))
    once = video_file._decoded
    monkeypatch.setattr(video_file, "_decoded", counted)
    assert numbers(video.frames(30, 33)) == [(30, 30), (31, 31), (32, 32)]
    assert len(decoded) <= 6


def test_seek_that_leads_too_far_costs_time_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = open_video(clip(tmp_path / "a.mp4", 40))
    assert isinstance(video.reader, video_file.VideoFile)
    once = video_file._decoded
    [_, second, *_, last] = video.reader.contents.keys
    monkeypatch.setattr(video_file, "_decoded", lambda path, cut, seek: once(path, cut, seek and last))
    assert second < last
    assert numbers(video.frames(15, 18)) == [(15, 15), (16, 16), (17, 17)]


def test_frames_before_the_first_that_can_be_decoded_do_not_count(tmp_path: Path) -> None:
    video = open_video(without_beginning(clip(tmp_path / "a.mp4", 40), packets=14))  # 24 is the next keyframe
    assert video.count == 16
    assert numbers(video.frames()) == [(index, index + 24) for index in range(16)]
    assert numbers(video.backward()) == [(index, index + 24) for index in range(15, -1, -1)]
    assert next(video.frames()).time == 0


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_time_stamps_of_a_variable_rate_are_kept(tmp_path: Path, name: str) -> None:
    times = [2.0, 2.1, 2.15, 2.5, 2.51, 2.9, 3.0, 3.7]
    video = open_video(clip(tmp_path / name, times=times))
    from_first = [0.0, 0.1, 0.15, 0.5, 0.51, 0.9, 1.0, 1.7]
    assert [frame.time for frame in video.frames()] == pytest.approx(from_first, abs=1e-3)
    assert [frame.time for frame in video.backward(6, 2)] == pytest.approx(from_first[6:1:-1], abs=1e-3)
    assert [frame.time for frame in video.frames(5)] == pytest.approx(from_first[5:], abs=1e-3)
    assert video.rate == pytest.approx(7 / 1.7, rel=0.01)


@pytest.mark.parametrize("space", [1, 6], ids=["BT.709", "BT.601"])
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full range"])
def test_colours_by_the_space_that_the_file_names(tmp_path: Path, space: int, full: bool) -> None:
    colours = np.zeros((48, 64, 3), np.uint8)
    colours[:, :32], colours[:, 32:] = (200, 30, 40), (20, 180, 240)
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = space, 2 if full else 1
        planes = av.VideoFrame.from_ndarray(_yuv420(colours, space, full=full), "yuv420p")
        container.mux([*stream.encode(planes), *stream.encode(None)])
    [frame] = open_video(tmp_path / "a.mp4").frames()
    # three levels: rounding in 8 bits, twice, and the encoder's; the wrong space or range is off by 15 or more
    np.testing.assert_allclose(frame.rgb[24, [8, 56]].astype(int), colours[24, [8, 56]], atol=3)


def _yuv420(rgb: np.ndarray, space: int, *, full: bool) -> np.ndarray:
    """Planes by the definition of Y'CbCr; the colours must be even within 2 x 2 pixels."""
    red, blue = (0.2126, 0.0722) if space == 1 else (0.299, 0.114)
    r, g, b = np.moveaxis(rgb / 255, -1, 0)
    luma = red * r + (1 - red - blue) * g + blue * b
    chroma = (b - luma) / (2 - 2 * blue), (r - luma) / (2 - 2 * red)
    low, span, chroma_span = (0, 255, 255) if full else (16, 219, 224)
    planes = [low + span * luma, *(128 + chroma_span * plane[::2, ::2] for plane in chroma)]
    return np.rint(np.concatenate([plane.reshape(-1, 64) for plane in planes])).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("matrix", "size_hw", "corner"),
    [
        pytest.param((1, 0, 0, 1), (48, 64), (0, 0), id="as it is"),
        pytest.param((0, 1, -1, 0), (64, 48), (0, -1), id="a quarter clockwise: a phone upright"),
        pytest.param((-1, 0, 0, -1), (48, 64), (-1, -1), id="upside down"),
        pytest.param((0, -1, 1, 0), (64, 48), (-1, 0), id="a quarter counterclockwise"),
        pytest.param((-1, 0, 0, 1), (48, 64), (0, -1), id="mirrored"),
        pytest.param((0, 1, 1, 0), (64, 48), (0, 0), id="a quarter and mirrored"),
    ],
)
def test_frames_are_upright(
    tmp_path: Path, matrix: tuple[int, int, int, int], size_hw: tuple[int, int], corner: tuple[int, int]
) -> None:
    video = open_video(turned(clip(tmp_path / "a.mp4", 4), matrix))
    assert video.size_hw == video.original_hw == size_hw
    for frame in [*video.frames(), *video.backward()]:
        assert frame.rgb.shape == (*size_hw, 3)
        np.testing.assert_allclose(frame.rgb[corner].astype(int), RED, atol=12)  # a flat block of H.264
        assert number_of(frame) == frame.index


def test_longer_side_is_scaled_down_but_not_up(tmp_path: Path) -> None:
    path = turned(clip(tmp_path / "a.mp4", 4), (0, 1, -1, 0))
    video = open_video(path, max_side=32)
    assert (video.size_hw, video.original_hw) == ((32, 24), (64, 48))
    assert [frame.rgb.shape for frame in video.frames()] == [(32, 24, 3)] * 4
    assert numbers(video.backward()) == [(3, 3), (2, 2), (1, 1), (0, 0)]
    assert open_video(path, max_side=65).size_hw == (64, 48)
    assert open_video(np.zeros((2, 3, 1000, 3), np.uint8), max_side=10).size_hw == (1, 10)
