"""How the masks of one photo relate: which are groups of others, which are look-alikes, which lies upon which."""

import cv2
import numpy as np

from persam.geometry import box_of

SMALLEST = 0.003  # share of the photo that a mask covers at least


def box_xyxy(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The box of a mask that is not empty, both corners inclusive."""
    box = box_of(mask > 0)
    assert box is not None, "the mask is empty"
    return box


def large_enough(masks: np.ndarray) -> np.ndarray:
    """Numbers of the masks that a scene can be about."""
    return np.flatnonzero(masks.mean(axis=(1, 2)) > SMALLEST)


def is_group(masks: np.ndarray, index: int) -> bool:
    """Whether a mask consists of things that have masks of their own: `train.zip` holds a class's union too."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(masks[index], connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    if (areas > 0.05 * areas.sum()).sum() < 2:
        return False
    inside = (masks & masks[index]).sum(axis=(1, 2)) > 0.9 * masks.sum(axis=(1, 2))
    inside[index] = False
    return bool(inside.sum() >= 2)


def look_alikes(masks: np.ndarray, index: int) -> set[int]:
    """The things that share a group with this one: the other dogs, if it is a dog."""
    planes = masks.reshape(len(masks), -1).astype(np.float32)
    area = planes.sum(1)
    inside = planes @ planes.T > 0.9 * area[:, None]  # row within column
    groups = [g for g in np.flatnonzero(inside[index]).tolist() if g != index and is_group(masks, g)]
    others = {i for g in groups for i in np.flatnonzero(inside[:, g]).tolist() if i != g and not inside[i, index]}
    return {i for i in others if area[i] > SMALLEST * planes.shape[1] and not is_group(masks, i)} - {index}


def is_upon(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two things of similar size touch along their outline, one above the other, both fully in the photo."""
    small, large = sorted((int(one.sum()), int(other.sum())))
    if large > 5 * small or (one & other).sum() > 0.2 * small:
        return False
    near = cv2.dilate(one, np.ones((5, 5), np.uint8)) & other
    if near.sum() < 2 * np.sqrt(small):
        return False
    boxes = sorted((box_xyxy(thing) for thing in (one, other)), key=lambda box: box[1] + box[3])
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = boxes
    height, width = one.shape
    edges = (min(ax0, bx0) < 3, min(ay0, by0) < 3, max(ax1, bx1) > width - 4, max(ay1, by1) > height - 4)
    return bool(
        sum(edges) <= 1
        and min(ax1, bx1) - max(ax0, bx0) > 0.6 * min(ax1 - ax0, bx1 - bx0)
        and ay0 < by0 < ay1
        and ay0 + ay1 < by0 + by1 - 0.3 * (by1 - by0)
    )
