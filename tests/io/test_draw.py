"""What the pictures show, at known pixels; how they look was judged by eye on photos of many sizes."""

import numpy as np
import pytest
from PIL import Image

from persam.errors import MaskError
from persam.io.draw import INSIDE, OUTSIDE, cutout, overlay, side_by_side

BLACK, RED, WHITE = (0, 0, 0), (255, 0, 0), (255, 255, 255)
RNG = np.random.default_rng(0)


def canvas(height: int, width: int, colour: tuple[int, int, int] = BLACK) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def square(height: int, width: int, y0: int, x0: int, side: int) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[y0 : y0 + side, x0 : x0 + side] = True
    return mask


def colours_in(picture: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(int(value) for value in pixel) for pixel in picture.reshape(-1, 3)}


def test_fill_mixes_the_colour_into_the_object_and_nowhere_else() -> None:
    rgb = canvas(60, 80, (100, 100, 100))
    picture = overlay(rgb, square(60, 80, 20, 30, 10), colour=RED, fill=0.4, outline=False)
    assert colours_in(picture[20:30, 30:40]) == {(162, 60, 60)}  # 0.6 * 100 + 0.4 * (255, 0, 0)
    picture[20:30, 30:40] = 100
    np.testing.assert_array_equal(picture, rgb)


def test_photo_is_not_changed() -> None:
    rgb = canvas(60, 80)
    overlay(rgb, square(60, 80, 20, 30, 10), points_xy=np.array([[5.0, 5.0]]), box=(1, 1, 9, 9), label="rex")
    assert rgb.max() == 0


def test_outline_runs_along_the_border_with_a_light_rim() -> None:
    picture = overlay(canvas(600, 600), square(600, 600, 200, 200, 200), colour=RED, fill=0)
    assert tuple(picture[300, 200]) == tuple(picture[399, 300]) == RED
    assert picture[300, 197:200].min(axis=1).max() > 100  # the rim just outside, smoothed
    assert picture[300, 300].max() == 0
    assert picture[300, 100].max() == 0


def test_hole_has_an_outline_too() -> None:
    mask = square(300, 300, 50, 50, 200) & ~square(300, 300, 100, 100, 100)
    picture = overlay(canvas(300, 300), mask, colour=RED, fill=0)
    assert picture[150, 95:105, 0].max() > 200  # smoothed


def test_points_are_discs_inside_and_crosses_outside() -> None:
    points, labels = np.array([[50.0, 100.0], [149.6, 100.0]]), np.array([1.0, 0.0])
    picture = overlay(canvas(200, 200), np.zeros((200, 200), bool), points_xy=points, labels=labels)
    assert tuple(picture[100, 50]) == tuple(picture[100, 52]) == tuple(picture[102, 50]) == INSIDE
    assert tuple(picture[100, 150]) == tuple(picture[102, 152]) == tuple(picture[102, 148]) == OUTSIDE
    assert tuple(picture[100, 153]) == BLACK  # between the arms
    assert colours_in(picture[:, 75:125]) == {BLACK}


def test_points_without_labels_are_inside() -> None:
    picture = overlay(canvas(99, 99), np.zeros((99, 99), bool), points_xy=np.array([[20.0, 30.0]]))
    assert tuple(picture[30, 20]) == INSIDE


def test_box_is_drawn_on_its_own_pixels() -> None:
    picture = overlay(canvas(100, 100), np.zeros((100, 100), bool), colour=RED, box=(10, 20, 60, 70))
    assert {tuple(picture[y, x]) for x, y in ((10, 20), (60, 70), (10, 45), (35, 70))} == {RED}
    assert tuple(picture[45, 35]) == BLACK


def test_label_is_a_plate_above_the_box() -> None:
    picture = overlay(canvas(200, 300), np.zeros((200, 300), bool), colour=RED, box=(100, 120, 200, 180), label="rex")
    assert tuple(picture[110, 101]) == RED
    assert picture[100:119, 100:150].min(axis=2).max() > 150  # white letters, smoothed
    assert picture[:90].max() == 0


def test_label_on_a_bright_colour_is_dark() -> None:
    empty = np.zeros((100, 100), bool)
    assert WHITE not in colours_in(overlay(canvas(100, 100), empty, colour=(255, 220, 0), label="rex"))


