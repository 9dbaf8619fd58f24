"""What a user gets: for each image what was looked for in it, ready to look at, to save and to hand on."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from persam.errors import PerSAMError
from persam.io import detections, draw, notebook
from persam.io.again import Unreadable
from persam.io.segmentation import Box, Segmentation

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class ImageResult:
    """What was found in one image, whatever was asked: one object, several concepts, many instances, a video frame.

    Its length is the number of what is present, and iterating gives those; a result in which nothing is present is
    false. `result["rex"]` is the best segmentation of a concept, present or not; `"rex" in result` says whether it is.
    For one object, `mask`, `score`, `presence`, `present`, `box_xyxy`, `points_xy`, `labels` and `similarity` are those
    of the best segmentation.

    name: of the image, unique in its album. size_hw: in pixels.
    segmentations: by concept in the order asked, then the most similar first. A concept that is not present has one,
        its best guess.
    time: seconds from the start of the video; None for a photo.
    source: the image's path, or None.
    error: why the image could not be searched, where errors are skipped: then nothing is present, there is no
        segmentation, and size_hw is (0, 0).
    read: gives the image again as RGB; one that came from a path is not kept in memory.
    """

    name: str
    size_hw: tuple[int, int]
    segmentations: tuple[Segmentation, ...]
    read: Callable[[], UInt8[Array, "h w 3"]] = field(repr=False)
    time: float | None = None
    source: Path | None = None
    error: PerSAMError | None = None

    @classmethod
    def of_error(cls, name: str, error: PerSAMError, source: Path | None = None) -> "ImageResult":
        """What stands in the place of an image that could not be searched; it does not keep the image in memory."""
        error.__context__ = None
        return cls(name, (0, 0), (), Unreadable(error), source=source, error=error.with_traceback(None))

    def __post_init__(self) -> None:
        for one in self.segmentations:
            if one.mask.shape != self.size_hw:
                raise ValueError(f"expected masks of {self.size_hw} (height, width), got {one.mask.shape}")

    def __len__(self) -> int:
        return sum(one.present for one in self.segmentations)

    def __contains__(self, item: object) -> bool:
        """Whether the concept of this name, or this very segmentation, is present."""
        return any(item in (one.concept, one) for one in self)

    def __eq__(self, other: object) -> bool:
        """Whether both say the same of the same image; how it is read again does not count."""
        if not isinstance(other, ImageResult):
            return NotImplemented
        return self._known == other._known

    def __hash__(self) -> int:
        return hash(self._known)

    @property
    def _known(self) -> tuple[Any, ...]:
        error = None if self.error is None else (type(self.error), str(self.error))
        return self.name, self.size_hw, self.segmentations, self.time, self.source, error

    def __iter__(self) -> Iterator[Segmentation]:
        return (one for one in self.segmentations if one.present)

    def __getitem__(self, concept: str) -> Segmentation:
        self._check_searched()
        for one in self.segmentations:
            if one.concept == concept:
                return one
        asked = ", ".join(dict.fromkeys(repr(one.concept) for one in self.segmentations)) or "nothing"
        raise PerSAMError(f"nothing called {concept!r} was looked for in {self.name!r}. It was asked for {asked}.")

    @property
    def best(self) -> Segmentation:
        """The first segmentation that is present, else the first concept's best guess."""
        self._check_searched()
        present = next(iter(self), None)
        if present is not None:
            return present
        if not self.segmentations:
            raise PerSAMError(f"nothing was looked for in {self.name!r}: the result holds no segmentation.")
        return self.segmentations[0]

    def _check_searched(self) -> None:
        if self.error is not None:
            raise PerSAMError(f"{self.name!r} was not searched: {self.error}")

    @property
    def present(self) -> bool:
        return len(self) > 0

    @property
    def mask(self) -> Bool[Array, "h w"]:
        return self.best.mask

    @property
    def score(self) -> float:
        return self.best.score

    @property
    def presence(self) -> float | None:
        return self.best.presence

    @property
    def box_xyxy(self) -> Box | None:
        return self.best.box_xyxy

    @property
    def points_xy(self) -> Float[Array, "n 2"]:
        return self.best.points_xy

    @property
    def labels(self) -> Float[Array, "n"]:
        return self.best.labels

    @property
    def similarity(self) -> Float[Array, "hv wv"]:
        return self.best.similarity

    def save(self, path: str | Path, *, format: str | None = None) -> Path:
        """Writes the best segmentation's mask; see `Segmentation.save`."""
        return self.best.save(path, format=format)

    def to_supervision(self) -> Any:
        """What is present as supervision's `Detections`, for its annotators, trackers, zones and metrics.

        `xyxy` is inclusive, as `supervision.mask_to_xyxy` gives it; `confidence` is the score; `class_id` is the place
        of the concept among those that were asked for; `tracker_id` the track id of a video's frame, else None; `data`
        has `class_name`, `instance` and `presence`, which is NaN where it was not judged.

        Raises:
            PerSAMError: supervision is not installed.
        """
        asked = list(dict.fromkeys(one.concept for one in self.segmentations))
        return detections.to_supervision(list(self), asked, self.size_hw)

    def overlay(self) -> UInt8[Array, "h w 3"]:
        """The image with everything that is present drawn over it, each in a colour of its own: in a video for life.

        In a photo, a single one comes with its box and prompt points; instances of one concept come with their numbers.
        Concepts that are not present are named in a corner.
        """
        rgb, present = self.read(), list(self)
        here = {one.concept for one in present}
        absent = dict.fromkeys(one.concept for one in self.segmentations if one.concept not in here)
        if len(present) == 1 and not absent and present[0].track_id is None:
            (one,) = present
            return draw.overlay(
                rgb, one.mask, points_xy=one.points_xy, labels=one.labels, box=one.box_xyxy, label=one.label
            )
        instances = Counter(one.concept for one in present)
        for place, one in enumerate(present):
            number = place if one.track_id is None else one.track_id - 1
            label = f"{one.instance} {one.label}" if instances[one.concept] > 1 else one.label
            rgb = draw.overlay(rgb, one.mask, colour=draw.COLOURS[number % len(draw.COLOURS)], label=label)
        if absent:
            label = f"{', '.join(absent)}: not here"
            rgb = draw.overlay(rgb, np.zeros(self.size_hw, bool), colour=draw.INK, label=label)
        return rgb

    def cutout(self) -> UInt8[Array, "ch cw 4"]:
        """The best segmentation's object alone: RGBA, cropped to its box, transparent elsewhere.

        Raises:
            MaskError: the mask is empty.
        """
        return draw.cutout(self.read(), self.mask)

    def __repr__(self) -> str:
        if self.error is not None:
            return f"ImageResult({self.name!r}: not searched, {self.error})"
        return f"ImageResult({self.name!r}: {'; '.join(map(repr, self.segmentations))})"

    def _repr_html_(self) -> str:
        """For notebooks: the overlay as a small picture, and the numbers of everything that was looked for."""
        return notebook.figure(self.name, self.overlay, [one.to_record() for one in self.segmentations])
