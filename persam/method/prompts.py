"""How a user points at the object in the reference: a mask, or a box, points, a polygon or a scribble.

Everything but a mask and a polygon is a prompt: the backbone makes the mask, which stays where the user pointed. In
text (`persam learn`), a prompt is `box:x0,y0,x1,y1`, `points:x,y;x,y` (a leading `-` marks a point outside:
`points:40,50;-10,10`), `polygon:x,y;x,y;x,y` or `scribble:x,y;x,y;...`, in pixels of the reference image.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool

from persam.errors import MaskError
from persam.io.masks import read_mask
from persam.sam.backbone import Backbone
from persam.types import ImageEmbedding, Prompt

Array = np.ndarray[Any, Any]
Places = Any  # given as pairs x, y, an array n x 2, a tensor or a single pair; kept as pairs of numbers
Number = Any  # given as any number; kept as Python's
SCRIBBLE_POINTS = 8
BOX_MARGIN = 0.1  # of the box's longer side: how far the object may reach beyond a box drawn by hand
INSIDE = 0.5  # share of a mask that must lie within the box with its margin: else the decoder means something else
FILLED = 0.05  # share of the box that a mask must take


@dataclass(frozen=True)
class Box:
    """Two corners in pixels, the upper left one first."""

    x0: Number
    y0: Number
    x1: Number
    y1: Number

    def __post_init__(self) -> None:
        for name in ("x0", "y0", "x1", "y1"):
            value = getattr(self, name)
            object.__setattr__(self, name, value.item() if hasattr(value, "item") else value)


@dataclass(frozen=True)
class Points:
    """Clicks in pixels: inside the object, and perhaps outside it."""

    inside_xy: Places
    outside_xy: Places = ()

    def __post_init__(self) -> None:
        _keep_places(self, "inside_xy", "outside_xy")


@dataclass(frozen=True)
class Polygon:
    """The object's outline in pixels, at least three corners."""

    corners_xy: Places

    def __post_init__(self) -> None:
        _keep_places(self, "corners_xy")


@dataclass(frozen=True)
class Scribble:
    """A line drawn over the object, in pixels."""

    line_xy: Places

    def __post_init__(self) -> None:
        _keep_places(self, "line_xy")


def _keep_places(prompt: object, *names: str) -> None:
    """Makes pairs of numbers of what was given: pairs, an array n x 2, a tensor, or a single pair.

    Raises:
        MaskError: it is something else.
    """
    for name in names:
        given = getattr(prompt, name)
        try:
            places = np.asarray(given)
            pairs = places.reshape(-1, 2) if places.ndim < 2 else places
            if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "biuf":
                raise ValueError(f"an array of {pairs.dtype} and shape {pairs.shape}")
        except (ValueError, TypeError, RuntimeError) as error:
            raise MaskError(
                f"{type(prompt).__name__} takes places as pairs x, y, such as ((10, 20), (30, 40)); {name} is {error}."
            ) from error
        object.__setattr__(prompt, name, tuple((x, y) for x, y in pairs.tolist()))


UserPrompt = Box | Points | Polygon | Scribble
KINDS = ("box", "points", "point", "polygon", "scribble")


