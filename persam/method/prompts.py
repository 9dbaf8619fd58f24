"""How a user points at the object in the reference: a mask, or a box, points, a polygon or a scribble.

`prompt_masks` makes masks of them. In text (`persam learn`), a prompt is `box:x0,y0,x1,y1`, `points:x,y;x,y` (a
leading `-` marks a point outside: `points:40,50;-10,10`), `polygon:x,y;x,y;x,y` or `scribble:x,y;x,y;...`, in pixels of
the reference image; or `propose:7`, the seventh of what `persam propose` shows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from persam.errors import MaskError

Places = Any  # given as pairs x, y, an array n x 2, a tensor or a single pair; kept as pairs of numbers
Number = Any  # given as any number; kept as Python's


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


@dataclass(frozen=True)
class Proposed:
    """One of the proposals of the photo (`PerSAM.propose`, `persam propose`), by its number from 1."""

    number: int


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


Pointed = Box | Points | Polygon | Scribble
UserPrompt = Pointed | Proposed
KINDS = ("box", "points", "point", "polygon", "scribble", "propose")


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
        if kind == "propose":
            return Proposed(int(numbers))
        places = [place.strip() for place in numbers.split(";") if place.strip()]
        inside = tuple(_place(place) for place in places if not place.startswith("-"))
        marked_outside = [place for place in places if place.startswith("-")]
        if marked_outside and kind in ("polygon", "scribble"):
            raise ValueError(f"a {kind} has no places outside, got {marked_outside[0]!r}")
        outside = tuple(_place(place[1:]) for place in marked_outside)
    except ValueError as error:
        raise MaskError(
            f"cannot read {text!r}: {error}. Write box:x0,y0,x1,y1 or points:x,y;x,y or polygon:x,y;x,y;x,y, "
            "in pixels of the reference photo; or propose:N, a number of `persam propose`."
        ) from error
    if kind in ("point", "points"):
        return Points(inside, outside)
    return Polygon(inside) if kind == "polygon" else Scribble(inside)


def check_inside(prompt: Pointed, *, width: int, height: int) -> None:
    """
    Raises:
        MaskError: the prompt says nothing, or lies outside the image.
    """
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
