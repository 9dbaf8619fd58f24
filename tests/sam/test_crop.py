"""A crop is a square about an object, and shows it at one size wherever it is and however large."""

import numpy as np
import pytest
import torch

from persam.sam.crop import Crop, encode_crops
from tests.colour import RED, SIDE, ColourBackbone, mask, photo

HW = (300, 400)


@pytest.mark.parametrize(
    ("box", "margin", "window", "fill"),
    [
        ((200, 100, 299, 149), 1.5, (175, 50, 325, 200), 1.0),
        ((10, 20, 19, 23), 2.0, (5, 12, 25, 32), 1.0),
        ((10, 20, 18, 23), 2.0, (5, 13, 23, 31), 1.0),
        ((10, 20, 14, 23), 2.2, (7, 16, 18, 27), 1.0),  # an odd pixel falls to the left
        ((0, 0, 9, 9), 2.0, (0, 0, 15, 15), 15 / 20),
        ((390, 290, 399, 299), 2.0, (385, 285, 400, 300), 15 / 20),
        ((0, 100, 9, 109), 2.0, (0, 95, 15, 115), 1.0),  # all of the square's height
        ((0, 0, 399, 299), 2.0, (0, 0, 400, 300), 400 / 800),
    ],
)
def test_it_is_a_square_around_the_box_cut_at_the_images_edges(box, margin, window, fill):
    assert Crop.around(box, HW, margin=margin) == Crop(window, fill)


def test_its_slices_are_the_window():
    rgb = photo(hw=HW, at_xyxy=(200, 100, 299, 149))
    crop = Crop.around((200, 100, 299, 149), HW, margin=1.5)
    np.testing.assert_array_equal(rgb[crop.slices], rgb[50:200, 175:325])


@pytest.mark.parametrize(
    "box", [(200, 100, 299, 149), (0, 0, 40, 40), (380, 290, 399, 299), (0, 250, 9, 299), (5, 5, 390, 290)]
)
@pytest.mark.parametrize("margin", [1.2, 2])
def test_the_object_has_one_size_in_it_also_at_the_edge_and_where_it_fills_the_image(box, margin):
    marked = mask(hw=HW, at_xyxy=box)
    crop = Crop.around(box, HW, margin=margin)
    embedding = encode_crops(ColourBackbone(), [(photo(hw=HW, at_xyxy=box), crop)])
    x0, y0, x1, y1 = crop.window_xyxy
    assert marked[crop.slices].sum() == marked.sum()
    height, width = embedding.frame.input_hw
    columns, rows = marked.any(0).sum() * width / (x1 - x0), marked.any(1).sum() * height / (y1 - y0)
    assert max(columns, rows) == pytest.approx(4 * SIDE / margin, rel=0.02)


def test_crops_of_several_images_are_one_batch_of_those_parts_of_them():
    class Spy(ColourBackbone):
        def encode(self, images, *, fills=None):
            self.seen, self.fills = images, fills
            return super().encode(images, fills=fills)

    first, second = photo(hw=HW, at_xyxy=(200, 100, 299, 149)), photo(hw=(60, 50), at_xyxy=(0, 0, 9, 9), colour=RED)
    crops = [Crop((175, 50, 325, 200), 1.0), Crop((0, 0, 15, 15), 0.75)]
    backbone = Spy()
    embedding = encode_crops(backbone, list(zip((first, second), crops, strict=True)))
    assert backbone.batches == [2]
    np.testing.assert_array_equal(backbone.seen[0], first[50:200, 175:325])
    np.testing.assert_array_equal(backbone.seen[1], second[:15, :15])
    assert backbone.fills == [1.0, 0.75]
    assert [frame.original_hw for frame in embedding.frames] == [(150, 150), (15, 15)]
    alone = encode_crops(ColourBackbone(), [(second, crops[1])])
    assert torch.equal(embedding.features[1:], alone.features)
