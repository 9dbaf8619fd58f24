"""Clips of frames that tell their number: as grey as it says, with a red corner at the top left."""

import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from persam.io.video import VideoFrame
from persam.io.video_writer import VideoWriter

RED = (200, 30, 40)
B_FRAMES = {"g": "12", "bf": "3", "x264-params": "b-adapt=0:scenecut=0", "crf": "10"}  # a keyframe every 12th
MPEG4 = {"g": "12", "bf": "2", "flags": "+qscale", "global_quality": "118"}  # its best quality
LIVE = {"deadline": "realtime", "cpu-used": "8", "crf": "10", "g": "12"}  # VP9 at its quickest


def numbered(number: int, size_hw: tuple[int, int] = (48, 64)) -> np.ndarray:
    """Grey by its number, 4 levels a step: encoding moves a level by less than half a step.

    The lowest rows are noise, so that every frame takes about as many bytes.
    """
    picture = np.full((*size_hw, 3), 40 + 4 * number, np.uint8)
    picture[:16, :16] = RED
    picture[-8:] = np.random.default_rng(number).integers(0, 256, (8, size_hw[1], 1), np.uint8)
    return picture


def number_of(frame: VideoFrame) -> int:
    """What `numbered` was given, read from the middle, which is grey however the frame is turned."""
    height, width = frame.rgb.shape[:2]
    grey = frame.rgb[height * 2 // 5 : height * 3 // 5, width * 2 // 5 : width * 3 // 5]
    return round((float(grey.mean()) - 40) / 4)


def numbers(frames: Iterator[VideoFrame]) -> list[tuple[int, int]]:
    """Of each frame its index and what is seen in it."""
    return [(frame.index, number_of(frame)) for frame in frames]


def clip(
    path: Path,
    count: int = 40,
    codec: str = "libx264",
    *,
    options: dict[str, str] = B_FRAMES,
    pix_fmt: str = "yuv420p",
    rate: int = 10,
    times: Sequence[float] | None = None,
    sound: str | None = None,
    index_first: bool = True,
) -> Path:
    """A file of 48 x 64 frames, kind by its suffix; shown at `times` in seconds, else `rate` a second.

    sound: FFmpeg's name of an encoder: 48 kHz go along for as long, silent for the first half and then a tone.
    index_first: of MP4 and MOV; else it is at the end, as cameras write it.
    """
    fast = {"movflags": "+faststart"} if path.suffix in (".mp4", ".mov") and index_first else {}
    shown = [index / rate for index in range(count)] if times is None else times
    with av.open(str(path), "w", container_options=fast) as container:
        video = container.add_stream(codec, rate=rate, options=dict(options))
        video.width, video.height, video.pix_fmt = 64, 48, pix_fmt
        if times is not None:
            video.codec_context.time_base = Fraction(1, 1000)
        audio = container.add_stream(sound, rate=48000, layout="mono") if sound else None
        container.start_encoding()
        for index, time in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(numbered(index), "rgb24")
            if times is not None:
                frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            _tone(container, audio, seconds=len(shown) / rate)
    return path


def _tone(container: Any, audio: Any, seconds: float) -> None:
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * 48000)) / 48000)
    wave[: len(wave) // 2] = 0
    frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="flt", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
    audio.codec_context.open(strict=False)
    encoder = audio.codec_context
    pieces = av.AudioResampler(encoder.format, encoder.layout, 48000, encoder.frame_size or 1024)
    for piece in [*pieces.resample(frame), *pieces.resample(None), None]:
        container.mux(audio.encode(piece))


def tone_only(path: Path, *, cover: bool = False) -> Path:
    """Half a second of sound in an MP4. cover: with a picture for it, as music files have."""
    with av.open(str(path), "w", format="mp4") as container:
        audio = container.add_stream("aac", rate=48000, layout="mono")
        if cover:
            picture = container.add_stream("mjpeg", width=64, height=48, pix_fmt="yuvj420p")
            picture.disposition = av.stream.Disposition.attached_pic.value  # type: ignore[assignment]  # older PyAV takes an int
            container.mux(picture.encode(av.VideoFrame.from_ndarray(numbered(0), "rgb24")))
            container.mux(picture.encode(None))
        _tone(container, audio, seconds=0.5)
    return path


def without_beginning(path: Path, packets: int) -> Path:
    """A copy of its packets but for the first, as tools cut that do not encode anew."""
    short = path.with_name(f"late_{path.name}")
    with av.open(str(path)) as source, av.open(str(short), "w") as target:
        made = target.add_stream_from_template(source.streams.video[0])
        for packet in [one for one in source.demux(video=0) if one.size][packets:]:
            packet.stream = made
            target.mux(packet)
    return short


def cut(path: Path, share: float) -> Path:
    """The beginning of the file, beside it."""
    data = path.read_bytes()
    short = path.with_name(f"cut_{path.name}")
    short.write_bytes(data[: int(len(data) * share)])
    return short


def turned(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """The MP4 with a, b, c, d of its display matrix set: x' = a x + c y, y' = b x + d y (ISO 14496-12, 6.2.2)."""
    a, b, c, d = (value << 16 for value in matrix)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44  # version 0: the name, and 40 bytes of times, id, duration, layer and volume
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def folder(path: Path, count: int = 3, size_hw: tuple[int, int] = (48, 64)) -> Path:
    """The same frames as pictures: walk_1.png, walk_2.png, ..., walk_10.png, ..."""
    path.mkdir()
    for index in range(count):
        Image.fromarray(numbered(index, size_hw)).save(path / f"walk_{index + 1}.png")
    return path


def write(path: Path, count: int = 10, rate: float = 10, **options: Any) -> Path:
    """The same frames by our own writer."""
    with VideoWriter(path, rate=rate, **options) as writer:
        for index in range(count):
            writer.write(numbered(index), index / rate)
    return path
