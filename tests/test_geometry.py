"""Photos, inputs and cells, with answers worked out by hand."""

import numpy as np
import pytest
import torch

from persam.geometry import Frame, box_of, cell_cover, foreground_cells, official_cells, window_around


@pytest.mark.parametrize(
    ("original_hw", "size", "input_hw", "valid_hw"),
    [
        ((480, 640), 1024, (768, 1024), (48, 64)),
        ((576, 1024), 1024, (576, 1024), (36, 64)),
        ((640, 427), 1024, (1024, 683), (64, 43)),
        ((1, 1), 512, (512, 512), (32, 32)),
        ((10, 20000), 512, (1, 512), (1, 32)),
        ((20000, 10), 512, (512, 1), (32, 1)),
    ],
)
def test_long_side_fills_the_input_and_nothing_vanishes(original_hw, size, input_hw, valid_hw):
    frame = Frame(original_hw, size)
    assert frame.input_hw == input_hw
    assert frame.valid_hw == valid_hw


@pytest.mark.parametrize(("fill", "expected"), [(1.0, [512.0, 384.0]), (0.5, [256.0, 192.0])])
def test_points_go_to_the_input_and_back(fill, expected):
    frame = Frame((480, 640), 1024, fill=fill)
    there = frame.to_input(torch.tensor([[320.0, 240.0]]))
    assert there.tolist() == [expected]
    assert frame.to_original(there).tolist() == [[320.0, 240.0]]


def test_a_photo_that_takes_a_part_of_the_input_leaves_the_rest_empty():
    frame = Frame((480, 640), 1024, fill=0.5)
    assert frame.input_hw == (384, 512)
    assert frame.valid_hw == (24, 32)
    cover = cell_cover(np.ones((480, 640), bool), frame)
    assert cover[:24, :32].min() == 1
    assert cover.sum() == 24 * 32
    torch.testing.assert_close(frame.upscale(cover[None, None])[0, 0, :460, :620], torch.ones(460, 620))


def test_cell_centres_in_original_pixels_stay_inside_the_photo():
    frame = Frame((512, 512), 512)
    assert frame.cells_to_original(torch.tensor([[0.0, 0.0], [31.0, 2.0]])).tolist() == [[7.5, 7.5], [503.5, 39.5]]
    thin = Frame((10, 20000), 512)
    assert thin.cells_to_original(torch.tensor([[3.0, 0.0]]))[0, 1] <= 9


def test_upscaling_leaves_the_padding_out():
    frame = Frame((256, 512), 512)
    maps = torch.zeros(1, 1, 32, 32)
    maps[..., 16:, :] = 9.0  # padding starts at row 16 of 32
    full = frame.upscale(maps)
    assert full.shape == (1, 1, 256, 512)
    assert full[..., :240, :].abs().max() == 0
    assert frame.valid(maps).shape == (1, 1, 16, 32)


def test_cell_cover_is_an_area():
    mask = np.zeros((512, 512), bool)
    mask[0:16, 0:16] = True  # cell (0, 0), all of it
    mask[16:24, 32:48] = True  # upper half of cell (1, 2)
    mask[100, 200] = True  # one pixel of cell (6, 12)
    cover = cell_cover(mask, Frame((512, 512), 512))
    assert cover[0, 0] == 1
    assert cover[1, 2] == 0.5
    assert cover[6, 12] == 1 / 256
    assert cover.sum() == 1.5 + 1 / 256


@pytest.mark.parametrize("hw", [(480, 640), (1, 1), (20000, 10), (3, 5), (4000, 3000)])
def test_a_mask_with_one_pixel_has_a_foreground_cell(hw):
    mask = np.zeros(hw, bool)
    mask[hw[0] // 2, hw[1] // 2] = True
    assert foreground_cells(mask, Frame(hw, 512)).any()


def test_foreground_of_an_ordinary_mask_is_the_half_covered_cells():
    mask = np.zeros((512, 512), bool)
    mask[0:40, 0:40] = True  # covers cells 0 and 1 fully, cell 2 by half along each axis
    cells = foreground_cells(mask, Frame((512, 512), 512))
    assert cells[:2, :2].all()
    assert cells[0, 2]
    assert not cells[2, 2]  # a quarter
    assert cells.sum() == 8


def test_published_rule_depends_on_the_grey_level():
    # a cell is sampled at its two middle rows; row 103 of cell 6 (96 to 111) is outside the mask, row 104 inside
    mask = np.zeros((512, 512), bool)
    mask[104:297, 96:304] = True
    frame = Frame((512, 512), 512)
    counts = {level: int(official_cells(mask, frame, level).sum()) for level in (1, 128, 215, 255)}
    assert counts == {1: 0, 128: 12 * 13, 215: 12 * 13, 255: 13 * 13}  # ledger 4


def test_box_of_is_inclusive_and_empty_has_none():
    mask = np.zeros((5, 7), bool)
    assert box_of(mask) is None
    mask[1:3, 2:6] = True
    assert box_of(mask) == (2, 1, 5, 2)


@pytest.mark.parametrize(
    ("box", "side", "window"),
    [
        ((10, 20, 19, 23), 20, (5, 12, 25, 32)),
        ((10, 20, 18, 23), 20, (4, 12, 24, 32)),  # an odd pixel falls to the left
        ((0, 0, 9, 9), 20, (0, 0, 15, 15)),
        ((90, 70, 99, 79), 20, (85, 65, 100, 80)),
        ((0, 0, 99, 79), 200, (0, 0, 100, 80)),
    ],
)
def test_a_window_is_a_square_about_the_box_cut_at_the_edges(box, side, window):
    assert window_around(box, (80, 100), side) == window
