"""Edges of a mask, moved to the photo's own: the guided filter (He, Sun and Tang, TPAMI 2013) of the mask by the photo.

A decoder draws at a quarter of its input, and what is smooth there runs beside the edges of the photo. Within each
small window the mask is fitted as a linear function of the photo's colours; where both have an edge, the photo's is
taken. The fit is made in a smaller copy than it is applied to (He and Sun, 2015).
"""

from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from persam.geometry import box_of, longer_side
from persam.method.components import OUTSIDE

Array = np.ndarray[Any, Any]
AROUND = 0.15  # of the longer side of the mask's box: how far about it the photo is looked at
SIDE = 256  # pixels of that longer side, at most: with more, the photo's texture makes specks
FIT_SIDE = 128  # where the fit is made
RADIUS = 0.03  # of the windows, by that longer side: about how far an edge is moved at most
EVEN = 0.006  # share of the photo's variance below which a window tells no edge


def follow_edges(logits: Float[Tensor, "h w"], rgb: UInt8[Array, "h w 3"]) -> Float[Tensor, "h w"]:
    """The mask with its edges where the photo has them, as logits within `OUTSIDE` (-4) and 4; an empty one as it was.

    Further from the mask than the photo is looked at, all is `OUTSIDE`.
    """
    box = box_of(logits > 0)
    if box is None:
        return logits
    x0, y0, x1, y1 = box
    side = longer_side(box)
    reach = round(AROUND * side) + 2
    where = slice(max(0, y0 - reach), y1 + 1 + reach), slice(max(0, x0 - reach), x1 + 1 + reach)
    mask = (logits[where] > 0).cpu().numpy().astype(np.float32)
    scale = min(1.0, SIDE / side)
    small = _scaled(mask, scale)
    inside = np.maximum(guided_filter(small, _scaled(rgb[where], scale), side=side * scale), _thin(small, side * scale))
    followed = torch.full_like(logits, OUTSIDE)
    levels = np.clip((1 - 2 * cv2.resize(inside, mask.shape[::-1])) * OUTSIDE, OUTSIDE, -OUTSIDE)
    followed[where] = torch.from_numpy(levels).to(logits)
    return followed


def guided_filter(mask: Float32[Array, "h w"], rgb: UInt8[Array, "h w 3"], *, side: float) -> Float32[Array, "h w"]:
    """A mask, 0 to 1, as a linear function of the colours in each window; the mean of the windows that hold a pixel.

    side: of what the mask shows, in pixels, by which the windows and the copy in which the fit is made are sized.
    """
    scale = min(1.0, FIT_SIDE / side)
    reach = max(1, round(RADIUS * side * scale))

    def windows(values: Float32[Array, "hs ws *c"]) -> Float32[Array, "hs ws *c"]:
        return np.asarray(cv2.boxFilter(values, -1, (2 * reach + 1, 2 * reach + 1), borderType=cv2.BORDER_REFLECT))

    covered, colours = _scaled(mask, scale), _scaled(rgb, scale).astype(np.float32) / 255
    mean, mean_covered = windows(colours), windows(covered)
    one, other = np.triu_indices(3)
    spread = windows(colours[..., one] * colours[..., other]) - mean[..., one] * mean[..., other]
    spread[..., one == other] += EVEN * colours.reshape(-1, 3).var(axis=0).mean() + 1e-6
    slope = _solved(spread, windows(colours * covered[..., None]) - mean * mean_covered[..., None])
    offset = mean_covered - (slope * mean).sum(axis=-1)
    fit = cv2.resize(windows(np.dstack([slope, offset])), mask.shape[::-1])
    return np.asarray((fit[..., :3] * rgb).sum(axis=-1) / 255 + fit[..., 3])


def _thin(mask: Float32[Array, "h w"], side: float) -> Float32[Array, "h w"]:
    """Where the mask is thinner than the windows, which would take a leg or a frame of a bike for a speck."""
    reach = max(1, round(RADIUS * side))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.subtract(mask, cv2.morphologyEx(mask, cv2.MORPH_OPEN, disc)))


def _scaled(image: Array, scale: float) -> Array:
    """A copy of at least a pixel; of what is small enough, the same."""
    height, width = (max(1, round(extent * scale)) for extent in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)) if scale < 1 else image


def _solved(upper: Float32[Array, "h w 6"], right: Float32[Array, "h w 3"]) -> Float32[Array, "h w 3"]:
    """The solutions of symmetric systems, given by their upper triangles: by the adjugate, far faster than a solver."""
    a, b, c, d, e, f = np.moveaxis(upper.astype(np.float64), -1, 0)
    adjugate = np.stack([d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b], -1)
    determinant = a * adjugate[..., 0] + b * adjugate[..., 1] + c * adjugate[..., 2]
    rows = [adjugate[..., row] for row in ([0, 1, 2], [1, 3, 4], [2, 4, 5])]
    return np.stack([(row * right).sum(-1) / determinant for row in rows], axis=-1).astype(np.float32)
