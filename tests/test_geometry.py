"""Images, inputs and patches, with answers worked out by hand."""

import numpy as np
import pytest
import torch

from persam.geometry import (
    Frame,
    box_of,
    foreground_patches,
    longer_side,
    official_patches,
    patch_colours,
    patch_cover,
    resize_to_input,
)


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


def test_an_image_that_takes_a_part_of_the_input_leaves_the_rest_empty():
    frame = Frame((480, 640), 1024, fill=0.5)
    assert frame.input_hw == (384, 512)
    assert frame.valid_hw == (24, 32)
    cover = patch_cover(np.ones((480, 640), bool), frame)
    assert cover[:24, :32].min() == 1
    assert cover.sum() == 24 * 32
    torch.testing.assert_close(frame.upscale(cover[None, None])[0, 0, :460, :620], torch.ones(460, 620))


def test_patch_centres_in_original_pixels_stay_inside_the_image():
    frame = Frame((512, 512), 512)
    assert frame.patches_to_original(torch.tensor([[0.0, 0.0], [31.0, 2.0]])).tolist() == [[7.5, 7.5], [503.5, 39.5]]
    thin = Frame((10, 20000), 512)
    assert thin.patches_to_original(torch.tensor([[3.0, 0.0]]))[0, 1] <= 9


def test_upscaling_leaves_the_padding_out():
    frame = Frame((256, 512), 512)
    maps = torch.zeros(1, 1, 32, 32)
    maps[..., 16:, :] = 9.0  # padding starts at row 16 of 32
    full = frame.upscale(maps)
    assert full.shape == (1, 1, 256, 512)
    assert full[..., :240, :].abs().max() == 0
    assert frame.valid(maps).shape == (1, 1, 16, 32)


def test_patch_cover_is_an_area():
    mask = np.zeros((512, 512), bool)
    mask[0:16, 0:16] = True  # patch (0, 0), all of it
    mask[16:24, 32:48] = True  # upper half of patch (1, 2)
    mask[100, 200] = True  # one pixel of patch (6, 12)
    cover = patch_cover(mask, Frame((512, 512), 512))
    assert cover[0, 0] == 1
    assert cover[1, 2] == 0.5
    assert cover[6, 12] == 1 / 256
    assert cover.sum() == 1.5 + 1 / 256


@pytest.mark.parametrize("hw", [(480, 640), (1, 1), (20000, 10), (3, 5), (4000, 3000)])
def test_a_mask_with_one_pixel_has_a_foreground_patch(hw):
    mask = np.zeros(hw, bool)
    mask[hw[0] // 2, hw[1] // 2] = True
    assert foreground_patches(mask, Frame(hw, 512)).any()


def test_foreground_of_an_ordinary_mask_is_the_half_covered_patches():
    mask = np.zeros((512, 512), bool)
    mask[0:40, 0:40] = True  # covers patches 0 and 1 fully, patch 2 by half along each axis
    patches = foreground_patches(mask, Frame((512, 512), 512))
    assert patches[:2, :2].all()
    assert patches[0, 2]
    assert not patches[2, 2]  # a quarter
    assert patches.sum() == 8


def test_published_rule_depends_on_the_grey_level():
    # a patch is sampled at its two middle rows; row 103 of patch 6 (96 to 111) is outside the mask, row 104 inside
    mask = np.zeros((512, 512), bool)
    mask[104:297, 96:304] = True
    frame = Frame((512, 512), 512)
    counts = {level: int(official_patches(mask, frame, level).sum()) for level in (1, 128, 215, 255)}
    assert counts == {1: 0, 128: 12 * 13, 215: 12 * 13, 255: 13 * 13}  # ledger 4


def test_box_of_is_inclusive_and_empty_has_none():
    mask = np.zeros((5, 7), bool)
    assert box_of(mask) is None
    mask[1:3, 2:6] = True
    assert box_of(mask) == (2, 1, 5, 2)


def test_the_box_of_a_mask_on_the_device_is_the_same():
    mask = torch.zeros(5, 7, dtype=torch.bool)
    assert box_of(mask) is None
    mask[1:3, 2:6] = True
    assert box_of(mask) == (2, 1, 5, 2)


@pytest.mark.parametrize(("box", "side"), [((2, 1, 5, 2), 4), ((3, 0, 3, 8), 9), ((4, 4, 4, 4), 1)])
def test_the_longer_side_counts_both_corners(box, side):
    assert longer_side(box) == side


def test_resizing_is_pillows_bilinear_with_area_support():
    assert resize_to_input(np.array([[0, 200], [100, 60]], np.uint8), Frame((2, 2), 1, 1)).tolist() == [[90]]
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[:, ::8] = 160  # a sampler of single pixels would meet all of them or none
    small = resize_to_input(stripes, Frame((16, 16), 2, 1))
    assert small.shape == (2, 2, 3)
    assert 10 <= small.min() <= small.max() <= 30  # 20 on average


def test_the_colour_of_a_patch_is_its_mean_in_cielab_and_padding_has_none():
    small = np.zeros((3, 4, 3), np.uint8)
    small[:2, :2] = 255  # white: L 100
    small[:, 2:] = (255, 0, 0)  # sRGB red: L 53.2, a 80.1, b 67.2
    small[0, 0] = 0  # a quarter of the white patch is black: L 75
    colours = patch_colours(small, Frame((3, 4), 6, 2, fill=4 / 6))
    assert colours.shape == (3, 3, 3)
    torch.testing.assert_close(colours[:, 0, 0], torch.tensor([75.0, 0, 0]), rtol=0, atol=0.1)
    torch.testing.assert_close(colours[:, 0, 1], torch.tensor([53.2, 80.1, 67.2]), rtol=0, atol=0.1)
    # the last row of patches is half image, half padding: the image's edge is repeated there
    torch.testing.assert_close(colours[:, 1, 1], torch.tensor([53.2, 80.1, 67.2]), rtol=0, atol=0.1)
    assert not colours[:, 2].any()
    assert not colours[:, :, 2].any()


def test_cover_can_be_asked_for_at_a_finer_stride():
    mask = np.zeros((8, 8), bool)
    mask[:2, :4] = True
    frame = Frame((8, 8), 8, 4)
    assert patch_cover(mask, frame).tolist() == [[0.5, 0], [0, 0]]
    assert patch_cover(mask, frame, stride=2)[0].tolist() == [1, 1, 0, 0]
    assert patch_cover(mask, frame, stride=1).sum() == 8
