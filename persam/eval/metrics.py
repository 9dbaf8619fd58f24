"""The numbers, on masks of one size: IoU, boundary IoU, holes, DAVIS's J and F, and their statistics over a video."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool

from persam.errors import DataError, MaskError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Overlap:
    """Pixels two masks share, and pixels either of them has. Adding overlaps adds both, as the summed IoU needs."""

    intersection_px: int = 0
    union_px: int = 0

    def __add__(self, other: "Overlap") -> "Overlap":
        return Overlap(self.intersection_px + other.intersection_px, self.union_px + other.union_px)

    @property
    def iou(self) -> float:
        """Intersection over union, 0 to 1; 1 where there was nothing to find and nothing was found."""
        return self.intersection_px / self.union_px if self.union_px else 1.0


def overlap(mask: Bool[Array, "h w"], truth: Bool[Array, "ht wt"]) -> Overlap:
    """The overlap of a mask with the truth.

    Raises:
        MaskError: the two differ in size; nothing is resized here, for that would change the number.
    """
    _check_sizes(mask, truth)
    return Overlap(int(np.count_nonzero(mask & truth)), int(np.count_nonzero(mask | truth)))


def iou(mask: Bool[Array, "h w"], truth: Bool[Array, "ht wt"]) -> float:
    """Intersection over union, 0 to 1; 1 when both are empty."""
    return overlap(mask, truth).iou


def summed_iou(pairs: Iterable[tuple[Bool[Array, "_ _"], Bool[Array, "_ _"]]]) -> float:
    """One object's IoU as PerSeg and the few-shot benchmarks count it: summed intersections over summed unions.

    ledger 7: the benchmark's mIoU is the mean of this over objects (or classes). A mean of the photos' own IoUs is
    another number: here a photo weighs as much as its object covers. The reference is not among the photos, and a
    mask meets its truth by name, not by place in a sorted folder.
    """
    return sum((overlap(mask, truth) for mask, truth in pairs), Overlap()).iou


def boundary_band(mask: Bool[Array, "h w"], *, ratio: float = 0.02) -> Bool[Array, "h w"]:
    """The mask's pixels no further from its outside than `ratio` of the image's diagonal (Cheng et al. 2021, G_d).

    Distance is counted in king's moves, at least 1, rounded to whole pixels; what lies off the image is outside.
    """
    width_px = max(1, round(ratio * math.hypot(*mask.shape)))
    framed = np.pad(mask, 1).astype(np.uint8)
    moves = cv2.distanceTransform(framed, cv2.DIST_C, cv2.DIST_MASK_3)[1:-1, 1:-1]
    return mask & (moves <= width_px)


def boundary_iou(mask: Bool[Array, "h w"], truth: Bool[Array, "ht wt"], *, ratio: float = 0.02) -> float:
    """IoU of the two boundary bands, 0 to 1 (Cheng et al., CVPR 2021, eq. 3); 1 when both are empty."""
    return boundary_overlap(mask, truth, ratio=ratio).iou


def boundary_overlap(mask: Bool[Array, "h w"], truth: Bool[Array, "ht wt"], *, ratio: float = 0.02) -> Overlap:
    """The overlap of the two boundary bands."""
    return overlap(boundary_band(mask, ratio=ratio), boundary_band(truth, ratio=ratio))


def region_similarity(mask: Bool[Array, "h w"], truth: Bool[Array, "ht wt"]) -> float:
    """DAVIS's J of one frame (Perazzi et al. 2016, §4.1): intersection over union, 1 when both are empty."""
    return iou(mask, truth)


def contour(mask: Bool[Array, "h w"]) -> Bool[Array, "h w"]:
    """Pixels that differ from their right, lower or lower right neighbour: the border, one pixel wide.

    It lies half a pixel towards the origin, as in Martin's `seg2bmap`, which DAVIS uses. The image's edge is no border.
    """
    ahead = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return (mask != ahead[:-1, 1:]) | (mask != ahead[1:, :-1]) | (mask != ahead[1:, 1:])


