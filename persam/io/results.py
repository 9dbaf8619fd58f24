"""What a user gets: one concept in one photo, ready to look at, to save and to hand on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from persam.io import draw, formats

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Segmentation:
    """One concept in one photo.

    mask: True where the object is, in the photo's own size. It is the best guess even when `present` is False.
    score: how well the mask is expected to fit, 0..1: the decoder's predicted IoU.
    presence: how sure it is that the object is in the photo at all, 0..1; `present` is this against the threshold. 1
        under the official recipes, which never judge it.
    box_xyxy: x0, y0, x1, y1 of the mask in pixels, inclusive; None when the mask is empty.
    points_xy, labels: the prompt points that found it, in pixels of the photo; 1 inside the object, 0 outside.
    similarity: the location map: cosine of every grid cell to the concept, -1..1, padding cut off.
    concept: name of what was looked for. name: of the photo, unique in its album. source: its path, or None.
    read: gives the photo again as RGB; one that came from a path is not kept in memory.
    """

    mask: Bool[Array, "h w"]
    score: float
    presence: float
    present: bool
    box_xyxy: tuple[int, int, int, int] | None
    points_xy: Float[Array, "n 2"]
    labels: Float[Array, "n"]
    similarity: Float[Array, "hv wv"]
    concept: str
    name: str
    source: Path | None
    read: Callable[[], UInt8[Array, "h w 3"]] = field(repr=False, compare=False)

    def save(self, path: str | Path, *, format: str | None = None) -> Path:
        """The path of the file that now holds the mask, the best guess even when `present` is False.

        Args:
            path: .png (0 and 255), .npz (with the score), .json (COCO) or .txt (YOLO); folders are made.
            format: another way of writing it, a name of `persam.io.formats.FORMATS`, such as `palette`.

        Raises:
            OutputError: unknown suffix or format, or a place that cannot be written.
        """
        return formats.save(self, path, format=format)

    def overlay(self) -> UInt8[Array, "h w 3"]:
        """The photo with the mask, its outline, the prompt points and the box drawn over it."""
        label = f"{self.concept} {self.presence:.2f}" if self.present else f"{self.concept}: not here"
        rgb = self.read()
        if not self.present:
            return draw.overlay(rgb, np.zeros_like(self.mask), label=label)
        return draw.overlay(
            rgb, self.mask, points_xy=self.points_xy, labels=self.labels, box=self.box_xyxy, label=label
        )

    def cutout(self) -> UInt8[Array, "ch cw 4"]:
        """The object alone: RGBA, cropped to its box, transparent elsewhere.

        Raises:
            MaskError: the mask is empty.
        """
        return draw.cutout(self.read(), self.mask)

    def to_coco(self, *, image_id: int = 0, category_id: int = 1, annotation_id: int | None = None) -> dict[str, Any]:
        """A COCO annotation with compressed RLE, box as x, y, width, height, area in pixels and score."""
        return formats.to_coco(
            self.mask, image_id=image_id, category_id=category_id, annotation_id=annotation_id, score=self.score
        )

    def __repr__(self) -> str:
        where = "not here" if not self.present else f"box {self.box_xyxy}, {int(self.mask.sum())} pixels"
        numbers = f"score {self.score:.2f}, presence {self.presence:.2f}"
        return f"Segmentation({self.concept!r} in {self.name!r}: {where}, {numbers})"
