"""A clip as a stream of upright RGB frames, from a video file, a folder of pictures, or anything that gives pictures.

Frames are counted from 0 in the order of display, and a frame has the same index and time however it is reached: from
the start, from the middle, or backward. Few are in memory at a time, however long the clip.
"""

import os
import queue
import sys
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from persam.errors import ImageError, VideoError
from persam.io.album import IMAGE_SUFFIXES, Target, iter_targets
from persam.io.image_files import check_no_address
from persam.io.images import is_tensor, read_image
from persam.io.video_file import FrameSize, VideoFile, VideoFrame, open_video_file

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Video:
    """A clip that gives its frames forward and backward; see `open_video`.

    source: the file or folder; None for a pattern, a list, or pictures from memory.
    size_hw: of the frames as they are given.
    original_hw: of the frames upright, before max_side.
    count: frames of the whole clip, also where a damaged file holds fewer; None where only reading would tell.
    rate: average frames a second.
    """

    source: Path | None
    size_hw: tuple[int, int]
    original_hw: tuple[int, int]
    count: int | None
    rate: float
    reader: "VideoFile | _Pictures | _Once"

    def frames(self, start: int = 0, stop: int | None = None, step: int = 1) -> Iterator[VideoFrame]:
        """The frames from `start` on, every step-th, up to but not including `stop` or up to the end.

        Raises:
            VideoError: there is no frame `start`; or, where it is reached, a frame that is missing, damaged, or of
                another size; or an iterator that was read before.
        """
        self._check(start, step)
        end = sys.maxsize if self.count is None else self.count
        return self.reader.forward(range(start, end if stop is None else min(stop, end), step))

    def backward(self, start: int | None = None, stop: int = 0, step: int = 1) -> Iterator[VideoFrame]:
        """The frames from `start` or the last one down to and including `stop`, every step-th.

        Raises:
            VideoError: as for `frames`; and an iterator, which gives its pictures forward only.
        """
        if start is None:
            start = (self.count or 1) - 1
        self._check(start, step)
        return self.reader.backward(range(start, max(stop, 0) - 1, -step))

    def names(self, places: Iterable[int]) -> list[str]:
        """What the frames at these places are called, before any is read."""
        targets = self.reader.targets if isinstance(self.reader, _Pictures) else None
        return [_name(targets[index] if targets else None, index) for index in places]

    @property
    def files(self) -> list[Path]:
        """The files that it is read from."""
        if isinstance(self.reader, _Pictures):
            return [target.source for target in self.reader.targets if target.source]
        return [] if self.source is None else [self.source]

    def _check(self, start: int, step: int) -> None:
        if step < 1:
            raise VideoError(f"a step of {step} leads nowhere. Pass 1 for every frame, 2 for every second one.")
        if start < 0 or (self.count is not None and start >= self.count):
            known = "from 0 on" if self.count is None else f"0 to {self.count - 1}"
            raise VideoError(f"there is no frame {start}: the clip has the frames {known}. Name one of them.")


def open_video(source: object, *, max_side: int | None = None, rate: float = 24.0) -> Video:
    """The clip, its first frame looked at, ready to be read.

    Args:
        source: a video file (mp4, mov, mkv, webm, avi, gif: all that FFmpeg reads); a folder of pictures in natural
            order, a pattern such as "walk/*.png", a list of paths or pictures, or an array frames x height x width x
            channels; or an iterator of pictures as for `read_image`, which is read once and only forward.
        max_side: larger frames are scaled down until their longer side has this many pixels.
        rate: frames a second of a source that does not know its own.

    Raises:
        VideoError: no such file, no clip in it, a header that is damaged, no pictures, or no PyAV.
    """
    if rate <= 0 or (max_side is not None and max_side < 1):
        raise VideoError(f"rate must be above 0 and max_side at least 1; got {rate} and {max_side}.")
    if isinstance(source, str | os.PathLike):
        _check_no_address(str(source))
        path = Path(os.path.expanduser(os.fspath(source)))
        if path.is_file() and (path.suffix.lower() not in IMAGE_SUFFIXES or path.suffix.lower() == ".gif"):
            return _open_file(path, max_side, rate)
        if not path.exists() and not any(sign in str(path) for sign in "*?["):
            raise VideoError(f"cannot read the clip {path}: there is no such file. Check the path.")
        return _open_pictures(str(path), path if path.exists() else None, max_side, rate)
    if isinstance(source, list | tuple):
        return _open_pictures(source, None, max_side, rate)
    if isinstance(source, np.ndarray) or is_tensor(source):
        if source.ndim != 4:  # type: ignore[attr-defined]
            shape = tuple(source.shape)  # type: ignore[attr-defined]
            raise VideoError(f"the clip has the shape {shape}. Pass frames x height x width x 3.")
        return _open_pictures(source, None, max_side, rate)
    if isinstance(source, Iterable) and not isinstance(source, bytes | Mapping):
        return _open_iterator(iter(source), max_side, rate)
    raise VideoError(
        f"cannot read a clip from {type(source).__name__!r}. Pass a video file, a folder of frames, a pattern such as "
        f'"walk/*.png", or an iterator of pictures.'
    )


