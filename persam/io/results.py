"""What a user gets: for each image what was looked for in it, ready to look at, to save and to hand on."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from persam.errors import PerSAMError
from persam.geometry import box_of
from persam.io import draw, mask_files, notebook
from persam.io.again import Unreadable

Array = np.ndarray[Any, Any]
Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Segmentation:
    """One instance of one concept in one image.

    concept: name of what was looked for. instance: counted from 1 within its concept, the most similar first.
    mask: True where the object is, in the image's own size. It is the best guess even when `present` is False.
    score: how well this mask is expected to fit, 0..1: the decoder's predicted IoU.
    presence: how sure it is that this is the very object, 0..1; None where that was not judged: under the official
        recipes, with `verify=False`, and with a backbone without a calibration.
    present: `presence` against the calibrated threshold, where it was judged, and the mask is not empty.
    box_xyxy: x0, y0, x1, y1 of the mask in pixels, inclusive; None when the mask is empty.
    points_xy, labels: the prompt points that found it, in pixels of the image; 1 inside the object, 0 outside.
    similarity: the location confidence map: cosine of each patch to the concept, -1..1, padding cut off.
    track_id: the object's number for the whole of a video, from 1; None in a photo.
    """

    concept: str
    instance: int
    mask: Bool[Array, "h w"]
    score: float
    presence: float | None
    present: bool
    box_xyxy: Box | None
    points_xy: Float[Array, "n 2"]
    labels: Float[Array, "n"]
    similarity: Float[Array, "hv wv"]
    track_id: int | None = None

    @classmethod
    def of_mask(
        cls,
        concept: str,
        mask: Bool[Array, "h w"],
        *,
        score: float,
        present: bool,
        presence: float | None = None,
        track_id: int | None = None,
    ) -> "Segmentation":
        """One whose mask is known without a search: no points, no location map."""
        return cls(
            concept,
            instance=1,
            mask=mask,
            score=score,
            presence=presence,
            present=present,
            box_xyxy=box_of(mask),
            points_xy=np.zeros((0, 2), np.float32),
            labels=np.zeros(0, np.float32),
            similarity=np.zeros((0, 0), np.float32),
            track_id=track_id,
        )

    def __eq__(self, other: object) -> bool:
        """Whether both say the same of the same pixels."""
        if not isinstance(other, Segmentation):
            return NotImplemented
        return all(_same(getattr(self, one.name), getattr(other, one.name)) for one in fields(self))

    def __hash__(self) -> int:
        return hash((self.concept, self.instance, self.score, self.present, self.box_xyxy, self.track_id))

    @property
    def area_px(self) -> int:
        return int(self.mask.sum())

    def save(self, path: str | Path, *, format: str | None = None) -> Path:
        """The path of the file that now holds the mask, the best guess even when `present` is False.

        Args:
            path: .png (0 and 255), .npz (with the score), .json (COCO) or .txt (YOLO); folders are made.
            format: another way of writing it, a name of `persam.io.mask_files.FORMATS`, such as `palette`.

        Raises:
            OutputError: unknown suffix or format, or a place that cannot be written.
        """
        return mask_files.write_mask(self.mask, path, format=format, score=self.score)

    def to_coco(self, *, image_id: int = 0, category_id: int = 1, annotation_id: int | None = None) -> dict[str, Any]:
        """A COCO annotation with compressed RLE, box as x, y, width, height, area in pixels and score."""
        return mask_files.to_coco(
            self.mask, image_id=image_id, category_id=category_id, annotation_id=annotation_id, score=self.score
        )

    def to_record(self) -> dict[str, Any]:
        """What a line of results.jsonl says of it, ready for JSON; of what is not present, no box and no area."""
        return {
            "concept": self.concept,
            "present": self.present,
            "presence": None if self.presence is None else round(self.presence, 4),
            "score": round(self.score, 4),
            "box_xyxy": self.box_xyxy if self.present else None,
            "area_px": self.area_px if self.present else 0,
        }

    @property
    def label(self) -> str:
        """What a picture calls it: the concept, and how sure its presence is."""
        return self.concept if self.presence is None else f"{self.concept} {self.presence:.2f}"

    def __repr__(self) -> str:
        presence = "presence not judged" if self.presence is None else f"presence {self.presence:.2f}"
        where = f"box {self.box_xyxy}, {self.area_px} pixels" if self.present else "not here"
        return f"Segmentation({self.concept!r}: {where}, score {self.score:.2f}, {presence})"

    def _repr_html_(self) -> str:
        """For notebooks: the mask as a small picture, and the numbers."""
        return notebook.figure(
            self.concept, lambda: self.mask[..., None] * np.full(3, 255, np.uint8), [self.to_record()]
        )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return bool(one == other)


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
