"""Polygons give the mask again, holes included, when the tools that they are for draw them."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw
from pycocotools import mask as coco

from persam.io import rle
from persam.io.outlines import centre_polygons, edge_polygons
from tests.io.made import mask_of, rows_of

RNG = np.random.default_rng(0)


def drawn_by_coco(mask: np.ndarray) -> np.ndarray:
    height, width = mask.shape
    polygons = [polygon.ravel().astype(float).tolist() for polygon in edge_polygons(mask)]
    parts = coco.frPyObjects(polygons, height, width)
    return coco.decode(coco.merge(parts)).astype(bool)


def drawn_by_us(mask: np.ndarray) -> np.ndarray:
    parts = [rle.Polygon(tuple(polygon.ravel().astype(float).tolist())) for polygon in edge_polygons(mask)]
    return rle.draw(parts, mask.shape)


def corners(polygon: np.ndarray) -> set[tuple[int, int]]:
    return {(int(x), int(y)) for x, y in polygon}


def test_a_rectangle_has_the_four_corners_of_its_edge() -> None:
    [polygon] = edge_polygons(mask_of(".....", ".###.", ".###.", "....."))
    assert len(polygon) == 4
    assert corners(polygon) == {(1, 1), (4, 1), (4, 3), (1, 3)}


def test_pixels_that_touch_at_a_corner_are_two_polygons() -> None:
    polygons = edge_polygons(mask_of("#.", ".#"))
    assert [corners(one) for one in polygons] == [{(0, 0), (1, 0), (1, 1), (0, 1)}, {(1, 1), (2, 1), (2, 2), (1, 2)}]


def test_a_hole_is_part_of_the_one_polygon() -> None:
    [polygon] = edge_polygons(mask_of("###", "#.#", "###"))
    assert corners(polygon) == {(0, 0), (3, 0), (3, 3), (0, 3), (1, 1), (2, 1), (2, 2), (1, 2)}
    assert len(polygon) == 4 + 4 + 2  # the cut begins and ends twice


def test_an_island_in_a_hole_is_a_polygon_of_its_own() -> None:
    ring = mask_of("#####", "#...#", "#.#.#", "#...#", "#####")
    assert len(edge_polygons(ring)) == 2
    assert rows_of(drawn_by_coco(ring)) == rows_of(ring)


def test_no_pixel_no_polygon() -> None:
    assert edge_polygons(mask_of("...")) == []
    assert centre_polygons(mask_of("...")) == []


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_any_mask_comes_back_from_pycocotools_and_from_ours(share: float) -> None:
    for height, width in RNG.integers(1, 16, (100, 2)):
        mask = RNG.random((height, width)) < share
        if mask.any():
            np.testing.assert_array_equal(drawn_by_coco(mask), mask)
            np.testing.assert_array_equal(drawn_by_us(mask), mask)


def test_a_large_mask_with_holes_comes_back() -> None:
    y, x = np.mgrid[:480, :640]
    mask = (np.hypot(x - 320, y - 240) < 200) & (np.hypot(x - 250, y - 240) > 40) & (np.hypot(x - 400, y - 200) > 60)
    assert len(edge_polygons(mask)) == 1
    np.testing.assert_array_equal(drawn_by_coco(mask), mask)


def test_outlines_through_centres_come_back_with_their_border() -> None:
    y, x = np.mgrid[:60, :80]
    mask = (np.hypot(x - 40, y - 30) < 20) & (np.hypot(x - 35, y - 30) > 6)
    [polygon] = centre_polygons(mask)
    plane = Image.new("1", (80, 60))
    ImageDraw.Draw(plane).polygon([(x + 0.5, y + 0.5) for x, y in polygon.tolist()], outline=1, fill=1)
    np.testing.assert_array_equal(np.array(plane), mask)
    filled = np.zeros(mask.shape, np.uint8)
    np.testing.assert_array_equal(cv2.fillPoly(filled, [polygon.astype(np.int32)], (1,)) > 0, mask)


def test_a_pixel_and_a_line_have_three_corners() -> None:
    pixel, line = centre_polygons(mask_of("#...", "....", "####"))[::-1]
    assert pixel.tolist() == [[0, 0]] * 3
    assert sorted(line.tolist()) == [[0, 2], [3, 2], [3, 2]]
