"""Pictures as a video that browsers play: H.264 in .mp4, VP9 in .webm with transparency where the pictures have it."""

import math
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import UInt8

from persam.errors import OutputError
from persam.io.video_contents import import_av
from persam.io.video_sound import Sound
from persam.io.write import as_output_error

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class _Kind:
    """What a suffix stands for. copied: FFmpeg's names of the sound that browsers play in it; other is encoded anew."""

    format: str
    codec: str
    options: dict[str, str]
    tick: Fraction  # in seconds
    copied: frozenset[str]
    sound: str


# No frame waits for a later one: without B-frames, and without VP9's look ahead, stamps and durations stay as they are
# given, and what is written when a run is stopped is complete.
KINDS = {
    ".mp4": _Kind(
        "mp4",
        "libx264",
        {"crf": "18", "preset": "veryfast", "bf": "0"},
        Fraction(1, 90000),
        frozenset({"aac", "mp3", "mp3float"}),
        "aac",
    ),
    ".webm": _Kind(
        "webm",
        "libvpx-vp9",
        {
            "crf": "24",
            "deadline": "realtime",
            "cpu-used": "6",
            "row-mt": "1",
            "auto-alt-ref": "0",
            "lag-in-frames": "0",
        },
        Fraction(1, 1000),
        frozenset({"opus", "libopus", "vorbis", "libvorbis"}),
        "libopus",
    ),
}
BT709, LIMITED_RANGE = 1, 1  # FFmpeg's numbers