def test_lines_grow_with_the_photo() -> None:
    def red_pixels_across(side: int) -> int:
        nothing, box = np.zeros((side, side), bool), (side // 4, side // 4, 2 * side, 2 * side)
        picture = overlay(canvas(side, side), nothing, colour=RED, box=box)
        return int((picture[side // 2] == RED).all(axis=1).sum())

    assert red_pixels_across(100) == 1
    assert red_pixels_across(3000) in (10, 11)  # cv2 makes even widths odd


@pytest.mark.parametrize("hw", [(1, 1), (1, 50), (50, 1), (3, 3), (10, 20000)])
@pytest.mark.parametrize("set_all", [False, True])
def test_any_size_can_be_drawn_on(hw: tuple[int, int], set_all: bool) -> None:
    picture = overlay(
        canvas(*hw),
        np.full(hw, set_all),
        points_xy=np.array([[0.0, 0.0], [hw[1] - 1.0, hw[0] - 1.0]]),
        labels=np.array([1.0, 0.0]),
        box=(0, 0, hw[1] - 1, hw[0] - 1),
        label="a label that is longer than the picture is wide\nand has two lines",
    )
    assert picture.shape == (*hw, 3)


def test_nothing_to_draw_leaves_the_photo_as_it_is() -> None:
    rgb = RNG.integers(0, 255, (20, 30, 3), np.uint8)
    np.testing.assert_array_equal(overlay(rgb, np.zeros((20, 30), bool)), rgb)


def test_cutout_is_the_box_with_the_rest_clear() -> None:
    rgb = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    mask = np.zeros((4, 5), bool)
    mask[1, 2] = mask[2, 3] = True
    np.testing.assert_array_equal(
        cutout(rgb, mask),
        [[[21, 22, 23, 255], [0, 0, 0, 0]], [[0, 0, 0, 0], [39, 40, 41, 255]]],
    )


def test_cutout_of_one_pixel() -> None:
    np.testing.assert_array_equal(cutout(canvas(1, 1, RED), np.ones((1, 1), bool)), [[[255, 0, 0, 255]]])


def test_cutout_of_nothing() -> None:
    with pytest.raises(MaskError, match=r"nothing to cut out: no pixel of the 6x4 mask is set\. Skip this photo\."):
        cutout(canvas(4, 6), np.zeros((4, 6), bool))


def test_sheet_lays_pictures_out_row_by_row() -> None:
    pictures = [canvas(50, 100, RED), canvas(100, 100, INSIDE), canvas(10, 10, OUTSIDE)]
    sheet = side_by_side(pictures, height=120, columns=2)
    gap = 4
    assert sheet.shape == (gap + 2 * (120 + gap), gap + 240 + gap + 120 + gap, 3)
    assert tuple(sheet[gap + 60, gap + 120]) == RED
    assert tuple(sheet[gap + 60, gap + 240 + gap + 60]) == INSIDE
    assert tuple(sheet[gap + 120 + gap + 60, gap + 60]) == OUTSIDE
    assert tuple(sheet[-1, -1]) == tuple(sheet[gap + 120 + gap + 60, -60]) == WHITE


def test_captions_stand_under_their_pictures_and_are_shortened() -> None:
    black = canvas(40, 40)
    sheet = side_by_side([black, black], height=40, captions=["", "a caption much too long for forty pixels"])
    under = sheet[4 + 40 + 1 : -4]
    assert under[:, :44].min() == 255  # no text there
    assert under[:, 48:88].min() < 100
    assert under[:, 90:].min() == 255


def test_panorama_is_made_lower() -> None:
    sheet = side_by_side([canvas(10, 20000, RED)], height=100)
    assert sheet.shape == (4 + 100 + 4, 4 + 200 + 4, 3)


@pytest.mark.parametrize(("count", "captions", "columns"), [(0, (), None), (2, ("one",), None), (1, (), 0)])
def test_sheet_that_cannot_be_laid_out(count: int, captions: tuple[str, ...], columns: int | None) -> None:
    with pytest.raises(ValueError, match=rf"got {count} pictures, {len(captions)} captions"):
        side_by_side([canvas(2, 2)] * count, captions=captions, columns=columns)


def test_pictures_can_be_saved_by_pil() -> None:
    assert Image.fromarray(cutout(canvas(2, 2), np.ones((2, 2), bool))).mode == "RGBA"
