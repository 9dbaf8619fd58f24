"""Masks as COCO's JSON writes them: run lengths (RLE) from a mask and back, and polygons to a mask."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from persam.errors import DataError

Array = np.ndarray[Any, Any]
SUBPIXELS = 5  # a side: COCO rasterises polygons on a grid of fifths of a pixel


@dataclass(frozen=True)
class Polygon:
    """A closed outline, x0, y0, x1, y1, …; pixel (0, 0) covers 0 to 1 both ways."""

    xy: tuple[float, ...]


@dataclass(frozen=True)
class Rle:
    """Lengths of runs down the columns, alternately outside and inside, outside first."""

    size_hw: tuple[int, int]
    counts: tuple[int, ...]


def run_lengths(mask: Bool[Array, "h w"]) -> list[int]:
    """COCO's uncompressed RLE: lengths of runs down the columns, alternately outside and inside, outside first."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths: list[int] = np.diff([0, *changes.tolist(), flat.size]).tolist()
    return [0, *lengths] if flat[0] else lengths


def compress(counts: Sequence[int]) -> str:
    """COCO's compressed RLE: from the fourth on, counts less the one two before, as 5-bit digits in ASCII from 48 on.

    The lowest digit comes first; 32 is added to a digit when more follow; bit 4 of the last one is the sign.
    """
    text = bytearray()
    for index, count in enumerate(counts):
        rest = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            digit = rest & 31
            rest >>= 5
            more = rest != (-1 if digit & 16 else 0)
            text.append(digit + 32 * more + 48)
    return text.decode("ascii")


def decompress(text: str | bytes) -> list[int]:
    """The run lengths that `compress` wrote."""
    counts: list[int] = []
    value = shift = 0
    for character in text.encode("ascii") if isinstance(text, str) else text:
        digit = character - 48
        value |= (digit & 31) << shift
        shift += 5
        if digit & 32:
            continue
        if digit & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    return counts


def segments(segmentation: Any) -> tuple[Polygon | Rle, ...]:
    """What a JSON `segmentation` holds: one run-length object, or a list of polygons (or of run-length objects).

    Raises:
        DataError: it is neither.
    """
    if isinstance(segmentation, dict):
        return (_rle(segmentation),)
    if not isinstance(segmentation, (list, tuple)):
        raise DataError(
            f"a segmentation is a list of polygons or a run-length object, got {type(segmentation).__name__}."
        )
    return tuple(_rle(one) if isinstance(one, dict) else Polygon(tuple(map(float, one))) for one in segmentation)


def draw(parts: Iterable[Polygon | Rle], size_hw: tuple[int, int]) -> Bool[Array, "h w"]:
    """The pixels that any of the parts covers."""
    mask = np.zeros(size_hw, dtype=bool)
    for part in parts:
        mask |= _draw_polygon(part, size_hw) if isinstance(part, Polygon) else _draw_rle(part, size_hw)
    return mask


def _draw_polygon(polygon: Polygon, size_hw: tuple[int, int]) -> Bool[Array, "h w"]:
    """Pixels whose centre the outline goes around, by the even-odd rule.

    The outline runs on COCO's own grid of fifths of a pixel, so that the mask is the one pycocotools gives.
    """
    height, width = size_hw
    x, y = _outline(polygon).T
    # The outline crosses the centres of a pixel column where it steps between the third fifth and its neighbour.
    stepped = np.flatnonzero(np.diff(x))
    left, upper = np.minimum(x[stepped], x[stepped + 1]), np.minimum(y[stepped], y[stepped + 1])
    columns = (left - 2) // SUBPIXELS
    centred = (left % SUBPIXELS == 2) & (columns >= 0) & (columns < width)
    rows = np.clip(np.ceil((upper + 0.5) / SUBPIXELS - 0.5), 0, height).astype(np.int64)
    crossings = np.zeros((height + 1, width), dtype=np.int64)
    np.add.at(crossings, (rows[centred], columns[centred]), 1)
    return np.cumsum(crossings[:height], axis=0) % 2 == 1


def _outline(polygon: Polygon) -> Int[Array, "n 2"]:
    """The closed outline as steps on the grid of subpixels: an edge visits every place along its longer side once."""
    # Rounded as C casts: the half added, the fraction cut off, towards zero also left of and above the image.
    corners = (SUBPIXELS * np.asarray(polygon.xy).reshape(-1, 2) + 0.5).astype(np.int64)
    edges = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        along = int(abs(end - start)[0] < abs(end - start)[1])
        low, high = (start, end) if start[along] <= end[along] else (end, start)
        steps = np.arange(high[along] - low[along] + 1)
        slope = (high - low)[1 - along] / max(1, steps[-1])
        edge = np.empty((len(steps), 2), dtype=np.int64)
        edge[:, along] = low[along] + steps
        edge[:, 1 - along] = low[1 - along] + slope * steps + 0.5
        edges.append(edge if low is start else edge[::-1])
    return np.concatenate(edges)


def _draw_rle(rle: Rle, size_hw: tuple[int, int]) -> Bool[Array, "h w"]:
    height, width = rle.size_hw
    if rle.size_hw != size_hw or sum(rle.counts) != height * width:
        raise DataError(
            f"a run-length mask of {height}x{width} with {sum(rle.counts)} pixels does not fit its image of "
            f"{size_hw[0]}x{size_hw[1]}. Are images and annotations of the same release?"
        )
    inside = np.arange(len(rle.counts)) % 2 == 1
    return np.repeat(inside, rle.counts).reshape(width, height).T


def _rle(written: dict[str, Any]) -> Rle:
    height, width = written["size"]
    counts = written["counts"]
    if isinstance(counts, (str, bytes)):
        counts = decompress(counts)
    return Rle((int(height), int(width)), tuple(map(int, counts)))