def contour_accuracy(mask: Bool[Array, "h w"], truth: Bool[Array, "ht wt"], *, bound: float = 0.008) -> float:
    """DAVIS's F of one frame, 0 to 1 (Perazzi et al. 2016, §4.1): how well the two contours lie on each other.

    A contour pixel is matched when one of the other contour lies within the bound, Euclidean. F is the harmonic mean
    of the matched shares: precision for the mask's pixels, recall for the truth's. Two masks without a contour give
    1, one without gives 0. A bound from 1 up is in pixels; below, it is a share of the image's diagonal, rounded up.
    """
    _check_sizes(mask, truth)
    reach_px = int(bound) if bound >= 1 else math.ceil(bound * math.hypot(*mask.shape))
    found, true = contour(mask), contour(truth)
    if not found.any() or not true.any():
        return float(found.any() == true.any())
    precision = (found & _near(true, reach_px)).sum() / found.sum()
    recall = (true & _near(found, reach_px)).sum() / true.sum()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def holes(mask: Bool[Array, "h w"], truth: Bool[Array, "ht wt"]) -> float:
    """The share of the truth, 0 to 1, that lies in holes of the mask; 0 where there is no truth to leave out.

    A hole is what the mask goes around, pixels that touch at a corner included: from there no path over shared edges
    leads out of the image past the mask. A notch is none.

    Raises:
        MaskError: the two differ in size.
    """
    _check_sizes(mask, truth)
    around = np.pad(~mask, 1, constant_values=True)
    _, regions = cv2.connectedComponents(around.astype(np.uint8), connectivity=4)
    inside = (around & (regions != regions[0, 0]))[1:-1, 1:-1]
    return int(np.count_nonzero(inside & truth)) / max(1, int(np.count_nonzero(truth)))


def parts_of(mask: Bool[Array, "h w"]) -> list[Bool[Array, "h w"]]:
    """The parts of a mask that do not touch."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    return [labels == number for number in range(1, count)]


def _check_sizes(mask: Bool[Array, "h w"], truth: Bool[Array, "ht wt"]) -> None:
    if mask.shape != truth.shape:
        got, expected = ("x".join(map(str, array.shape)) for array in (mask, truth))
        raise MaskError(f"the mask is {got} and the truth {expected}. Give the mask in the size of its photo.")


def _near(pixels: Bool[Array, "h w"], reach_px: int) -> Bool[Array, "h w"]:
    """Everything within `reach_px` of a set pixel: dilation with a disc."""
    across = np.arange(-reach_px, reach_px + 1)
    disc = across**2 + across[:, None] ** 2 <= reach_px**2
    return cv2.dilate(pixels.astype(np.uint8), disc.astype(np.uint8)).astype(bool)


@dataclass(frozen=True)
class VideoStatistics:
    """One object's J or F over a video: mean, recall (share of frames above 0.5), decay (loss from start to end)."""

    mean: float
    recall: float
    decay: float


def video_statistics(per_frame: Sequence[float]) -> VideoStatistics:
    """Mean, recall and decay as DAVIS's `db_statistics` counts them.

    Decay is the first quarter's mean minus the last one's. The quarters share their border frames: frame numbers
    1 to n are cut at five evenly spaced places, rounded half up, and a quarter holds both of its ends.
    The published code keeps the cuts in 8 bits, which is wrong from 257 frames on; DAVIS has no such video.

    Args:
        per_frame: the frames that count, in order. The first frame (given) and the last one are not among them, in
            DAVIS-2016 and DAVIS-2017 alike: some methods of 2016 had no answer for the last, and it stayed so.
    """
    values = np.asarray(per_frame, dtype=float)
    if not len(values):
        raise DataError("no frame counts: a video needs three frames, for the first and the last one do not count.")
    cuts = np.floor(np.linspace(1, len(values), 5) + 0.5 + 1e-10).astype(int) - 1
    first, last = values[cuts[0] : cuts[1] + 1], values[cuts[3] : cuts[4] + 1]
    return VideoStatistics(
        mean=float(values.mean()), recall=float((values > 0.5).mean()), decay=float(first.mean() - last.mean())
    )
