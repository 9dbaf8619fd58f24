"""The frames of a video file by PyAV: upright, in the order of display, and counted alike however they are reached."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, dropwhile, islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from persam.errors import VideoError
from persam.geometry import within
from persam.io.images import read_image
from persam.io.video_contents import Contents, contents_of, import_av, opened

Array = np.ndarray[Any, Any]

BACKWARD_BYTES = 2**28  # of frames that wait in memory while a file is read backward
LIMITED_RANGE, FULL_RANGE = 1, 2  # FFmpeg's numbers
BT601 = 5
SMOOTH = 0x2002  # bilinear, colour in full width: without it 10 bits become 8 with 2 levels too few
COLOUR_SPACES = {1, 4, 5, 7, 9}  # that have one number in a file and in FFmpeg's conversion


@dataclass(frozen=True)
class VideoFrame:
    """One frame of a clip.

    name: of its mask file: the stem of its file where the clip is one of picture files, else 00000, 00001, ...
    index: its place in the whole clip, from 0.
    time: seconds from the first frame by the clip's own time stamps; index / rate where it has none.
    rgb: upright, contiguous, and nobody else's.
    """

    name: str
    index: int
    time: float
    rgb: UInt8[Array, "h w 3"]


@dataclass(frozen=True)
class FrameSize:
    """What every frame of a clip measures, upright, and what it is scaled to."""

    original_hw: tuple[int, int]
    size_hw: tuple[int, int]

    @classmethod
    def of(cls, rgb: UInt8[Array, "h w 3"], max_side: int | None) -> "FrameSize":
        """That of a clip with this first frame, whose longer side becomes at most `max_side`."""
        hw = (rgb.shape[0], rgb.shape[1])
        return cls(hw, within(hw, max_side or sys.maxsize))

    def fit(self, rgb: UInt8[Array, "h1 w1 3"], name: str) -> UInt8[Array, "h2 w2 3"]:
        """The frame as it is given out, in memory of its own. Raises VideoError for a frame of another size."""
        if rgb.shape[:2] != self.original_hw:
            got, known = (f"{hw[1]}x{hw[0]}" for hw in (rgb.shape, self.original_hw))
            raise VideoError(
                f"frame {name} is {got} pixels, and the clip began with {known}: a clip has one size. "
                f"Scale its frames alike, or read those of each size as a clip of their own."
            )
        if self.size_hw != self.original_hw:
            import cv2

            rgb = cv2.resize(rgb, self.size_hw[::-1], interpolation=cv2.INTER_AREA)
        return np.require(rgb, requirements=["C", "O", "W"])


@dataclass(frozen=True)
class VideoFile:
    """Reads a video file anew for each caller; `open_video_file` makes it.

    rate: average frames a second.
    matrix: how a stored frame is turned upright.
    """

    path: Path
    size: FrameSize
    rate: float
    matrix: Int64[Array, "2 2"]
    contents: Contents

    def forward(self, places: range) -> Iterator[VideoFrame]:
        """The frames at these rising places. Raises VideoError at the first that is not there."""
        av = import_av()
        converter = av.video.reformatter.VideoReformatter()  # one for all frames: it is slow to set up
        reached, cause = min(places.start, self.contents.found), None
        try:
            for index, picture in self._from(places.start):
                if index > reached or index >= places.stop:
                    break  # the frame before it could not be decoded, or is not asked for
                reached = index + 1
                if index in places:
                    yield self._frame(index, _rgb(picture, converter))
                del picture
                if reached >= places.stop:
                    break
        except av.error.FFmpegError as error:
            cause = error
        missing = self.contents.cut or (self.contents.exact and reached < self.contents.found)
        if cause or (missing and reached < places.stop):
            raise VideoError(
                f"the clip {self.path} ends after frame {reached} of {self.contents.promised}: the file is damaged or "
                f"incomplete. Copy or export it again, or do with the frames before."
            ) from cause

    def backward(self, places: range) -> Iterator[VideoFrame]:
        """The frames at these falling places, decoded forward, as many at a time as `BACKWARD_BYTES` hold."""
        height, width = self.size.size_hw
        many = max(1, BACKWARD_BYTES // (height * width * 3))
        for at in range(0, len(places), many):
            piece = places[at : at + many]
            waiting = list(self.forward(range(piece[-1], piece[0] + 1, -places.step)))
            while waiting:
                yield waiting.pop()

    def _frame(self, index: int, rgb: UInt8[Array, "h w 3"]) -> VideoFrame:
        name, pts = f"{index:05d}", self.contents.pts
        known = pts is not None and index < len(pts)
        time = int(pts[index] - pts[0]) * self.contents.tick if pts is not None and known else index / self.rate
        return VideoFrame(name, index, time, self.size.fit(_upright(rgb, self.matrix), name))

    def _from(self, first: int) -> Iterator[tuple[int, Any]]:
        """Decoded frames with their index, in the order of display, from the first on."""
        pts, found, cut = self.contents.pts, self.contents.found, self.contents.cut
        if first >= found:
            return
        if not self.contents.exact or pts is None:
            yield from islice(enumerate(_decoded(self.path, cut, None)), first, found if cut else None)
            return
        key = max((key for key in self.contents.keys if key <= pts[first]), default=None)
        if key is not None:
            frames = self._indexed(pts, key)
            begin = next(frames, None)
            if begin and begin[0] <= first:  # else the seek went too far
                yield from dropwhile(lambda frame: frame[0] < first, chain([begin], frames))
                return
        yield from dropwhile(lambda frame: frame[0] < first, self._indexed(pts, None))

    def _indexed(self, pts: Int64[Array, " n"], seek: int | None) -> Iterator[tuple[int, Any]]:
        for picture in _decoded(self.path, self.contents.cut, seek):
            index = int(np.searchsorted(pts, picture.pts)) if picture.pts is not None else len(pts)
            if index < len(pts) and pts[index] == picture.pts:  # else before the first frame, or after a cut
                yield index, picture


def open_video_file(path: Path, max_side: int | None, rate: float) -> VideoFile:
    """The file, read through once without decoding it. rate: of a file that does not know its own.

    Raises:
        VideoError: no permission, no video, a damaged header, no frame, or no PyAV.
    """
    av = import_av()
    start = f"cannot read the clip {path}:"
    try:
        if not path.stat().st_size:
            raise VideoError(f"{start} the file is empty (0 bytes). Copy or export it again.")
        contents = contents_of(path)
        picture = next(_decoded(path, contents.cut, None), None)
        if picture is None or not contents.found:
            raise VideoError(f"{start} there is no frame in it. Copy or export it again.")
    except PermissionError as error:
        raise VideoError(f"{start} no permission to read it. Check the owner and rights of the file.") from error
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(
            f"{start} it is no video, or its header is damaged or incomplete ({error.strerror}). "
            f"Check that another player opens it, and copy or export it again."
        ) from error
    matrix = _matrix(picture)
    size = FrameSize.of(_upright(_rgb(picture, av.video.reformatter.VideoReformatter()), matrix), max_side)
    contents = contents.shown_from(picture.pts)
    return VideoFile(path, size, contents.rate or rate, matrix, contents)


def _decoded(path: Path, cut: bool, seek: int | None) -> Iterator[Any]:
    """PyAV's frames in the order of display, from a keyframe at or before `seek`, or from the first."""
    av = import_av()
    with opened(path) as (container, stream):
        if seek is not None:
            container.seek(seek, stream=stream, backward=True)
        try:
            for packet in container.demux(stream):
                if not (cut and packet.is_corrupt):  # the last one, half of which is there
                    yield from packet.decode()
        except av.error.FFmpegError:
            with suppress(av.error.FFmpegError):
                yield from stream.codec_context.decode(None)  # good frames that wait for their turn
            raise


