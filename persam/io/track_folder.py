"""What `persam track` leaves in its folder: a mask a frame, videos to look at, a JSON line a frame, and a data set."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from persam.errors import OutputError, VideoError
from persam.io import write
from persam.io.formats import MOST_INDICES, export
from persam.io.manifest import Manifest, Output
from persam.io.mask_files import palette_png
from persam.io.results import ImageResult
from persam.io.run import Existing, Record, Run
from persam.io.segmentation import Segmentation
from persam.io.video import Video
from persam.io.video_contents import import_av
from persam.io.video_writer import VideoWriter

Array = np.ndarray[Any, Any]
EXPORTS = {"coco_video": "coco_video.json", "mots": "mots.txt"}
NO_PYAV = (
    'overlay.mp4 needs PyAV, which is not installed: pip install "persam[video]". Masks and results need no extra.'
)


class TrackFolder:
    """Where the results of a video go: masks/, overlay.mp4, results.jsonl, the run's manifest and, asked for, more.

    masks/NAME.png are palette files as in DAVIS: the index is the track id, 0 is background, and a pixel belongs to one
    object. Every frame has one, also where nothing is present.

    Use it as a context manager: however its block is left, by an error or Ctrl-C too, the files hold every frame until
    then, and the videos play. Frames that come backward are shown forward: their videos are made when the block is
    left, from the clip, which is read again, and the masks on disk.

    Args:
        path: the folder; it is made when it is not there yet.
        clip: what is tracked. Its sound goes along.
        places: of the frames whose results come, in their order; falling where they come backward.
        overlay: make overlay.mp4, the frames with every object in a colour of its own. It is left out without PyAV.
        cutout: make cutout.webm, the objects alone, transparent elsewhere.
        export_as: a name of EXPORTS, for a data set beside the masks.
        settings: what else decides the results, for the manifest; see `io.folder.Folder`.
        inputs: files that are read beside the clip; like its own, they are never replaced.
        existing: what to do where the folder holds a run: refuse or overwrite, as for `Run`. A track is not resumed, as
            what the tracker remembers of earlier frames is not on disk.

    Raises:
        VideoError: a cut-out without PyAV.
        OutputError: no such export.
    """

    def __init__(
        self,
        path: Path,
        clip: Video,
        places: range,
        *,
        overlay: bool = True,
        cutout: bool = False,
        export_as: str | None = None,
        settings: Mapping[str, Any] | None = None,
        inputs: Iterable[Path] = (),
        existing: Existing = "refuse",
    ) -> None:
        if export_as not in (None, *EXPORTS):
            raise OutputError(f"a track cannot be exported as {export_as!r}: choose one of {', '.join(EXPORTS)}.")
        self.path, self.clip, self.places, self.export_as = path, clip, places, export_as
        if cutout:
            import_av()
        self.overlay_missing = overlay and not _has_av()
        self._films: dict[str, Callable[[ImageResult], UInt8[Array, "h w c"]]] = {}
        if overlay and not self.overlay_missing:
            self._films["overlay.mp4"] = ImageResult.overlay
        if cutout:
            self._films["cutout.webm"] = cut_out
        self._writers: list[VideoWriter] = []
        self._open = ExitStack()
        asked = {"frames": [places.start, places.stop, places.step], "made": [*self._films, export_as]}
        outputs = [Output(f"masks/{name}.png") for name in clip.names(places)] + [Output(name) for name in self._films]
        outputs += [Output(EXPORTS[export_as])] if export_as else []
        manifest = Manifest("track", {**(settings or {}), **asked}, tuple(outputs))
        self._run = Run(path, manifest, inputs=(*inputs, *clip.files), existing=existing)

    @property
    def _records(self) -> list[Record]:
        return self._run.records

    def check(self) -> None:
        """Touches nothing; raises what `Run.check` does."""
        self._run.check()

    def __enter__(self) -> "TrackFolder":
        self._open.enter_context(self._run)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._open:
            if self._records and self.places.step < 0 and self._films:
                self._show_forward()
            if self._records and self.export_as:
                export(self._from_disk(), self.path / EXPORTS[self.export_as], format=self.export_as)

    def write(self, result: ImageResult) -> Record:
        """Writes the next frame, which is on disk when its record is returned.

        Every record has the same keys: None for the mask and the box of what is not present, and for a presence that
        was not judged.

        Raises:
            OutputError: a track id that a palette file does not hold, or a place that cannot be written.
        """
        index = self.places[len(self._records)]
        indices, mask = _indices(result), self._mask(result.name)
        record = {
            "frame": result.name,
            "index": index,
            "time": round(index / self.clip.rate if result.time is None else result.time, 6),
            "present": result.present,
            "objects": [_object(one, mask) for one in result.segmentations],
        }
        write.write_bytes(palette_png(indices), mask)
        if self.places.step > 0 and self._films:
            self._show(result.read(), indices, record)
        self._run.append(record)
        return record

    def _mask(self, name: str) -> Path:
        return self.path / "masks" / f"{name}.png"

    def _show(self, rgb: UInt8[Array, "h w 3"], indices: UInt8[Array, "h w"], record: Record) -> None:
        """Adds the frame to the videos, which begin with the first one, as its time is where their sound begins."""
        if not self._writers:
            source = self.clip.source
            sound = source if source is not None and source.is_file() else None
            rate = self.clip.rate / abs(self.places.step)
            for name in self._films:
                writer = VideoWriter(self.path / name, rate=rate, audio_from=sound, start=record["time"])
                self._writers.append(self._open.enter_context(writer))
        saved = _saved(record, indices, lambda: rgb)  # forward and backward runs draw the same
        for writer, picture_of in zip(self._writers, self._films.values(), strict=True):
            writer.write(picture_of(saved), record["time"])

    def _show_forward(self) -> None:
        shown = self.places[: len(self._records)][::-1]
        frames = self.clip.frames(shown.start, shown[-1] + 1, shown.step)
        for frame, record in zip(frames, reversed(self._records), strict=True):
            self._show(frame.rgb, self._indices_on_disk(record), record)

    def _indices_on_disk(self, record: Record) -> UInt8[Array, "h w"]:
        with Image.open(self._mask(record["frame"])) as image:
            return np.array(image)

    def _from_disk(self) -> Iterator[ImageResult]:
        """The frames in their order in the clip, one in memory at a time, without their pictures."""
        for record in self._records[:: 1 if self.places.step > 0 else -1]:
            yield _saved(record, self._indices_on_disk(record), _no_picture)


def cut_out(result: ImageResult) -> UInt8[Array, "h w 4"]:
    """What is present as RGBA in the frame's size; outside it, clear black."""
    inside = np.zeros((*result.size_hw, 1), bool)
    for one in result:
        inside |= one.mask[..., None]
    return np.concatenate([result.read() * inside, inside * np.uint8(255)], axis=2)