def parse_prompt(text: str) -> UserPrompt | None:
    """The prompt that a text such as `box:10,20,200,300` describes; None when it is none (then it is a path).

    Raises:
        MaskError: it begins like a prompt, and the numbers do not follow.
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


def reference_mask(
    marked: object,
    backbone: Backbone,
    embedding: ImageEmbedding,
    *,
    image_name: str = "the photo",
    photo: object = None,
) -> Bool[Array, "h w"]:
    """The object's mask in a reference image.

    Args:
        marked: a mask as `io.masks.read_mask` takes it, or a prompt, or a prompt's text form.
        backbone: makes a mask of a prompt.
        embedding: of the reference image.
        image_name: what messages call that image.
        photo: its file, as for `io.masks.read_mask`.

    Raises:
        MaskError: the mask cannot be used; the prompt lies outside the image or is degenerate; nothing fits it.
    """
    prompt = parse_prompt(marked) if isinstance(marked, str) else marked
    if isinstance(prompt, Box | Points | Polygon | Scribble):
        return mask_from_prompt(prompt, backbone, embedding)
    return read_mask(marked, embedding.frame.original_hw, image_name=image_name, photo=photo)


def mask_from_prompt(prompt: UserPrompt, backbone: Backbone, embedding: ImageEmbedding) -> Bool[Array, "h w"]:
    """The mask of what a prompt points at: within a little more than the box, or the components that hold a point.

    Raises:
        MaskError: the prompt lies outside the image or is degenerate, or nothing fits it.
    """
    hw = embedding.frame.original_hw
    _check_inside(prompt, width=hw[1], height=hw[0])
    if isinstance(prompt, Polygon):
        mask = _filled(prompt, hw)
    elif isinstance(prompt, Box):
        mask = _in_box(prompt, _decoded(_box_prompt(prompt), backbone, embedding))
    else:
        inside, outside = _places(prompt)
        mask = _at_points(inside, outside, _decoded(_point_prompt(inside, outside), backbone, embedding))
    if not mask.any():
        raise MaskError(
            f"nothing fits {prompt} in the {hw[1]}x{hw[0]} reference. Mark the object more closely, or give a mask."
        )
    return mask


def _decoded(prompt: Prompt, backbone: Backbone, embedding: ImageEmbedding) -> list[Bool[Array, "h w"]]:
    """Whole, part and subpart, the best by predicted IoU first; decoded twice, the second time with the first mask."""
    candidates = backbone.decode(embedding, prompt)
    best = candidates.logits[0, 1 + int(candidates.predicted_iou[0, 1:].argmax())]
    again = Prompt(prompt.points_xy, prompt.labels, prompt.box_xyxy, mask_logits=best[None, None])
    candidates = backbone.decode(embedding, again)
    masks = (embedding.frame.upscale(candidates.logits[:, 1:])[0] > 0).cpu().numpy()
    return [masks[number] for number in candidates.predicted_iou[0, 1:].argsort(descending=True).tolist()]


def _in_box(box: Box, masks: list[Bool[Array, "h w"]]) -> Bool[Array, "h w"]:
    """The best mask of which most lies in the box and its margin, cut to that; empty where there is none."""
    height, width = masks[0].shape
    margin = BOX_MARGIN * max(box.x1 - box.x0, box.y1 - box.y0)
    left, top = max(0, round(box.x0 - margin)), max(0, round(box.y0 - margin))
    right, bottom = min(width, round(box.x1 + margin) + 1), min(height, round(box.y1 + margin) + 1)
    allowed = np.zeros((height, width), bool)
    allowed[top:bottom, left:right] = True
    least = FILLED * (box.x1 - box.x0) * (box.y1 - box.y0)
    for mask in masks:
        inside = mask & allowed
        if inside.sum() >= max(1, least, INSIDE * mask.sum()):
            return inside
    return np.zeros((height, width), bool)


def _at_points(
    inside: list[tuple[float, float]], outside: list[tuple[float, float]], masks: list[Bool[Array, "h w"]]
) -> Bool[Array, "h w"]:
    """The components with a point inside of the mask that has most of these and fewest points outside."""
    import cv2

    def held(mask: Bool[Array, "h w"], places: list[tuple[float, float]]) -> int:
        return sum(bool(mask[_pixel(place, mask.shape)]) for place in places)

    best = max(masks, key=lambda mask: held(mask, inside) - held(mask, outside))  # among equals, the best predicted
    _, label = cv2.connectedComponents(best.astype(np.uint8), connectivity=8)
    wanted = {int(label[_pixel(place, best.shape)]) for place in inside} - {0}
    unwanted = {int(label[_pixel(place, best.shape)]) for place in outside}
    return np.isin(label, sorted(wanted - unwanted))


def _pixel(place_xy: tuple[float, float], hw: tuple[int, ...]) -> tuple[int, int]:
    x, y = place_xy
    return min(hw[0] - 1, int(y)), min(hw[1] - 1, int(x))


def _box_prompt(box: Box) -> Prompt:
    return Prompt(box_xyxy=torch.tensor([[box.x0, box.y0, box.x1, box.y1]], dtype=torch.float32))


def _point_prompt(inside: list[tuple[float, float]], outside: list[tuple[float, float]]) -> Prompt:
    points = torch.tensor([*inside, *outside], dtype=torch.float32)[None]
    return Prompt(points_xy=points, labels=torch.tensor([[1.0] * len(inside) + [0.0] * len(outside)]))


def _places(prompt: Points | Scribble) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Places inside and outside the object; of a long scribble a few, evenly along it."""
    if isinstance(prompt, Points):
        return list(prompt.inside_xy), list(prompt.outside_xy)
    count = len(prompt.line_xy)
    chosen = np.linspace(0, count - 1, min(SCRIBBLE_POINTS, count)).round().astype(int)
    return [prompt.line_xy[number] for number in chosen], []


def _filled(polygon: Polygon, hw: tuple[int, int]) -> Bool[Array, "h w"]:
    import cv2

    plane = np.zeros(hw, np.uint8)
    cv2.fillPoly(plane, [np.array(polygon.corners_xy).round().astype(np.int32)], 1)
    return plane > 0


def _check_inside(prompt: UserPrompt, *, width: int, height: int) -> None:
    places: tuple[tuple[float, float], ...]
    if isinstance(prompt, Box):
        if not (prompt.x0 < prompt.x1 and prompt.y0 < prompt.y1):
            raise MaskError(f"{prompt} is empty: its first corner must be above and left of the second.")
        places = ((prompt.x0, prompt.y0), (prompt.x1, prompt.y1))
    elif isinstance(prompt, Points):
        if not prompt.inside_xy:
            raise MaskError("points need at least one place inside the object.")
        places = (*prompt.inside_xy, *prompt.outside_xy)
    elif isinstance(prompt, Polygon):
        places = prompt.corners_xy
        if len(places) < 3:
            raise MaskError(f"a polygon needs at least three corners, and {len(places)} were given.")
    else:
        places = prompt.line_xy
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
