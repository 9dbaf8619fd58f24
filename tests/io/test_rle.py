import numpy as np
import pytest

from persam.errors import DataError
from persam.io.rle import draw, segments

# The expected pixels are COCO's own tool's (pycocotools 2).


def rows_of(mask: np.ndarray) -> list[str]:
    return ["".join(".#"[int(value)] for value in row) for row in mask]


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
    with pytest.raises(DataError, match="4x4 with 16 pixels does not fit its photo of 4x5"):
        draw(segments({"size": [4, 4], "counts": "61213"}), (4, 5))
    with pytest.raises(DataError, match="list of polygons or a run-length object, got str"):
        segments("61213")
