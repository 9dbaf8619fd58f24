"""A clip on the page: tracked into a folder, with its player's file, and put right at any frame."""

import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from persam.errors import OutputError, TrackingError
from persam.io import draw
from persam.io.results import ImageResult
from persam.io.track_folder import TrackFolder
from persam.io.video import Video, open_video, read_ahead
from persam.io.video_contents import import_av
from persam.method.concept import Concept
from persam.model import PerSAM
from persam.studio.downloads import zip_of
from persam.studio.limits import Limits
from persam.studio.marking import Marks, put_right
from persam.studio.photo import Photo
from persam.tracking.tracker import Tracker

Array = np.ndarray[Any, Any]
MAX_SIDE = 1280  # of a frame: larger ones are scaled down before they are tracked


@dataclass(frozen=True, eq=False)
class Correction:
    """An object in one frame, as a person put it right. mask: in the frame's pixels."""

    concept: str
    mask: Bool[Array, "h w"]


@dataclass(eq=False)
class Clip:
    """One clip. video: opened. step: 2 tracks every second frame. tracked: the folder of its last track."""

    video: Video
    home: Path
    step: int = 1
    tracked: Path | None = None
    names: list[str] = field(default_factory=list)
    corrections: dict[tuple[int, str], Correction] = field(default_factory=dict)
    done: int = 0
    marks: Marks = field(default_factory=Marks)

    @classmethod
    def open(cls, path: Path, home: Path, limits: Limits) -> "Clip":
        """The clip of a file, its first frame looked at.

        Raises:
            LimitError: the file or its frames are larger than is taken.
            VideoError: it cannot be read.
        """
        limits.check_file(path)
        import_av()
        video = open_video(path, max_side=MAX_SIDE)
        limits.check_pixels(path.name, video.original_hw)
        return cls(video, home)

    @property
    def places(self) -> range:
        """The frames that are tracked."""
        return range(0, self.video.count or 0, self.step)

    def track(self, concepts: Sequence[Concept], model: PerSAM, limits: Limits) -> Iterator[ImageResult]:
        """Each frame when it has been tracked, from the first on; corrections take effect at their frames.

        Raises:
            LimitError: it takes too long: what came before is there and plays.
            VideoError: the clip ends early, likewise.
            ConceptError: as for `Tracker.add_concepts`.
        """
        deadline = limits.deadline("tracking the clip")
        tracker = Tracker(model)
        tracker.add_concepts(list(concepts))
        self._forget_track()
        self.tracked = self.home / f"track-{uuid.uuid4().hex}"
        self.names, self.done = [one.name for one in concepts], 0
        frames = self.video.frames(0, None, self.step)
        try:
            with TrackFolder(self.tracked, self.video, self.places) as folder, closing(read_ahead(frames)) as ahead:
                for frame in ahead:
                    result = tracker.step(frame.rgb, name=frame.name, time=frame.time)
                    for (index, concept), correction in self.corrections.items():
                        if index == frame.index and concept in self.names:
                            result = tracker.correct(result, correction.mask, concept=concept)
                    folder.write(result)
                    self.done += 1
                    yield result
                    deadline.check()
        except OutputError:
            if self.home.is_dir():  # else the tab was closed meanwhile, and its files are gone
                raise

    @property
    def overlay(self) -> Path:
        """The file for the player."""
        return self._folder() / "overlay.mp4"

    def archive(self) -> Path:
        """track.zip: masks, overlay.mp4 and results.jsonl."""
        return zip_of(self._folder(), self.home / "track.zip")

    def frame(self, index: int) -> Photo:
        """The tracked frame at or before this index."""
        place = self._place(index)
        [found] = list(self.video.frames(place, place + 1))
        return Photo(found.name, found.rgb)

    def mask(
        self, index: int, concept: str, model: PerSAM | None = None, *, shown: Photo | None = None
    ) -> Bool[Array, "h w"]:
        """Where the object is in the frame, with the correction that is under way when there is a model.

        shown: the frame, where it is decoded already.
        """
        place = self._place(index)
        mask = self._stored(place, concept)
        if model is None or not self.marks.clicks:
            return mask
        embedding = model.backbone.encode([(shown or self.frame(index)).rgb])
        return put_right(mask, self.marks, model.backbone, embedding)

    def keep_correction(self, index: int, concept: str, model: PerSAM) -> None:
        """Makes the clicks in this frame a correction, which the next track begins from there."""
        if not self.marks.clicks:
            raise TrackingError("there is no correction in this frame yet: click on the object, or beside it.")
        mask = self.mask(index, concept, model)
        self.corrections[self._place(index), concept] = Correction(concept, mask)
        self.marks = Marks()

    def picture(self, index: int, concept: str, model: PerSAM | None = None) -> UInt8[Array, "h w 3"]:
        """The frame with the object drawn over it, in the colour that it has in the video."""
        photo = self.frame(index)
        colour = draw.COLOURS[self._number(concept) % len(draw.COLOURS)]
        points, labels = self.marks.drawn
        mask = self.mask(index, concept, model, shown=photo)
        return draw.overlay(photo.rgb, mask, colour=colour, points_xy=points, labels=labels, label=concept)

    def _stored(self, place: int, concept: str) -> Bool[Array, "h w"]:
        kept = self.corrections.get((place, concept))
        if kept is not None:
            return kept.mask
        [name] = self.video.names([place])
        path = self._folder() / "masks" / f"{name}.png"
        if not path.is_file():
            raise TrackingError(f"frame {place} was not tracked. Choose an earlier one, or track the clip again.")
        with Image.open(path) as image:
            return np.array(image) == self._number(concept) + 1

    def _number(self, concept: str) -> int:
        if concept not in self.names:
            raise TrackingError(f"{concept!r} was not tracked in this clip. Choose one of {', '.join(self.names)}.")
        return self.names.index(concept)

    def _place(self, index: int) -> int:
        return min(max(0, index), self.places[-1]) // self.step * self.step

    def _folder(self) -> Path:
        if self.tracked is None or not self.done:
            raise TrackingError("nothing was tracked yet: choose a concept and track the clip first.")
        return self.tracked

    def _forget_track(self) -> None:
        if self.tracked is not None:
            shutil.rmtree(self.tracked, ignore_errors=True)