class VideoWriter:
    """A video file that grows picture by picture, and appears whole when it is closed.

    Use it as a context manager: however its block is left, by an error or Ctrl-C too, the file holds what was written
    until then and plays. Where nothing was written there is no file, and an older one stays.

    H.264 is encoded by x264, which PyAV's wheels carry: it is GPL, which matters to those who pass the wheels on.

    Args:
        path: .mp4, or .webm, which alone keeps transparency.
        rate: pictures a second on average; the last one is shown for so long.
        audio_from: the video whose sound goes along, as far as the pictures go; sound that is missing or damaged
            leaves the pictures alone.
        start: seconds from the first frame of `audio_from` to the first picture.

    Raises:
        OutputError: another suffix, or a place that cannot be written.
        VideoError: PyAV is not installed.
    """

    def __init__(self, path: str | Path, *, rate: float, audio_from: Path | None = None, start: float = 0.0) -> None:
        self._converter = import_av().video.reformatter.VideoReformatter()
        self.path = Path(path).expanduser()
        kind = KINDS.get(self.path.suffix.lower())
        if kind is None:
            raise OutputError(f"cannot write a video as {self.path}: choose one of {', '.join(KINDS)}.")
        if not (math.isfinite(rate) and rate > 0):
            raise OutputError(f"cannot write {self.path} at {rate} pictures a second. Pass a rate above 0.")
        self._kind, self._rate, self._audio_from, self._start = kind, rate, audio_from, start
        self._part = self.path.parent / f".{uuid.uuid4().hex}.part"
        self._container: Any = None
        self._stream: Any = None
        self._sound: Sound | None = None
        self._shape: tuple[int, ...] | None = None  # of every picture
        self._first, self._last = 0.0, -1  # time of the first picture, in seconds; stamp of the last one, in ticks
        self._ticks = max(1, round(1 / rate / kind.tick))  # that a picture is shown
        self._closed = False
        with as_output_error(self.path):  # now, and not after an hour of work
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.is_dir():
                raise IsADirectoryError
            self._part.touch()
            self._part.unlink()

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, picture: UInt8[Array, "h w c"], time: float) -> None:
        """Adds a picture. Odd sides grow by a pixel, since 4:2:0 colour needs even ones.

        Args:
            picture: RGB, or RGBA for .webm; all of one size.
            time: when it is shown, in seconds on any clock: the video begins with its first picture.

        Raises:
            OutputError: a picture of another shape, a time that does not rise, or a full disk.
        """
        if self._closed:
            raise OutputError(f"cannot write to {self.path}: it is closed. Open another VideoWriter.")
        self._check(picture, time)
        with self._as_output_error():
            if self._container is None:
                self._begin(picture, time)
            stamp = round((time - self._first) / self._kind.tick)
            if stamp <= self._last:
                raise OutputError(
                    f"the picture at {time:.4f} s does not come after the one before it in {self.path.name}: "
                    f"their stamps are {stamp} and {self._last} of {self._kind.tick} s. Pass times that rise."
                )
            self._add_sound(self._container, stamp)
            for packet in self._stream.encode(self._frame(picture, stamp)):
                self._container.mux(packet)
            self._last = stamp

    def close(self) -> Path:
        """Finishes the file, if anything was written, and gives its path. Raises OutputError where it cannot."""
        container, self._container, self._closed = self._container, None, True
        try:
            if container is not None and self._last >= 0:
                with self._as_output_error():
                    for packet in self._stream.encode(None):
                        container.mux(packet)
                    self._add_sound(container, self._last + self._ticks)
                    container.close()
                    os.replace(self._part, self.path)
        finally:
            if self._sound is not None:
                self._sound.close()
            if container is not None:
                with suppress(Exception):  # where it fails it has failed above, and that error is on its way
                    container.close()
            self._part.unlink(missing_ok=True)
        return self.path

    def _check(self, picture: UInt8[Array, "h w c"], time: float) -> None:
        kept = (3, 4) if self._kind.format == "webm" else (3,)
        if picture.shape[2] not in kept or not picture.size:
            advice = "" if 4 in kept else ", or choose .webm, which keeps transparency"
            raise OutputError(
                f"cannot write a picture of the shape {picture.shape} to {self.path}. "
                f"Pass height x width x {' or '.join(map(str, kept))} channels{advice}."
            )
        if self._shape not in (None, picture.shape):
            raise OutputError(
                f"the picture at {time:.4f} s has the shape {picture.shape}, and those before it in {self.path} have "
                f"{self._shape}. Scale them alike, or write a video of each size."
            )
        if not math.isfinite(time):
            raise OutputError(f"cannot write a picture at {time} s to {self.path}. Pass its time in seconds.")

    def _begin(self, picture: UInt8[Array, "h w c"], time: float) -> None:
        av = import_av()
        self._shape, self._first = picture.shape, time
        container = self._open(self._audio_from)
        try:
            container.start_encoding()
        except (av.error.FFmpegError, ValueError):
            if self._sound is None:
                raise
            container = self._open(None)  # the container refuses the track of sound
            container.start_encoding()
        self._container = container

    def _open(self, audio_from: Path | None) -> Any:
        assert self._shape is not None
        height, width, channels = self._shape
        av, kind = import_av(), self._kind
        options = {"movflags": "+faststart"} if kind.format == "mp4" else {}
        container = av.open(str(self._part), "w", format=kind.format, container_options=options)
        rate = Fraction(self._rate).limit_denominator(65535)
        self._stream = container.add_stream(kind.codec, rate=rate, options=dict(kind.options))
        self._stream.width, self._stream.height = width + width % 2, height + height % 2
        self._stream.pix_fmt = "yuva420p" if channels == 4 else "yuv420p"
        encoder = self._stream.codec_context
        encoder.time_base = kind.tick
        encoder.colorspace = encoder.color_primaries = encoder.color_trc = BT709
        self._sound = None
        if audio_from is not None:
            self._sound = Sound(audio_from, self._start, container, kind.copied, kind.sound)
        return container

    def _frame(self, picture: UInt8[Array, "h w c"], stamp: int) -> Any:
        height, width, channels = picture.shape
        if height % 2 or width % 2:
            picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        colour = "rgba" if channels == 4 else "rgb24"
        frame = import_av().VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=colour)
        frame = self._converter.reformat(
            frame, format=self._stream.pix_fmt, dst_colorspace=BT709, dst_color_range=LIMITED_RANGE
        )
        frame.pts, frame.time_base = stamp, self._kind.tick
        return frame

    def _add_sound(self, container: Any, stamp: int) -> None:
        """The sound up to this stamp, between the pictures, so that players need not search the file for it."""
        av = import_av()
        if self._sound is None:
            return
        try:
            for packet in self._sound.until(float(stamp * self._kind.tick)):
                container.mux(packet)
        except (av.error.FFmpegError, ValueError) as error:
            if isinstance(error, OSError):
                raise  # the disk's trouble, not the sound's
            self._sound.close()

    @contextmanager
    def _as_output_error(self) -> Iterator[None]:
        av = import_av()
        with as_output_error(self.path):
            try:
                yield
            except av.error.FFmpegError as error:
                if isinstance(error, OSError):
                    raise
                raise OutputError(
                    f"cannot write pictures of the shape {self._shape} to {self.path}: FFmpeg says "
                    f"{error.strerror!r}. Scale them down (H.264 ends at 16384 pixels a side), or write a folder."
                ) from error
