import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from persam.errors import DataError, MaskError
from persam.eval.metrics import (
    boundary_band,
    boundary_iou,
    contour,
    contour_accuracy,
    holes,
    iou,
    region_similarity,
    summed_iou,
    video_statistics,
)


def drawn(*rows: str) -> np.ndarray:
    return np.array([[character == "#" for character in row] for row in rows])


def square(side: int, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((side, side), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def pixels(mask: np.ndarray) -> set[tuple[int, int]]:
    return {(int(row), int(column)) for row, column in zip(*np.nonzero(mask), strict=True)}


EMPTY = drawn("...", "...", "...")
CORNER = drawn("##.", "##.", "...")
SHIFTED = drawn(".##", ".##", "...")


@pytest.mark.parametrize(
    ("mask", "truth", "expected"),
    [(CORNER, CORNER, 1.0), (CORNER, SHIFTED, 2 / 6), (CORNER, EMPTY, 0.0), (EMPTY, CORNER, 0.0), (EMPTY, EMPTY, 1.0)],
)
def test_iou_and_j_are_shared_pixels_over_all_pixels(mask, truth, expected):
    assert iou(mask, truth) == region_similarity(mask, truth) == expected
    if pixels(mask) | pixels(truth):
        assert expected == len(pixels(mask) & pixels(truth)) / len(pixels(mask) | pixels(truth))


def test_masks_of_different_sizes_are_never_compared():
    with pytest.raises(MaskError, match="the mask is 3x3 and the truth 2x3"):
        iou(CORNER, CORNER[:2])
    with pytest.raises(MaskError, match="the mask is 3x3 and the truth 2x3"):
        contour_accuracy(CORNER, CORNER[:2])


def test_perseg_sums_over_the_photos_before_it_divides():
    large, large_found = square(10, 0, 0, 10, 10), square(10, 0, 0, 10, 5)  # 50 of 100
    small = square(10, 0, 0, 1, 1)  # 1 of 1; the mean of the photos' own would be 0.75
    assert summed_iou([(large_found, large), (small, small)]) == 51 / 101


WHOLE = drawn("#####", "#####", "#####", "#####", ".....")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (("#####", "#####", "#####", "#####", "....."), 0.0),
        (("#####", "#.###", "###.#", "#####", "....."), 2 / 20),
        (("#####", "#...#", "#.#.#", "#...#", "#####"), 8 / 20),  # an island in a hole leaves the ring around it
        (("#####", "##..#", "###.#", "###.#", "....."), 0.0),  # a notch goes in from outside
        (("##.##", "##.##", "#####", "#####", "....."), 0.0),  # so does what the photo's edge would close
        (("##.##", "#.#.#", "##.##", "#####", "....."), 1 / 20 + 2 / 20),  # corners close it; the topmost is outside
        ((".....", ".....", "#####", "#...#", "#####"), 3 / 20),
        (("#...#", ".....", ".....", ".....", "#...#"), 0.0),
        ((".....", ".....", ".....", ".....", "....."), 0.0),
    ],
)
def test_holes_are_the_share_of_the_object_that_the_mask_goes_around(rows, expected):
    assert holes(drawn(*rows), WHOLE) == pytest.approx(expected, abs=1e-12)


def test_what_is_no_object_is_no_hole():
    mask, truth = drawn("#####", "#...#", "#####"), drawn("#####", "#.###", "#####")
    assert holes(mask, truth) == 2 / 14
    assert holes(mask, np.zeros_like(truth)) == 0.0
    with pytest.raises(MaskError, match="the mask is 3x5 and the truth 2x5"):
        holes(mask, truth[:2])


def test_boundary_band_is_two_percent_of_the_diagonal_wide_and_ends_at_the_image():
    mask = square(100, 0, 40, 50, 90)  # diagonal 141.4: the band is 3 wide; the mask touches the left edge
    assert np.array_equal(boundary_band(mask), mask & ~square(100, 3, 43, 47, 87))


def test_boundary_band_is_one_pixel_at_least():
    assert np.array_equal(boundary_band(square(7, 1, 1, 6, 6)), square(7, 1, 1, 6, 6) & ~square(7, 2, 2, 5, 5))


def test_boundary_band_counts_kings_moves_to_the_outside():
    random = np.random.default_rng(3)
    mask = random.random((60, 90)) > 0.02  # diagonal 108: 2 wide
    framed = np.pad(mask, 1)
    outside = np.argwhere(~framed)
    for row, column in np.argwhere(mask):
        moves = abs(outside - (row + 1, column + 1)).max(axis=1).min()
        assert boundary_band(mask)[row, column] == (moves <= 2)


