"""How a user points at the object in the reference: a mask, or a box, points, a polygon or a scribble.

Everything but a mask and a polygon is a prompt: the backbone makes the mask. In text (`persam learn`), a hint is
`box:x0,y0,x1,y1`, `points:x,y;x,y` (a leading `-` marks a point outside: `points:40,50;-10,10`),
`polygon:x,y;x,y;x,y` or `scribble:x,y;x,y;...`, in pixels of the reference photo.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool

from persam.errors import MaskError
from persam.method.refine import mask_logits
from persam.sam.backbone import Backbone
from persam.types import ImageEmbedding, Prompt

Array = np.ndarray[Any, Any]
SCRIBBLE_POINTS = 8


@dataclass(frozen=True)
class Box:
    """Two corners in pixels, the upper left one first."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class Points:
    """Clicks in pixels: inside the object, and perhaps outside it."""

    inside_xy: tuple[tuple[float, float], ...]
    outside_xy: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Polygon:
    """The object's outline in pixels, at least three corners."""

    corners_xy: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Scribble:
    """A line drawn over the object, in pixels."""

    line_xy: tuple[tuple[float, float], ...]


Hint = Box | Points | Polygon | Scribble
KINDS = ("box", "points", "point", "polygon", "scribble")


def parse_hint(text: str) -> Hint | None:
    """The hint that a text such as `box:10,20,200,300` describes; None when it is none (then it is a path).

    Raises:
        MaskError: it begins like a hint, and the numbers do not follow.
    """
    kind, colon, numbers = text.partition(":")
    if not colon or kind not in KINDS:
        return None
    try:
        if kind == "box":
            return Box(*_numbers(numbers, 4))
        places = [place.strip() for place in numbers.split(";") if place.strip()]
        inside = tuple(_place(place) for place in places if not place.startswith("-"))
        marked_outside = [place for place in places if place.startswith("-")]
        if marked_outside and kind in ("polygon", "scribble"):
            raise ValueError(f"a {kind} has no places outside, got {marked_outside[0]!r}")
        outside = tuple(_place(place[1:]) for place in marked_outside)
    except ValueError as error:
        raise MaskError(
            f"cannot read {text!r}: {error}. Write box:x0,y0,x1,y1 or points:x,y;x,y or polygon:x,y;x,y;x,y, "
            "in pixels of the reference photo."
        ) from error
    if kind in ("point", "points"):
        return Points(inside, outside)
    return Polygon(inside) if kind == "polygon" else Scribble(inside)


def mask_from_hint(hint: Hint, backbone: Backbone, embedding: ImageEmbedding) -> Bool[Array, "h w"]:
    """The object's mask in the reference photo.

    Raises:
        MaskError: the hint lies outside the photo or is degenerate, or the backbone finds nothing there.
    """
    height, width = embedding.frame.original_hw
    _check_inside(hint, width, height)
    if isinstance(hint, Polygon):
        mask = _filled(hint, (height, width))
    else:
        mask = _decoded(hint, backbone, embedding)
    if not mask.any():
        raise MaskError(
            f"nothing was found at {hint} in the {width}x{height} reference. Mark it closer, or give a mask."
        )
    return mask


def _decoded(hint: Box | Points | Scribble, backbone: Backbone, embedding: ImageEmbedding) -> Bool[Array, "h w"]:
    prompt = _prompt(hint)
    logits = _best(backbone, embedding, prompt)
    again = Prompt(prompt.points_xy, prompt.labels, prompt.box_xyxy, mask_logits=logits[None, None])
    return (mask_logits(_best(backbone, embedding, again), embedding.frame) > 0).cpu().numpy()


def _best(backbone: Backbone, embedding: ImageEmbedding, prompt: Prompt) -> torch.Tensor:
    candidates = backbone.decode(embedding, prompt)
    return candidates.logits[0, 1 + int(candidates.predicted_iou[0, 1:].argmax())]


def _prompt(hint: Box | Points | Scribble) -> Prompt:
    if isinstance(hint, Box):
        return Prompt(box_xyxy=torch.tensor([[hint.x0, hint.y0, hint.x1, hint.y1]], dtype=torch.float32))
    if isinstance(hint, Points):
        inside, outside = hint.inside_xy, hint.outside_xy
    else:
        line = np.array(hint.line_xy)
        chosen = np.linspace(0, len(line) - 1, min(SCRIBBLE_POINTS, len(line))).round().astype(int)
        inside, outside = tuple(map(tuple, line[chosen])), ()
    points = torch.tensor([*inside, *outside], dtype=torch.float32)[None]
    labels = torch.tensor([[1.0] * len(inside) + [0.0] * len(outside)])
    return Prompt(points_xy=points, labels=labels)


def _filled(polygon: Polygon, hw: tuple[int, int]) -> Bool[Array, "h w"]:
    import cv2

    plane = np.zeros(hw, np.uint8)
    cv2.fillPoly(plane, [np.array(polygon.corners_xy).round().astype(np.int32)], 1)
    return plane > 0


def _check_inside(hint: Hint, width: int, height: int) -> None:
    places: tuple[tuple[float, float], ...]
    if isinstance(hint, Box):
        if not (hint.x0 < hint.x1 and hint.y0 < hint.y1):
            raise MaskError(f"{hint} is empty: its first corner must be above and left of the second.")
        places = ((hint.x0, hint.y0), (hint.x1, hint.y1))
    elif isinstance(hint, Points):
        if not hint.inside_xy:
            raise MaskError("points need at least one place inside the object.")
        places = (*hint.inside_xy, *hint.outside_xy)
    elif isinstance(hint, Polygon):
        places = hint.corners_xy
        if len(places) < 3:
            raise MaskError(f"a polygon needs at least three corners, and {len(places)} were given.")
    else:
        places = hint.line_xy
        if not places:
            raise MaskError("a scribble needs at least one point on the object.")
    for x, y in places:
        if not (0 <= x <= width and 0 <= y <= height):
            raise MaskError(f"({x:g}, {y:g}) lies outside the reference photo of {width}x{height} pixels.")


def _numbers(text: str, count: int) -> list[float]:
    values = [float(value) for value in text.split(",")]
    if len(values) != count or not np.isfinite(values).all():
        raise ValueError(f"{count} finite numbers are needed, got {text!r}")
    return values


def _place(text: str) -> tuple[float, float]:
    x, y = _numbers(text, 2)
    return x, y
