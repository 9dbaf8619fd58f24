"""Masks as connected components: which one is meant, its holes, and which of several masks are the same."""

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from persam.geometry import Frame

OUTSIDE = -4.0  # logit of mask parts that are not the object: surely outside, within the decoder's usual range
HOLE = 1.0  # logit of a hole that is filled


def keep_component(logits: Float[Tensor, "h w"], point_xy: Float[Tensor, "2"], frame: Frame) -> Float[Tensor, "h w"]:
    """The mask's connected component that holds the point or is nearest to it; the others are set well below zero.

    A look-alike elsewhere in the image is not taken with it.
    """
    mask = (logits > 0).cpu().numpy().astype(np.uint8)
    count, label = cv2.connectedComponents(mask, connectivity=8)
    if count <= 2:  # background and one component
        return logits
    ys, xs = mask.nonzero()
    x, y = ((frame.to_input(point_xy) + 0.5) * (logits.shape[-1] / frame.input_size) - 0.5).tolist()
    nearest = ((xs - x) ** 2 + (ys - y) ** 2).argmin()
    others = (mask > 0) & (label != label[ys[nearest], xs[nearest]])
    return logits.masked_fill(torch.from_numpy(others).to(logits.device), OUTSIDE)


def without_holes(logits: Float[Tensor, "h w"], frame: Frame, *, least: float) -> Float[Tensor, "h w"]:
    """The mask with its holes filled, up to that share of its area. What reaches the image's border is no hole."""
    outside = (frame.valid(logits) <= 0).cpu().numpy().astype(np.uint8)
    framed = cv2.copyMakeBorder(outside, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    count, label, stats, _ = cv2.connectedComponentsWithStats(framed, connectivity=4)
    most = least * (outside.size - int(outside.sum()))
    small = [hole for hole in range(1, count) if hole != label[0, 0] and stats[hole, cv2.CC_STAT_AREA] <= most]
    if not small:
        return logits
    filled = logits.clone()
    holes = torch.from_numpy(np.isin(label[1:-1, 1:-1], small)).to(logits.device)
    frame.valid(filled)[holes] = HOLE  # a view
    return filled


def different(masks: Bool[Tensor, "n h w"], *, least: float, alike: float) -> list[int]:
    """The first of each set of masks that are nearly the same, without those that are smaller than the least area.

    alike: IoU from which on two masks are nearly the same.
    """
    flat = masks.flatten(1).float()
    area = flat.sum(1)
    kept: list[int] = []
    for place in range(len(masks)):
        if area[place] < least:
            continue
        if kept:
            shared = flat[kept] @ flat[place]
            if bool((shared / (area[kept] + area[place] - shared).clamp(min=1) >= alike).any()):
                continue
        kept.append(place)
    return kept
