"""Masks that were drawn in CVAT: its XML, "CVAT for images 1.1"."""

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Bool

from persam.errors import DataError
from persam.io import shapes
from persam.io.shapes import Piece

Array = np.ndarray[Any, Any]


def pieces_in(text: str, image_hw: tuple[int, int], *, image_name: str) -> list[Piece]:
    """What was drawn on the photo: polygons, boxes, ellipses and brush masks; points and lines are left out.

    Shapes of one group are one object.

    Raises:
        DataError: it is not CVAT's XML of images, or is damaged.
        MaskError: the photo is not in it, or has another size.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DataError("it declares a document type, which CVAT does not write")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise DataError(f"it is no XML: {error}") from error
    if root.tag != "annotations" or root.find("track") is not None:
        raise DataError(f"its root is <{root.tag}>, with tracks or not: export as 'CVAT for images 1.1'")
    images = root.findall("image")
    if not images:
        raise DataError("it has no <image>: export as 'CVAT for images 1.1'")
    image = images[shapes.place_of([one.get("name", "") for one in images], image_name)]
    shapes.check_size((_whole(image, "height"), _whole(image, "width")), image_hw)
    return list(_pieces(image, image_hw))


def _pieces(image: ElementTree.Element, image_hw: tuple[int, int]) -> Iterator[Piece]:
    for number, shape in enumerate(image):
        if shape.tag in DRAW:
            group = shape.get("group_id", "0")
            key = f"shape {number}" if group in ("", "0") else f"group {group}"
            yield Piece(shape.get("label", ""), DRAW[shape.tag](shape, image_hw), key)


def _polygon(shape: ElementTree.Element, image_hw: tuple[int, int]) -> Bool[Array, "h w"]:
    places = [[float(number) for number in place.split(",")] for place in shape.get("points", "").split(";")]
    return shapes.polygon(np.array(places).reshape(-1, 2), image_hw)


def _box(shape: ElementTree.Element, image_hw: tuple[int, int]) -> Bool[Array, "h w"]:
    x0, y0, x1, y1 = (_number(shape, name) for name in ("xtl", "ytl", "xbr", "ybr"))
    return shapes.rectangle((x0, y0), (x1, y1), image_hw, turn=float(shape.get("rotation", "0")))


def _ellipse(shape: ElementTree.Element, image_hw: tuple[int, int]) -> Bool[Array, "h w"]:
    cx, cy, rx, ry = (_number(shape, name) for name in ("cx", "cy", "rx", "ry"))
    return shapes.ellipse((cx, cy), (rx, ry), image_hw, turn=float(shape.get("rotation", "0")))


def _mask(shape: ElementTree.Element, image_hw: tuple[int, int]) -> Bool[Array, "h w"]:
    """Run lengths along the rows of its own box, outside first."""
    left, top, width, height = (int(_number(shape, name)) for name in ("left", "top", "width", "height"))
    counts = [int(count) for count in shape.get("rle", "").split(",")]
    within = 0 <= left < left + width <= image_hw[1] and 0 <= top < top + height <= image_hw[0]
    if not within or min(counts) < 0 or sum(counts) != width * height:
        raise DataError("a mask's run lengths do not fit its box, or the box not the photo")
    mask = np.zeros(image_hw, bool)
    inside = np.arange(len(counts)) % 2 == 1
    mask[top : top + height, left : left + width] = np.repeat(inside, counts).reshape(height, width)
    return mask


def _number(element: ElementTree.Element, name: str) -> float:
    text = element.get(name)
    if text is None:
        raise DataError(f"a <{element.tag}> has no {name}")
    return float(text)


def _whole(element: ElementTree.Element, name: str) -> int | None:
    return None if element.get(name) is None else int(_number(element, name))


DRAW = {"polygon": _polygon, "box": _box, "ellipse": _ellipse, "mask": _mask}
