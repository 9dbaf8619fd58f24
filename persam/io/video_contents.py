"""What a video file holds, found by one pass over it that decodes nothing: how many frames, when each is shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Float64, Int64
from PIL import Image

from persam.errors import VideoError

Array = np.ndarray[Any, Any]

# Files that say when each frame is shown, and find it by that. Others are decoded from their start and counted: in AVI,
# for one, the stamps of the packets are not those of the frames.
SEEKABLE = {"mov", "mp4", "matroska", "webm"}
NO_SIZE = 0xFFFFFFFF  # what a live recording writes for the size of its RIFF file


@dataclass(frozen=True)
class Contents:
    """The frames of a video file, before any is decoded.

    found: frames that are there.
    promised: frames that the whole file would have; at least one more where it is cut and does not say.
    cut: whether the file ends before its own end.
    pts: when each frame is shown, rising, in ticks; None where a frame does not say, or two say the same.
    keys: when each keyframe is shown; empty where the file is not to be sought in.
    rate: average frames a second, 0 where the file does not say.
    tick: in seconds.
    """

    found: int
    promised: int
    cut: bool
    pts: Int64[Array, " n"] | None
    keys: list[int]
    rate: float
    tick: float

    @property
    def exact(self) -> bool:
        """Whether a frame's time stamp tells its index, and where to seek for it."""
        return bool(self.keys) and self.pts is not None

    def shown_from(self, pts: int | None) -> "Contents":
        """Without the frames before the first that can be decoded: a cut that kept no keyframe for them."""
        if not self.exact or self.pts is None or pts is None:
            return self
        kept = self.pts[self.pts >= pts]
        fewer = len(self.pts) - len(kept)
        return replace(self, found=len(kept), promised=self.promised - fewer, pts=kept)


def import_av() -> Any:
    """PyAV. Raises VideoError where it is not installed."""
    try:
        import av
        import av.stream
        import av.video.reformatter
    except ImportError as error:
        raise VideoError(
            'video files need PyAV, which is not installed. Run: pip install "persam[video]". '
            "A folder of frames as pictures needs no extra."
        ) from error
    return av


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """PyAV's container, and its first video track that is no cover picture.

    Raises:
        VideoError: no such track, none that can be decoded, or frames beyond the size at which PIL refuses photos.
        av.error.FFmpegError: what FFmpeg says of the file.
    """
    av = import_av()
    with av.open(str(path), metadata_errors="replace") as container:
        cover = av.stream.Disposition.attached_pic
        stream = next((one for one in container.streams.video if not one.disposition & cover), None)
        if stream is None:
            raise VideoError(f"cannot read the clip {path}: there is no video track in it. Name a file that has one.")
        if stream.codec_context is None:
            raise VideoError(f"cannot read the clip {path}: nothing here decodes its video. Export it as H.264.")
        stream.thread_type = "AUTO"
        _bound(path, stream.codec_context)
        yield container, stream


def _bound(path: Path, codec: Any) -> None:
    """Frames take no more memory than photos may: a file of some kilobytes can ask for a gigabyte a frame."""
    if Image.MAX_IMAGE_PIXELS is None:
        return
    most = 2 * Image.MAX_IMAGE_PIXELS  # at which PIL refuses
    if codec.width * codec.height > most:
        raise VideoError(
            f"cannot read the clip {path}: its frames have {codec.width}x{codec.height} pixels, more than "
            f"{most / 1e6:.0f} million. Scale it down, or if you trust it raise PIL.Image.MAX_IMAGE_PIXELS yourself."
        )
    codec.options = {"max_pixels": str(most)}  # of frames that have another size than the header says


def contents_of(path: Path) -> Contents:
    """What the file holds; raises as `opened` does."""
    packets: list[tuple[int | None, int | None]] = []  # when each is shown, and when it is decoded
    keys: list[int] = []
    cut = False
    with opened(path) as (container, stream):
        for packet in container.demux(stream):
            if not packet.size or packet.is_discard:
                continue
            packets.append((packet.pts, packet.dts))
            cut = packet.is_corrupt  # which counts for the last one: of others the decoder makes the best
            if packet.is_keyframe and packet.pts is not None:
                keys.append(packet.pts)
        kinds = set(container.format.name.split(","))
        tick, average = float(stream.time_base), float(stream.average_rate or 0)
        seconds = (container.duration or 0) / 1e6
        declared = stream.frames or round(seconds * average)
    if cut:
        packets.pop()  # half of it is there
    cut = cut or _ends_after(path) > path.stat().st_size
    stamps = np.unique(np.array([pts for pts, _ in packets if pts is not None], np.int64))
    clean = len(stamps) == len(packets)
    if cut and packets and packets[-1][1] is not None:
        stamps = stamps[stamps <= packets[-1][1]]  # of what is shown later, frames between may be missing
    found = len(stamps) if clean else len(packets)
    promised = max(declared, found + 1) if cut else found
    rate = _rate(stamps * tick, average) if clean else average
    return Contents(found, promised, cut, stamps if clean else None, keys if kinds & SEEKABLE else [], rate, tick)


def _rate(times: Float64[Array, " n"], average: float) -> float:
    """Frames a second; the file's own average where the time stamps agree with it but for their rounding."""
    measured = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else average
    return float(average if abs(average - measured) < measured / 100 else measured)


def _ends_after(path: Path) -> int:
    """How many bytes the file must have by what it says itself: MP4, MOV, Matroska, WebM, AVI; 0 of others."""
    with path.open("rb") as file:
        head = file.read(4096)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
            return _end_of_boxes(file)
    if head[:4] == b"RIFF":
        size = int.from_bytes(head[4:8], "little")
        return 8 + size if size < NO_SIZE else 0
    segment = head.find(b"\x18\x53\x80\x67")  # where Matroska's one large element begins
    if head[:4] != b"\x1a\x45\xdf\xa3" or segment < 0:
        return 0
    begin = segment + 4
    width = 9 - head[begin].bit_length()  # zeros before its first bit tell how many bytes the size has
    unknown = 2 ** (7 * width) - 1  # what a live recording writes
    size = int.from_bytes(head[begin : begin + width]) & unknown
    return begin + width + size if size < unknown else 0


def _end_of_boxes(file: IO[bytes]) -> int:
    """Where the last box of an MP4 that holds frames ends."""
    at, end = 0, 0
    while True:
        file.seek(at)
        head = file.read(16)
        size = int.from_bytes(head[:4])
        if size == 1:  # a box of more than 4 GB
            size = int.from_bytes(head[8:16])
        if len(head) < 8 or size < 8:
            return end
        at += size
        if head[4:8] in (b"mdat", b"moof"):
            end = at
