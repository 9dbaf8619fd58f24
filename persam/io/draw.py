"""Pictures of results: the photo with what was found drawn over it, the object cut out, a contact sheet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw

from persam.errors import MaskError
from persam.geometry import box_of
from persam.io.fonts import ELLIPSIS, Font, legible

Array = np.ndarray[Any, Any]
Colour = tuple[int, int, int]

AZURE: Colour = (20, 130, 255)
INSIDE: Colour = (40, 200, 80)
OUTSIDE: Colour = (235, 50, 50)
WHITE: Colour = (255, 255, 255)
INK: Colour = (25, 25, 25)
# One for each object; light and dark by turns, so that neighbours differ for every eye (Okabe and Ito, 2008).
COLOURS: tuple[Colour, ...] = (
    AZURE,
    (230, 159, 0),
    (204, 60, 160),
    (0, 158, 115),
    (240, 228, 66),
    (110, 70, 200),
    (86, 200, 233),
    (213, 94, 0),
)


def overlay(
    rgb: UInt8[Array, "h w 3"],
    mask: Bool[Array, "h w"],
    *,
    colour: Colour = AZURE,
    fill: float = 0.35,
    outline: bool = True,
    points_xy: Float[Array, "n 2"] | None = None,
    labels: Float[Array, "n"] | None = None,
    box: tuple[int, int, int, int] | None = None,
    label: str = "",
) -> UInt8[Array, "h w 3"]:
    """A copy of the photo with the mask, the box, the prompt points and a label drawn over it.

    Widths follow the size of the photo, and lines have a light rim, so that they show on any background.

    Args:
        rgb: the photo; it is not changed.
        mask: what is filled and outlined. May be empty.
        colour: of the fill, the outline, the box and the label, as red, green, blue.
        fill: how much of the colour covers the object, 0 to 1.
        outline: whether the mask's border is drawn.
        points_xy: places in pixels; a disc where its label is 1 (inside the object), a cross where it is 0.
        labels: one for each point; all are inside when not given.
        box: x0, y0, x1, y1 in pixels, inclusive.
        label: text above the box, else above the mask, else at the top left. Signs that no font of the system has are
            left out.
    """
    picture = rgb.copy()
    stroke = _stroke_of(rgb.shape[:2])
    bounds = box_of(mask)
    if bounds is not None:
        _tint(picture, mask, bounds, colour, fill)
        if outline:
            _draw_outline(picture, mask, bounds, colour, stroke)
    if box is not None:
        _draw_box(picture, box, colour, stroke)
    if points_xy is not None:
        inside = np.ones(len(points_xy), bool) if labels is None else labels > 0.5
        for (x, y), is_inside in zip(points_xy.tolist(), inside.tolist(), strict=True):
            draw_point = _draw_disc if is_inside else _draw_cross
            draw_point(picture, (round(x), round(y)), stroke)
    if label:
        _draw_label(picture, label, box or bounds, colour, stroke)
    return picture


def cutout(rgb: UInt8[Array, "h w 3"], mask: Bool[Array, "h w"]) -> UInt8[Array, "ch cw 4"]:
    """The object alone as RGBA, cropped to its box; outside it, clear black.

    Raises:
        MaskError: the mask is empty.
    """
    bounds = box_of(mask)
    if bounds is None:
        height, width = mask.shape
        raise MaskError(f"there is nothing to cut out: no pixel of the {width}x{height} mask is set. Skip this photo.")
    x0, y0, x1, y1 = bounds
    inside = mask[y0 : y1 + 1, x0 : x1 + 1, None]
    return np.concatenate([rgb[y0 : y1 + 1, x0 : x1 + 1] * inside, inside * np.uint8(255)], axis=2)


def side_by_side(
    pictures: Sequence[UInt8[Array, "_ _ 3"]],
    *,
    height: int = 240,
    captions: Sequence[str] = (),
    columns: int | None = None,
) -> UInt8[Array, "sh sw 3"]:
    """A contact sheet: the pictures at one height, row by row, with captions under them.

    Args:
        pictures: at least one, of any sizes. Panoramas wider than twice the height are made lower instead.
        height: of every picture, in pixels.
        captions: none, or one for each picture; shortened with … where they do not fit.
        columns: pictures in a row; all in one row when not given.
    """
    if not pictures or len(captions) not in (0, len(pictures)) or height < 1 or (columns is not None and columns < 1):
        raise ValueError(
            f"a sheet needs pictures, a height, columns, and one caption for each picture or none; got "
            f"{len(pictures)} pictures, {len(captions)} captions, height {height}, columns {columns}"
        )
    columns = min(columns or len(pictures), len(pictures))
    small = [_scaled(Image.fromarray(picture), height) for picture in pictures]
    gap, size = max(4, height // 30), max(11, height // 16)
    line = round(size * 1.5) if captions else 0
    widths = [max(picture.width for picture in small[column::columns]) for column in range(columns)]
    rows = math.ceil(len(small) / columns)
    sheet = Image.new("RGB", (sum(widths) + gap * (columns + 1), rows * (height + line + gap) + gap), WHITE)
    pen = ImageDraw.Draw(sheet)
    for number, picture in enumerate(small):
        row, column = divmod(number, columns)
        left, top = gap + sum(widths[:column]) + gap * column, gap + row * (height + line + gap)
        sheet.paste(picture, (left, top + (height - picture.height) // 2))
        if captions:
            text, font = legible(captions[number], size)
            text = _shortened(text, widths[column], font)
            pen.text((left, top + height + line / 2), text, INK, font, anchor="lm")
    return np.array(sheet)


@dataclass(frozen=True)
class _Stroke:
    """Widths in pixels of lines, of their light rims on either side, and of the radius of points."""

    line: int
    rim: int
    radius: int


def _stroke_of(image_hw: tuple[int, int]) -> _Stroke:
    """Widths for a photo: by its area, as the long side says little of a panorama."""
    side = math.sqrt(image_hw[0] * image_hw[1])
    return _Stroke(max(1, round(side / 300)), round(side / 900), max(2, round(side / 70)))


def _tint(
    picture: UInt8[Array, "h w 3"],
    mask: Bool[Array, "h w"],
    bounds: tuple[int, int, int, int],
    colour: Colour,
    fill: float,
) -> None:
    x0, y0, x1, y1 = bounds
    inside = mask[y0 : y1 + 1, x0 : x1 + 1]
    part = picture[y0 : y1 + 1, x0 : x1 + 1]
    table = np.arange(256)[:, None] * (1 - fill) + np.array(colour) * fill
    table = np.rint(table).astype(np.uint8)
    for channel in range(3):
        np.copyto(part[..., channel], table[part[..., channel], channel], where=inside)


def _draw_outline(
    picture: UInt8[Array, "h w 3"],
    mask: Bool[Array, "h w"],
    bounds: tuple[int, int, int, int],
    colour: Colour,
    stroke: _Stroke,
) -> None:
    import cv2

    x0, y0, x1, y1 = bounds
    inside = mask[y0 : y1 + 1, x0 : x1 + 1].astype(np.uint8)
    contours, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=(x0, y0))
    cv2.drawContours(picture, contours, -1, WHITE, stroke.line + 2 * stroke.rim, cv2.LINE_AA)
    cv2.drawContours(picture, contours, -1, colour, stroke.line, cv2.LINE_AA)


def _draw_box(picture: UInt8[Array, "h w 3"], box: tuple[int, int, int, int], colour: Colour, stroke: _Stroke) -> None:
    import cv2

    x0, y0, x1, y1 = box
    cv2.rectangle(picture, (x0, y0), (x1, y1), WHITE, stroke.line + 2 * stroke.rim)
    cv2.rectangle(picture, (x0, y0), (x1, y1), colour, stroke.line)


def _draw_disc(picture: UInt8[Array, "h w 3"], centre_xy: tuple[int, int], stroke: _Stroke) -> None:
    import cv2

    cv2.circle(picture, centre_xy, stroke.radius + 2 * stroke.rim, WHITE, -1, cv2.LINE_AA)
    cv2.circle(picture, centre_xy, stroke.radius, INSIDE, -1, cv2.LINE_AA)


def _draw_cross(picture: UInt8[Array, "h w 3"], centre_xy: tuple[int, int], stroke: _Stroke) -> None:
    import cv2

    (x, y), arm, width = centre_xy, stroke.radius, max(1, stroke.radius // 2)
    for colour, thickness in ((WHITE, width + 4 * stroke.rim), (OUTSIDE, width)):
        cv2.line(picture, (x - arm, y - arm), (x + arm, y + arm), colour, thickness, cv2.LINE_AA)
        cv2.line(picture, (x - arm, y + arm), (x + arm, y - arm), colour, thickness, cv2.LINE_AA)


def _draw_label(
    picture: UInt8[Array, "h w 3"],
    text: str,
    above: tuple[int, int, int, int] | None,
    colour: Colour,
    stroke: _Stroke,
) -> None:
    """The text on a plate of the colour, moved and shortened to stay inside the photo."""
    size = max(9, round(stroke.radius * 2.2))
    text, font = legible(text, size)
    if not text:
        return
    width = picture.shape[1]
    pad = size // 3
    text = _shortened(text, max(1, width - 2 * pad), font)
    plate_size = (round(font.getlength(text)) + 2 * pad, round(size * 1.5))
    plate = Image.new("RGB", plate_size, colour)
    bright = np.dot(colour, (0.299, 0.587, 0.114)) > 150
    ImageDraw.Draw(plate).text((pad, plate_size[1] / 2), text, INK if bright else WHITE, font, anchor="lm")
    left, bottom = (above[0], above[1] - stroke.line - stroke.rim) if above else (pad, pad + plate_size[1])
    left, top = max(0, min(left, width - plate_size[0])), max(0, bottom - plate_size[1])
    room = picture[top : top + plate_size[1], left : left + plate_size[0]]
    room[:] = np.asarray(plate)[: room.shape[0], : room.shape[1]]


def _shortened(text: str, width: int, font: Font) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + ELLIPSIS) > width:
        text = text[:-1]
    return text + ELLIPSIS


def _scaled(picture: Image.Image, height: int) -> Image.Image:
    scale = min(height / picture.height, 2 * height / picture.width)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS)
