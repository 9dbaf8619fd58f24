"""Shapes that annotation tools draw on a photo, as masks: a pixel belongs to what goes around its centre."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from persam.errors import DataError, MaskError
from persam.io import rle
from persam.io.mask_labels import Label

Array = np.ndarray[Any, Any]
FAR = 4  # image sizes: places beyond are no pixels of this photo


@dataclass(frozen=True, eq=False)
class Piece:
    """A shape with its label.

    of: which object of that label it belongs to; None where all shapes of the label are one object.
    """

    label: Label
    mask: Bool[Array, "h w"]
    of: str | None = None


def polygon(places_xy: Float[Array, "n 2"], image_hw: tuple[int, int]) -> Bool[Array, "h w"]:
    """As COCO draws it; pixel (0, 0) covers 0 to 1 both ways.

    Raises:
        DataError: it has fewer than three corners, or one far outside the photo.
    """
    if len(places_xy) < 3:
        raise DataError(f"a polygon has {len(places_xy)} corners, and needs three or more")
    check_places(places_xy, image_hw)
    return rle.draw([rle.Polygon(tuple(places_xy.ravel().tolist()))], image_hw)


def rectangle(
    corner_xy: tuple[float, float], opposite_xy: tuple[float, float], image_hw: tuple[int, int], *, turn: float = 0.0
) -> Bool[Array, "h w"]:
    """turn: degrees clockwise about its centre."""
    (x0, y0), (x1, y1) = corner_xy, opposite_xy
    corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], float)
    return polygon(turned(corners, turn, about_xy=((x0 + x1) / 2, (y0 + y1) / 2)), image_hw)


def ellipse(
    centre_xy: tuple[float, float], radii_xy: tuple[float, float], image_hw: tuple[int, int], *, turn: float = 0.0
) -> Bool[Array, "h w"]:
    """turn: degrees clockwise about its centre."""
    check_places(np.array([centre_xy, radii_xy], float), image_hw)
    if min(radii_xy) <= 0:
        raise DataError("an ellipse has a radius of 0 or less")
    height, width = image_hw
    y, x = np.mgrid[:height, :width] + 0.5
    places = np.stack([x, y], axis=-1).reshape(-1, 2)
    straight = (turned(places, -turn, about_xy=centre_xy) - centre_xy) / radii_xy
    return np.asarray((straight**2).sum(axis=1) <= 1).reshape(height, width)


def turned(places_xy: Float[Array, "n 2"], degrees: float, *, about_xy: tuple[float, float]) -> Float[Array, "n 2"]:
    """Clockwise, as the picture is seen."""
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    return (places_xy - about_xy) @ np.array([[cosine, sine], [-sine, cosine]]) + about_xy


def check_places(places_xy: Float[Array, "n 2"], image_hw: tuple[int, int]) -> None:
    """Raises DataError for places that are no numbers, or far outside."""
    height, width = image_hw
    if not np.isfinite(places_xy).all() or (np.abs(places_xy) > FAR * max(height, width)).any():
        raise DataError(f"a corner lies far outside the photo of {width}x{height} pixels")


def check_size(drawn_hw: tuple[Any, Any], image_hw: tuple[int, int]) -> None:
    """Raises MaskError where the shapes were drawn on a photo of another size; a size may be unknown."""
    if None not in drawn_hw and drawn_hw != image_hw:
        raise MaskError(
            f"the mask was drawn on {drawn_hw[1]}x{drawn_hw[0]} but the photo is {image_hw[1]}x{image_hw[0]} (width x "
            f"height). Use the photo that it was drawn on, upright."
        )


def place_of(names: Sequence[str], image_name: str, *, holder: str = "data set") -> int:
    """Which of the photos that a file lists is this one: the only one, or the one with its name.

    Raises:
        MaskError: none of several has its name, or more than one has.
    """
    if len(names) == 1:
        return 0
    name = PurePath(image_name).name
    places = [place for place, one in enumerate(names) if PurePath(one).name == name]
    if len(places) != 1:
        raise MaskError(
            f"the {holder} lists {len(names)} photos, {len(places)} of them called {name!r}. "
            f"Give the annotation of this photo alone."
        )
    return places[0]
