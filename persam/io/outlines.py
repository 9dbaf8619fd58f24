"""A mask as polygons: one for each of its components, holes included, so that drawing them gives the mask again.

A hole is reached from the outline by a cut that is walked forth and back. So a polygon is one closed line, and what it
goes around, by the even-odd rule, is the component without its holes.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

Array = np.ndarray[Any, Any]
STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))  # to the right, down, left, up: each is a turn to the right from the last
ON_THE_RIGHT = ((0, 0), (-1, 0), (-1, -1), (0, -1))  # the pixel there, from the corner where the step begins


def edge_polygons(mask: Bool[Array, "h w"]) -> list[Int[Array, "n 2"]]:
    """Along the edges of pixels, where pixel (0, 0) covers 0 to 1 both ways: the polygons of COCO and CVAT.

    Pixels that touch at a corner only are components of their own. Nothing for an empty mask.
    """
    import cv2

    _, components = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    outlines: dict[int, Array] = {}
    holes: list[tuple[int, Array]] = []
    for (x, y), loop in _loops(mask):
        if _goes_around(loop):
            outlines[int(components[y, x])] = loop
        else:
            holes.append((int(components[y, x]), loop))
    for component, hole in holes:
        outlines[component] = _joined(outlines[component], hole)
    return list(outlines.values())


def centre_polygons(mask: Bool[Array, "h w"]) -> list[Int[Array, "n 2"]]:
    """Through the centres of the outermost pixels, counted from 0, which belong to the component: LabelMe's polygons.

    Pixels that touch at a corner are one component. One of fewer than three corners repeats the last. Nothing for an
    empty mask.
    """
    import cv2

    loops, tree = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    parents = [int(one[3]) for one in tree[0]] if loops else []  # -1 of an outline, else the outline around the hole
    outlines = {number: loop[:, 0] for number, loop in enumerate(loops) if parents[number] < 0}
    for parent, loop in zip(parents, loops, strict=True):
        if parent >= 0:
            outlines[parent] = _joined(outlines[parent], loop[:, 0])
    return [loop if len(loop) > 2 else loop[[0, -1, -1]] for loop in outlines.values()]


def _loops(mask: Bool[Array, "h w"]) -> Iterator[tuple[tuple[int, int], Int[Array, "n 2"]]]:
    """Every closed border: a pixel of the mask at it, and its corners in order, with the mask on the right."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    outside = (padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2])  # above, right, below, left
    edges: dict[tuple[int, int, int], None] = {}  # as a set in order
    for way, beyond in enumerate(outside):
        rows, columns = np.nonzero(inside & ~beyond)
        left, up = ON_THE_RIGHT[way]
        edges |= dict.fromkeys(zip((columns - left).tolist(), (rows - up).tolist(), [way] * len(rows), strict=True))
    for first in list(edges):
        if first not in edges:
            continue
        x, y, way = first
        corners: list[tuple[int, int]] = []
        while (x, y, way) in edges:
            del edges[x, y, way]
            x, y = x + STEPS[way][0], y + STEPS[way][1]
            # The turn to the right comes first: where two pixels touch at a corner, it stays with the pixel.
            ways = (turn % 4 for turn in (way + 1, way, way + 3))
            turned = next(turn for turn in ways if (x, y, turn) in edges or (x, y, turn) == first)
            if turned != way:
                corners.append((x, y))
            way = turned
        left, up = ON_THE_RIGHT[way]
        yield (x + left, y + up), np.array(corners)


def _goes_around(loop: Int[Array, "n 2"]) -> bool:
    """Whether what is on the right of the way lies within it: an outline, not a hole."""
    (x, y), (next_x, next_y) = loop.T, np.roll(loop, -1, axis=0).T
    return int((x * next_y - next_x * y).sum()) > 0


def _joined(outline: Int[Array, "n 2"], hole: Int[Array, "m 2"]) -> Int[Array, "k 2"]:
    """The outline with a cut to the hole, between corners that are near to each other."""
    at = int(np.abs(outline - hole[0]).sum(axis=1).argmin())
    start = int(np.abs(hole - outline[at]).sum(axis=1).argmin())
    around = np.roll(hole, -start, axis=0)
    return np.concatenate([outline[: at + 1], around, around[:1], outline[at:]])
