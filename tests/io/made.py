"""Masks drawn with signs, and results made by hand."""

from pathlib import Path
from typing import Any

import numpy as np

from persam.geometry import box_of
from persam.io.results import ImageResult
from persam.io.segmentation import Segmentation


def mask_of(*rows: str) -> np.ndarray:
    return np.array([[sign == "#" for sign in row] for row in rows])


def rows_of(mask: np.ndarray) -> list[str]:
    return ["".join(".#"[int(value)] for value in row) for row in mask]


def segmentation(mask: np.ndarray, concept: str = "rex", instance: int = 1, **changes: Any) -> Segmentation:
    """Present, unless the mask is empty or `changes` say otherwise."""
    known: dict[str, Any] = {
        "score": 0.875,
        "presence": 0.75,
        "present": bool(mask.any()),
        "box_xyxy": box_of(mask),
        "points_xy": np.array([[31.0, 12.0], [5.0, 35.0]], np.float32),
        "labels": np.array([1.0, 0.0], np.float32),
        "similarity": np.zeros((3, 4), np.float32),
    }
    return Segmentation(concept, instance, mask, **(known | changes))


def image(name: str, *segmentations: Segmentation, source: Path | None = None, **changes: Any) -> ImageResult:
    """A grey photo of the size of the masks, or 2 x 3 without any."""
    size_hw = segmentations[0].mask.shape if segmentations else (2, 3)
    known: dict[str, Any] = {"size_hw": size_hw, "read": lambda: np.full((*size_hw, 3), 100, np.uint8)}
    return ImageResult(name, segmentations=segmentations, source=source, **(known | changes))


def frame(number: int, *segmentations: Segmentation, **changes: Any) -> ImageResult:
    """A frame of a video of four a second, 2 x 3 unless masks say otherwise."""
    return image(f"walk_{number}", *segmentations, time=number / 4, **changes)


# Both are in the first frame, where they share a pixel; neither is in the second; tom alone is in the third.
VIDEO = [
    frame(
        0,
        segmentation(mask_of("##.", "##."), "rex", track_id=1),
        segmentation(mask_of(".##", "..."), "tom", track_id=2),
    ),
    frame(
        1,
        segmentation(mask_of("#..", "..."), "rex", track_id=1, present=False),
        segmentation(mask_of("#..", "..."), "tom", track_id=2, present=False),
    ),
    frame(
        2,
        segmentation(mask_of("...", "..."), "rex", track_id=1),
        segmentation(mask_of("...", "..#"), "tom", track_id=2),
    ),
]
