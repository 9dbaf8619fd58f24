"""A clip that is broken gives its good frames first, and says where it ends and what to do."""

import struct
import sys
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from persam.errors import VideoError
from persam.io.video import open_video
from tests.io.clips import B_FRAMES, LIVE, MPEG4, clip, cut, folder, number_of, numbered, numbers, tone_only


@pytest.mark.parametrize(
    ("name", "codec", "options", "whole"),
    [
        # of the frames that are there, those wait in vain whose neighbours in the order of display are lost
        pytest.param("a.mp4", "libx264", B_FRAMES, 40, id="mp4"),
        pytest.param("a.mkv", "libx264", B_FRAMES, 40, id="mkv"),
        pytest.param("a.webm", "libvpx-vp9", LIVE, 40, id="webm"),
        pytest.param("a.avi", "mpeg4", MPEG4, 40, id="avi"),
    ],
)
def test_truncated_file_gives_its_good_frames_and_then_one_error(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], whole: int
) -> None:
    path = clip(tmp_path / name, whole, codec, options=options)
    assert len(list(open_video(path).frames())) == whole
    video = open_video(cut(path, 0.6))
    assert video.count == whole
    good: list[tuple[int, int]] = []
    with pytest.raises(VideoError, match="damaged or incomplete") as caught:
        good.extend((frame.index, number_of(frame)) for frame in video.frames())
    assert whole * 0.3 < len(good) < whole * 0.8
    assert good == [(index, index) for index in range(len(good))]
    assert f"cut_{name} ends after frame {len(good)} of {whole}: the file is damaged or incomplete" in str(caught.value)
    last = len(good) - 1
    assert numbers(video.frames(0, last + 1)) == good
    assert numbers(video.backward(last)) == good[::-1]
    for beyond in (video.frames(last + 2), video.backward()):
        with pytest.raises(VideoError, match=f"ends after frame {len(good)} of {whole}"):
            next(beyond)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        pytest.param("a.mp4", "libx264", {"bf": "0"}, id="mp4"),
        pytest.param("a.mkv", "libx264", {"bf": "0"}, id="mkv"),
        pytest.param("a.avi", "mpeg4", {"bf": "0"}, id="avi"),
    ],
)
def test_file_cut_between_two_frames_has_an_end_of_its_own(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    path = clip(tmp_path / name, 40, codec, options=options)
    with av.open(str(path)) as container:
        [packet] = [one for one in container.demux(video=0) if one.size and one.pts == 20 / 10 / one.time_base]
        begin = packet.pos - (8 if name == "a.avi" else 0)  # a chunk of AVI begins with its name and size
    path.write_bytes(path.read_bytes()[:begin])
    video = open_video(path)
    assert video.count == 40
    frames = video.frames()
    assert [next(frames).index for _ in range(20)] == list(range(20))
    with pytest.raises(VideoError, match="ends after frame 20 of 40: the file is damaged or incomplete"):
        next(frames)


def damage(path: Path, frame: int) -> Path:
    """The clip with the bytes of one frame overwritten."""
    with av.open(str(path)) as container:
        [packet] = [
            one for one in container.demux(video=0) if one.size and one.pts * one.time_base == Fraction(frame, 10)
        ]
        begin, size = packet.pos, packet.size
    data = bytearray(path.read_bytes())
    data[begin : begin + size] = b"\xff" * size
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"g": "1", "crf": "10"}, id="keyframes alone"),
        pytest.param(B_FRAMES, id="B-frames: good ones before it are still waiting for their turn"),
    ],
)
def test_damaged_frame_in_the_middle_is_said_where_it_is(tmp_path: Path, options: dict[str, str]) -> None:
    # with B-frames every fourth frame from a keyframe on is stored before the three that it follows
    video = open_video(damage(clip(tmp_path / "a.mp4", 40, options=options), 19))
    good: list[tuple[int, int]] = []
    with pytest.raises(VideoError, match="ends after frame 19 of 40"):
        good.extend((frame.index, number_of(frame)) for frame in video.frames())
    assert good == [(index, index) for index in range(19)]
    assert numbers(video.frames(24)) == [(index, index) for index in range(24, 40)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda path: None, r"a\.mp4: there is no such file\. Check the path\.", id="missing"),
        pytest.param(lambda path: path.write_text("Dear diary"), r"it is no video, or its header is", id="text"),
        pytest.param(lambda path: path.write_bytes(b""), r"the file is empty \(0 bytes\)", id="empty"),
        pytest.param(tone_only, r"there is no video track in it", id="sound alone"),
        pytest.param(
            lambda path: tone_only(path, cover=True), r"there is no video track in it", id="sound and a cover"
        ),
        pytest.param(lambda path: clip(path, 0), r"there is no (frame|video track) in it", id="no frames"),
        pytest.param(
            lambda path: cut(clip(path, index_first=False), 0.6).replace(path),
            r"its header is damaged or incomplete \(Invalid data",
            id="recording that stopped before its index was written",
        ),
        pytest.param(lambda path: path.mkdir(), r"cannot read the clip: no images in the folder", id="empty folder"),
    ],
)
def test_file_without_a_clip(tmp_path: Path, make: Any, message: str) -> None:
    make(tmp_path / "a.mp4")
    with pytest.raises(VideoError, match=message):
        open_video(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param([], r"the list is empty\. Pass at least one picture\.", id="empty list"),
        pytest.param(iter([]), r"the iterator gave no picture", id="empty iterator"),
        pytest.param("no/such/*.png", r"cannot read the clip: no image matches", id="pattern without a match"),
        pytest.param(
            np.zeros((48, 64, 3)), r"has the shape \(48, 64, 3\)\. Pass frames x height x width x 3", id="3-D"
        ),
        pytest.param(7, r"cannot read a clip from 'int'\. Pass a video file", id="number"),
        pytest.param({"a": 1}, r"cannot read a clip from 'dict'", id="mapping"),
        pytest.param([np.full((4, 4), 3.5)], r"ends before frame 00000: .* floats must lie in 0 to 1", id="no picture"),
    ],
)
def test_source_that_is_no_clip(source: Any, message: str) -> None:
    with pytest.raises(VideoError, match=message):
        open_video(source)


