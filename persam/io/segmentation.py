"""One object found in one image: where it is, and how sure that is."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from persam.geometry import box_of
from persam.io import mask_files, notebook

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

    def to_coco(
        self, *, image_id: int = 0, category_id: int = 1, annotation_id: int | None = None, polygons: bool = False
    ) -> dict[str, Any]:
        """A COCO annotation with compressed RLE or polygons, box as x, y, width, height, area in pixels and score."""
        return mask_files.to_coco(
            self.mask,
            image_id=image_id,
            category_id=category_id,
            annotation_id=annotation_id,
            score=self.score,
            polygons=polygons,
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