def _rgb(picture: Any, converter: Any) -> UInt8[Array, "h w 3"]:
    """PyAV's frame as RGB by the file's own colour space and range; transparent pixels are white."""
    kind = picture.format
    if any(component.is_alpha for component in kind.components):
        return read_image(converter.reformat(picture, format="rgba").to_ndarray())
    if not kind.name.startswith("yuv"):
        return converter.reformat(picture, format="rgb24").to_ndarray()
    # said in full: older PyAV takes every file for BT.601 in limited range, which what is unknown is taken for too
    full = picture.color_range == FULL_RANGE or kind.name.startswith("yuvj")
    rgb = converter.reformat(
        picture,
        format="rgb24",
        src_colorspace=picture.colorspace if picture.colorspace in COLOUR_SPACES else BT601,
        dst_colorspace=BT601,
        src_color_range=FULL_RANGE if full else LIMITED_RANGE,
        dst_color_range=FULL_RANGE,
        interpolation=SMOOTH,
    )
    return rgb.to_ndarray()


def _matrix(picture: Any) -> Int64[Array, "2 2"]:
    """Where a stored pixel's x and y, as a row before it, point upright: phones store as the sensor lies."""
    data = picture.side_data.get("DISPLAYMATRIX")
    matrix = np.frombuffer(data, np.int32).reshape(3, 3)[:2, :2] if data is not None else np.eye(2)
    return matrix.astype(np.int64)


def _upright(rgb: UInt8[Array, "h1 w1 3"], matrix: Int64[Array, "2 2"]) -> UInt8[Array, "h2 w2 3"]:
    """The frame turned by quarters and mirrored, as the matrix says."""
    (xx, xy), (yx, yy) = matrix
    if abs(xx) + abs(yy) < abs(xy) + abs(yx):
        rgb, xx, yy = rgb.swapaxes(0, 1), yx, xy
    return rgb[:: -1 if yy < 0 else 1, :: -1 if xx < 0 else 1]