def test_frames_of_two_sizes(tmp_path: Path) -> None:
    walk = folder(tmp_path / "walk")
    Image.fromarray(numbered(3, (48, 66))).save(walk / "walk_4.png")
    for source, name in ((walk, "walk_4"), (iter([numbered(0), numbered(1, (48, 66))]), "00001")):
        frames = open_video(source, max_side=32).frames()
        with pytest.raises(VideoError, match=rf"frame {name} is 66x48 pixels, and the clip began with 64x48: a clip"):
            list(frames)


def test_damaged_picture_comes_at_its_place(tmp_path: Path) -> None:
    walk = folder(tmp_path / "walk")
    (walk / "walk_2.png").write_bytes(b"not a picture")
    frames = open_video(walk).frames()
    assert next(frames).name == "walk_1"
    with pytest.raises(VideoError, match=r"the clip ends before frame walk_2: .*walk_2\.png: its content is no image"):
        next(frames)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda video: video.frames(3), r"there is no frame 3: the clip has the frames 0 to 2\."),
        (lambda video: video.frames(-1), r"there is no frame -1"),
        (lambda video: video.backward(3), r"there is no frame 3"),
        (lambda video: video.frames(step=0), r"a step of 0 leads nowhere"),
        (lambda video: video.backward(step=-1), r"a step of -1 leads nowhere"),
    ],
)
def test_place_that_is_not_there(ask: Any, message: str) -> None:
    with pytest.raises(VideoError, match=message):
        ask(open_video([numbered(0)] * 3))


@pytest.mark.parametrize("options", [{"rate": 0}, {"max_side": 0}])
def test_options_that_make_no_clip(options: dict[str, int]) -> None:
    with pytest.raises(VideoError, match="rate must be above 0 and max_side at least 1"):
        open_video([numbered(0)], **options)


def test_without_pyav_a_folder_still_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, walk = clip(tmp_path / "a.mp4", 2), folder(tmp_path / "walk")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(VideoError, match=r'pip install "persam\[video\]"\. A folder of frames as pictures needs no'):
        open_video(path)
    assert len(list(open_video(walk).frames())) == 3


def test_a_small_file_of_huge_frames_is_refused_as_photos_are(tmp_path: Path) -> None:
    path = tmp_path / "bomb.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "monob"
        container.start_encoding()
        packet = av.Packet(black_png(15000, 15000))
        packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, 0, 0, True
        container.mux(packet)
    assert path.stat().st_size < 40_000
    with pytest.raises(VideoError, match=r"its frames have 15000x15000 pixels, more than 179 million\. Scale it down"):
        open_video(path)


def black_png(width: int, height: int) -> bytes:
    """One bit a pixel, written a row at a time."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IDAT", packed), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
