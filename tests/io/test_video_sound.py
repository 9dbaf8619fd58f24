"""The sound of a clip goes along with pictures made of it, and whatever is wrong with it leaves them alone."""

import errno
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from persam.io import video_sound, video_writer
from persam.io.video import open_video
from persam.io.video_sound import Sound
from tests.io.clips import clip, numbers, tone_only, write


def heard(path: Path) -> tuple[str, np.ndarray, np.ndarray]:
    """The sound's codec; when each of its samples is heard, in seconds, and how loud."""
    with av.open(str(path)) as container:
        track = container.streams.audio[0]
        frames = [(frame.time, np.atleast_2d(frame.to_ndarray())[0]) for frame in container.decode(track)]
    times = np.concatenate([time + np.arange(len(wave)) / 48000 for time, wave in frames])
    return track.codec_context.name, times, np.abs(np.concatenate([wave for _, wave in frames]))


@pytest.mark.parametrize(
    ("source", "codec", "target", "kept"),
    [
        pytest.param("a.mp4", "aac", "b.mp4", "aac", id="AAC is copied"),
        pytest.param("a.mp4", "libmp3lame", "b.mp4", "mp3float", id="MP3 is copied"),
        pytest.param("a.webm", "libopus", "b.webm", "opus", id="Opus is copied"),
        pytest.param("a.webm", "libopus", "b.mp4", "aac", id="Opus for MP4 becomes AAC"),
        pytest.param("a.mkv", "pcm_s16le", "b.mp4", "aac", id="PCM becomes AAC"),
        pytest.param("a.mp4", "aac", "b.webm", "opus", id="AAC for WebM becomes Opus"),
        pytest.param("a.mkv", "pcm_s16le", "b.webm", "opus", id="PCM becomes Opus"),
    ],
)
def test_sound_goes_along_for_as_long_as_the_pictures(
    tmp_path: Path, source: str, codec: str, target: str, kept: str
) -> None:
    video, options = ("libvpx-vp9", {"deadline": "realtime"}) if source == "a.webm" else ("libx264", {})
    path = clip(tmp_path / source, 30, video, options=options, sound=codec)
    for start, tone in ((0.0, None), (1.0, 0.5), (1.6, 0.0)):  # the tone begins at 1.5 s
        name, times, loud = heard(write(tmp_path / target, audio_from=path, start=start))
        assert name == kept
        # a packet is 20 to 26 ms: the first one begins, and the last one ends, at most as much late
        assert 0 <= times[0] < 0.03
        assert 0.97 < times[-1] < 1.03
        assert numbers(open_video(tmp_path / target).frames()) == [(index, index) for index in range(10)]
        if tone is None:
            assert loud.max() < 0.02
        else:
            # MP3 and Opus are silent for up to four packets where they are cut
            assert times[np.argmax(loud > 0.25)] == pytest.approx(tone, abs=0.03 if tone else 0.1)


def packets(path: Path, begin: float, end: float) -> list[bytes]:
    with av.open(str(path)) as container:
        found = [packet for packet in container.demux(audio=0) if packet.size]
        return [bytes(packet) for packet in found if begin <= packet.pts * packet.time_base < end]


def test_copied_sound_is_the_same_bytes_from_the_start_on(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", 30, sound="aac")
    made = write(tmp_path / "b.mp4", audio_from=path, start=1.5)
    assert packets(made, -1, 9) == packets(path, 1.5, 2.5)


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "aac"), ("a.mkv", "pcm_s16le")], ids=["copied", "encoded anew"])
def test_sound_ends_where_it_ends(tmp_path: Path, name: str, codec: str) -> None:
    path = clip(tmp_path / name, 5, sound=codec)
    ends = heard(write(tmp_path / "b.mp4", audio_from=path))[1][-1]
    assert 0.4999 < ends < 0.53  # nothing is cut off, and the last packet may be filled up


def test_sound_lies_between_the_pictures(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", 30, options={}, rate=1, sound="aac")
    made = write(tmp_path / "b.mp4", 30, rate=1, audio_from=path)
    with av.open(str(made)) as container:
        places = sorted((packet.pos, packet.stream.type) for packet in container.demux() if packet.size)
    video = [index for index, (_, kind) in enumerate(places) if kind == "video"]
    assert max(np.diff(video)) < 100  # a second of AAC is 47 packets; all of it is 1400


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path: clip(path, 4), id="silent"),
        pytest.param(lambda path: None, id="missing"),
        pytest.param(lambda path: path.mkdir(), id="folder"),
        pytest.param(lambda path: path.write_text("la la la"), id="text"),
    ],
)
def test_without_sound_there_are_the_pictures(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "a.mp4")
    made = write(tmp_path / "b.mp4", audio_from=tmp_path / "a.mp4")
    with av.open(str(made)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
    assert len(list(open_video(made).frames())) == 10


@pytest.mark.parametrize("target", ["b.mp4", "b.webm"])
def test_damaged_sound_leaves_the_pictures_alone(tmp_path: Path, target: str) -> None:
    path = clip(tmp_path / "a.mp4", 30, sound="aac")
    with av.open(str(path)) as container:
        damaged = [packet for packet in container.demux(audio=0) if packet.size][20:]
    data = bytearray(path.read_bytes())
    for packet in damaged:
        data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    path.write_bytes(data)
    made = write(tmp_path / target, audio_from=path)
    assert numbers(open_video(made).frames()) == [(index, index) for index in range(10)]


def test_sound_that_the_container_refuses_leaves_the_pictures_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = clip(tmp_path / "a.mkv", 10, sound="pcm_s16le")
    webm = video_writer.KINDS[".webm"]
    monkeypatch.setitem(
        video_writer.KINDS, ".webm", video_writer._Kind(**{**vars(webm), "copied": frozenset({"pcm_s16le"})})
    )
    made = write(tmp_path / "a.webm", audio_from=path)
    assert len(list(open_video(made).frames())) == 10


def test_header_that_fails_for_the_sound_is_written_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, start: float, container: Any, copied: frozenset[str], encoder: str) -> Sound:
        container.add_data_stream()  # MP4 has none without a codec
        return Sound(tmp_path / "none", start, container, copied, encoder)

    monkeypatch.setattr("persam.io.video_writer.Sound", refused)
    made = write(tmp_path / "a.mp4", audio_from=tmp_path)
    assert numbers(open_video(made).frames()) == [(index, index) for index in range(10)]
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]


def test_sound_is_counted_from_the_first_frame_of_its_video(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mkv", times=[0.5 + index / 10 for index in range(10)], sound="aac")
    made = write(tmp_path / "b.mp4", 3, audio_from=path)
    assert packets(made, -1, 9) == packets(path, 0.5, 0.8)


def test_a_tone_alone_is_sound_too(tmp_path: Path) -> None:
    made = write(tmp_path / "b.mp4", 3, audio_from=tone_only(tmp_path / "a.m4a"))
    assert heard(made)[0] == "aac"


def test_source_that_cannot_be_read_any_more_leaves_the_pictures_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(source: Any, track: Any, made: Any, begin: float) -> Iterator[tuple[float, Any]]:
        yield from islice(copied(source, track, made, begin), 20)
        raise OSError(errno.EIO, "Input/output error")

    copied = video_sound._copied
    monkeypatch.setattr(video_sound, "_copied", broken)
    path = clip(tmp_path / "a.mp4", 30, sound="aac")
    made = write(tmp_path / "b.mp4", audio_from=path)
    assert len(packets(made, -1, 9)) == 20
    assert numbers(open_video(made).frames()) == [(index, index) for index in range(10)]