def read_ahead(frames: Iterator[VideoFrame], depth: int = 4) -> Generator[VideoFrame, None, None]:
    """The same frames and errors in the same order, read in a thread while the caller works on an earlier one.

    Args:
        frames: what `Video.frames` gives; from the first frame on it belongs to the thread.
        depth: how many frames may wait. Closing the generator early ends the thread.
    """
    assert depth > 0
    free = threading.Semaphore(depth)
    ready: queue.SimpleQueue[VideoFrame | BaseException | None] = queue.SimpleQueue()
    left = threading.Event()

    def read() -> None:
        try:
            while free.acquire() and not left.is_set():
                ready.put(next(frames))
        except StopIteration:
            ready.put(None)
        except BaseException as error:  # it is the caller's, who meets it after the frames before it
            ready.put(error)
        finally:
            if hasattr(frames, "close"):
                frames.close()

    thread = threading.Thread(target=read, name="persam reads ahead", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            free.release()
            yield item
            del item  # a frame is the caller's alone while the next one is awaited
    finally:
        left.set()
        free.release()
        thread.join()


# --- pictures: files, arrays, iterators


@dataclass(frozen=True)
class _Pictures:
    """Files or arrays, any of which can be read at any time."""

    targets: list[Target]
    size: FrameSize
    rate: float

    def forward(self, places: range) -> Iterator[VideoFrame]:
        for index in places:
            target = self.targets[index]
            name = _name(target, index)
            yield VideoFrame(name, index, index / self.rate, self.size.fit(_read(target, name), name))

    def backward(self, places: range) -> Iterator[VideoFrame]:
        return self.forward(places)


@dataclass
class _Once:
    """An iterator of pictures, which is used up by reading it."""

    pictures: Iterator[object] | None
    size: FrameSize
    rate: float

    def forward(self, places: range) -> Iterator[VideoFrame]:
        pictures, self.pictures = self.pictures, None
        if pictures is None:
            raise VideoError(
                "the clip is an iterator and was read before: it gives its pictures once. "
                "Make a new one, or pass a list, a folder or a file."
            )
        index = -1
        for index, picture in islice(enumerate(pictures), places.start, places.stop, places.step):
            name = _name(picture, index)
            rgb = self.size.fit(_read(picture, name), name)
            yield VideoFrame(name, index, index / self.rate, rgb)
        if index < 0 and len(places):
            raise VideoError(f"there is no frame {places.start}: the iterator gave fewer pictures. Start earlier.")

    def backward(self, places: range) -> Iterator[VideoFrame]:
        raise VideoError(
            "the clip is an iterator, which gives its pictures forward only. "
            "Pass a list, a folder or a file to read it backward."
        )


def _open_pictures(source: object, path: Path | None, max_side: int | None, rate: float) -> Video:
    try:
        targets = list(iter_targets(source))
    except ImageError as error:
        raise VideoError(f"cannot read the clip: {error}") from error
    if not targets:
        raise VideoError("the clip has no frames: the list is empty. Pass at least one picture.")
    size = FrameSize.of(_read(targets[0], _name(targets[0], 0)), max_side)
    return Video(path, size.size_hw, size.original_hw, len(targets), rate, _Pictures(targets, size, rate))


def _open_iterator(pictures: Iterator[object], max_side: int | None, rate: float) -> Video:
    first = next(pictures, None)
    if first is None:
        raise VideoError("the clip has no frames: the iterator gave no picture. Check that it was not read before.")
    size = FrameSize.of(_read(first, _name(first, 0)), max_side)
    reader = _Once(chain([first], pictures), size, rate)
    return Video(None, size.size_hw, size.original_hw, None, rate, reader)


def _open_file(path: Path, max_side: int | None, rate: float) -> Video:
    reader = open_video_file(path, max_side, rate)
    return Video(path, reader.size.size_hw, reader.size.original_hw, reader.contents.promised, reader.rate, reader)


def _check_no_address(text: str) -> None:
    try:
        check_no_address(text, "clip")
    except ImageError as error:
        raise VideoError(str(error)) from None


def _read(picture: object, name: str) -> UInt8[Array, "h w 3"]:
    try:
        rgb = picture.read() if isinstance(picture, Target) else read_image(picture)
    except ImageError as error:
        raise VideoError(f"the clip ends before frame {name}: {error}") from error
    from_disk = isinstance(picture, Target) and picture.source
    return rgb if from_disk else rgb.copy()  # an array may be the caller's own, and change


def _name(picture: object, index: int) -> str:
    return picture.name if isinstance(picture, Target) and picture.source else f"{index:05d}"