def _has_av() -> bool:
    try:
        import_av()
    except VideoError:
        return False
    return True


def _indices(result: ImageResult) -> UInt8[Array, "h w"]:
    """The track id at every pixel; one of several objects is the first one's."""
    indices = np.zeros(result.size_hw, np.uint8)
    for one in result:
        if one.track_id is None or not 1 <= one.track_id <= MOST_INDICES:
            raise OutputError(
                f"{result.name!r} has an object with the track id {one.track_id}, and a palette PNG holds 1 to "
                f"{MOST_INDICES}. Track fewer objects."
            )
        indices[one.mask & (indices == 0)] = one.track_id
    return indices


def _object(one: Segmentation, mask: Path) -> Record:
    return {"id": one.track_id, **one.to_record(), "mask": str(mask) if one.present else None}


def _saved(record: Record, indices: UInt8[Array, "h w"], read: Callable[[], UInt8[Array, "h w 3"]]) -> ImageResult:
    """A frame's result as its record and its mask file hold it."""
    segmentations = tuple(
        Segmentation.of_mask(
            one["concept"],
            indices == one["id"],
            score=one["score"],
            present=one["present"],
            presence=one["presence"],
            track_id=one["id"],
        )
        for one in record["objects"]
    )
    return ImageResult(record["frame"], (indices.shape[0], indices.shape[1]), segmentations, read, time=record["time"])


def _no_picture() -> UInt8[Array, "h w 3"]:
    raise AssertionError("an export reads no pictures")