def test_boundary_iou_sees_the_edge_where_iou_sees_the_bulk():
    truth, mask = square(100, 10, 10, 90, 90), square(100, 12, 12, 88, 88)
    assert iou(mask, truth) == 76**2 / 80**2
    band, inner = 80**2 - 74**2, 76**2 - 70**2  # rings 10..13 and 12..15, which share the ring 12..13
    shared = 76**2 - 74**2
    assert boundary_iou(mask, truth) == shared / (band + inner - shared)
    assert boundary_iou(truth, truth) == boundary_iou(EMPTY, EMPTY) == 1.0


def test_contour_lies_half_a_pixel_towards_the_origin_and_ignores_the_images_edge():
    mask = drawn(
        "......",
        "..##..",
        "..##..",
        "......",
    )
    assert np.array_equal(
        contour(mask),
        drawn(
            ".###..",
            ".#.#..",
            ".###..",
            "......",
        ),
    )
    assert not contour(np.ones((4, 5), dtype=bool)).any()
    assert np.array_equal(contour(drawn("...", "..#")), drawn(".##", ".#."))  # the last row looks right only


BLANK, SOLID = square(80, 0, 0, 0, 0), square(80, 20, 20, 50, 50)


@pytest.mark.parametrize(
    ("mask", "truth", "expected"),
    [
        (BLANK, BLANK, 1.0),  # nothing to find, nothing found
        (BLANK, SOLID, 0.0),
        (SOLID, BLANK, 0.0),
        (~BLANK, BLANK, 1.0),  # a full image has no contour either
        (SOLID, SOLID, 1.0),
        (square(80, 21, 20, 51, 50), SOLID, 1.0),  # off by one: within ceil(0.008 * 113.1) = 1 pixel
        (square(80, 60, 60, 70, 70), SOLID, 0.0),
    ],
)
def test_contour_accuracy_of_cases_done_by_hand(mask, truth, expected):
    assert contour_accuracy(mask, truth) == expected


def test_contour_accuracy_two_pixels_off_keeps_what_still_lies_within_one():
    # Two rings of 31 x 31, 120 pixels each, two columns apart. Their rows 19 and 49 share 29 columns and match one
    # further, 30 each; of their columns, only the pixel next to such a row has one of it within 1: two more.
    assert contour_accuracy(square(80, 22, 20, 52, 50), SOLID) == 62 / 120


@pytest.mark.parametrize("bound", [0.008, 0.05, 3.0])
@pytest.mark.parametrize("seed", range(4))
def test_contour_accuracy_equals_distances_counted_one_by_one(seed, bound):
    random = np.random.default_rng(seed)
    height, width = random.integers(20, 70, 2)
    rows, columns = np.mgrid[:height, :width]
    circles = [
        np.hypot(rows - height * y, columns - width * x) < min(height, width) * 0.3 for x, y in random.random((2, 2))
    ]
    mask, truth = (circle ^ (random.random(circle.shape) > 0.995) for circle in circles)

    def border(seg):  # by definition, pixel by pixel
        return [
            (row, column)
            for row in range(height)
            for column in range(width)
            if any(
                seg[row, column] != seg[row + down, column + right]
                for down, right in ((0, 1), (1, 0), (1, 1))
                if row + down < height and column + right < width
            )
        ]

    reach = bound if bound >= 1 else math.ceil(bound * math.hypot(height, width))
    distances = cdist(border(mask), border(truth))
    precision, recall = (distances.min(axis=1) <= reach).mean(), (distances.min(axis=0) <= reach).mean()
    assert contour_accuracy(mask, truth, bound=bound) == pytest.approx(
        2 * precision * recall / (precision + recall) if precision + recall else 0, abs=1e-12
    )


def test_video_statistics_of_a_video_done_by_hand():
    # 9 frames are cut at 1, 3, 5, 7, 9: the first quarter is frames 1-3, the last one 7-9.
    statistics = video_statistics([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.2, 0.0])
    assert statistics.mean == pytest.approx(5.1 / 9)
    assert statistics.recall == 5 / 9  # 0.5 itself is not above
    assert statistics.decay == pytest.approx(0.9 - 0.2)


def test_video_quarters_share_their_borders_and_round_half_up():
    # 7 frames are cut at 1, 2.5, 4, 5.5, 7, rounded to 1, 3, 4, 6, 7: frames 1-3 against 6-7.
    assert video_statistics([1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]).decay == pytest.approx(2 / 3 - 1 / 2)
    assert video_statistics([0.7]).decay == 0


def test_long_videos_do_not_wrap():
    assert video_statistics([1.0] * 300 + [0.0] * 300).decay == 1.0


def test_a_video_without_frames_that_count_is_an_error():
    with pytest.raises(DataError, match="three frames"):
        video_statistics([])
