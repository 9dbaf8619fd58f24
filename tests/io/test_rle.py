"""COCO's masks by hand and as pycocotools 2 writes and reads them."""

import numpy as np
import pytest

from persam.errors import DataError
from persam.io.rle import compress, decompress, draw, run_lengths, segments
from tests.io.made import mask_of, rows_of

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("mask", "counts", "text"),
    [
        # down the first column, then the second; then 1, 1, 1 and 3-1, 1-1, 1-3 (30 + 48 = "N"), 6-1, 1-1
        (mask_of(".#...", "###..", ".#..#"), [1, 1, 1, 3, 1, 1, 6, 1], "11120N50"),
        (mask_of("...", "..."), [6], "6"),
        (mask_of("###", "###"), [0, 6], "06"),
        (mask_of("#.", ".."), [0, 1, 3], "013"),
        (mask_of(".", "#"), [1, 1], "11"),
        (mask_of("#"), [0, 1], "01"),
        # 40 = 8 + 32 * 1: digit 8 and more to come, 8 + 32 + 48 = "X"; then 1 + 48 = "1"
        (np.zeros((8, 5), bool), [40], "X1"),
        # 16 would read as a sign: digit 16 and more, 16 + 32 + 48 = "`"; then 0 + 48 = "0"
        (np.zeros((4, 4), bool), [16], "`0"),
    ],
)
def test_run_lengths_by_hand(mask: np.ndarray, counts: list[int], text: str) -> None:
    assert run_lengths(mask) == counts
    assert compress(counts) == text
    assert decompress(text) == counts


@pytest.mark.parametrize("density", [0.001, 0.1, 0.5, 0.999])
def test_a_mask_comes_back(density: float) -> None:
    mask = RNG.random((300, 200)) < density
    text = compress(run_lengths(mask))
    assert np.array_equal(draw(segments({"size": [300, 200], "counts": text}), (300, 200)), mask)


PYCOCOTOOLS_DISC = (
    "Qm1?n16K4L4M2N2M4M2N2O0O2N2N2O0O2O0O2O000O2O0000000000000000000000000001N10001N101N101N2N2N101N2N3L3N2N3L4L5Jbh1"
)


def test_counts_of_pycocotools() -> None:
    """Written by pycocotools 2.0 for a disc of radius 27 at the centre of 100 x 80: encode(asfortranarray(...))."""
    disc = np.hypot(*np.mgrid[-40:40, -50:50]) < 27
    assert compress(run_lengths(disc)) == PYCOCOTOOLS_DISC
    assert np.array_equal(draw(segments({"size": [80, 100], "counts": PYCOCOTOOLS_DISC}), (80, 100)), disc)


# --- what others wrote: the expected pixels are pycocotools'


@pytest.mark.parametrize(
    ("polygon", "size_hw", "expected"),
    [
        ([1, 1, 4, 1, 4, 3, 1, 3], (4, 5), [".....", ".###.", ".###.", "....."]),
        (
            [0.5, 0.5, 7.2, 3.1, 2.4, 6.8],
            (8, 9),
            [
                ".........",
                ".##......",
                ".#####...",
                ".######..",
                "..###....",
                "..##.....",
                "..#......",
                ".........",
            ],
        ),
        (  # beyond the photo on three sides
            [2, -1, 9, 4, 4, 9.5, 5.3, 3.9],
            (8, 8),
            [
                "...#....",
                "....#...",
                "....###.",
                ".....###",
                ".....###",
                ".....###",
                ".....##.",
                ".....#..",
            ],
        ),
        ([1.3, 1.3, 1.4, 1.4, 1.3, 1.5], (3, 3), ["...", "...", "..."]),  # goes around no centre
    ],
)
def test_polygons_cover_what_cocos_tool_says(polygon, size_hw, expected):
    assert rows_of(draw(segments([polygon]), size_hw)) == expected


def test_run_lengths_go_down_the_columns():
    expected = ["....", "..#.", ".##.", "...."]
    assert rows_of(draw(segments({"size": [4, 4], "counts": "61213"}), (4, 4))) == expected
    assert rows_of(draw(segments({"size": [4, 4], "counts": [6, 1, 2, 2, 5]}), (4, 4))) == expected


def test_run_lengths_as_text_hold_long_and_falling_runs():
    expected = np.zeros((40, 50), dtype=bool)
    expected[3:33, 10:45] = True
    expected[5:9, 20:22] = False
    text = b"c<n0:000000000000000000TOJf06ZOJf06600000000000000000000000000000000000000000000U6"
    assert np.array_equal(draw(segments({"size": [40, 50], "counts": text}), (40, 50)), expected)


def test_all_segments_of_a_mask_count():
    pair = [[0, 0, 1, 0, 1, 1, 0, 1], [2, 1, 3, 1, 3, 2, 2, 2]]
    assert rows_of(draw(segments(pair), (2, 3))) == ["#..", "..#"]


def test_a_mask_of_another_photo_is_an_error():
    with pytest.raises(DataError, match="4x4 with 16 pixels does not fit its image of 4x5"):
        draw(segments({"size": [4, 4], "counts": "61213"}), (4, 5))
    with pytest.raises(DataError, match="list of polygons or a run-length object, got str"):
        segments("61213")
