"""A photo far larger than the network's input is searched in a smaller copy; what is found is of the photo itself."""

import numpy as np
import pytest
import torch

from persam.geometry import no_larger
from persam.method.find import _at_size
from persam.model import ENOUGH, PerSAM
from tests.colour import CALIBRATION, GREY, RED, ColourBackbone, colour_model, mask, photo

SIDE_PX = 3000
BOX = (750, 600, 1499, 1349)


def large() -> np.ndarray:
    rgb = np.full((SIDE_PX // 2, SIDE_PX, 3), GREY, np.uint8)
    rgb[BOX[1] : BOX[3] + 1, BOX[0] : BOX[2] + 1] = RED
    return rgb


class Spy(ColourBackbone):
    """Remembers the sizes of what it encodes."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def encode(self, images, *, fills=None):
        self.seen += [max(image.shape[:2]) for image in images]
        return super().encode(images, fills=fills)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


def test_masks_boxes_and_points_are_of_the_photo():
    model = colour_model()
    rgb = large()
    truth = (rgb == RED).all(2)
    (image,) = model.segment(rgb, model.learn(photo(), mask(), name="red"))
    assert image.present
    assert image.size_hw == rgb.shape[:2] == image.mask.shape
    assert iou(image.mask, truth) > 0.95
    ys, xs = image.mask.nonzero()
    assert image.best.box_xyxy == (xs.min(), ys.min(), xs.max(), ys.max())
    x, y = image.best.points_xy[0]
    assert truth[int(y), int(x)]


def test_the_network_is_shown_a_copy_of_at_most_so_many_pixels():
    spy = Spy()
    model = PerSAM(spy, calibration=CALIBRATION)
    list(model.segment(large(), model.learn(photo(), mask(), name="red")))
    assert SIDE_PX > ENOUGH * spy.input_size == max(spy.seen)


def test_an_official_recipe_sees_the_photo_as_it_is():
    spy = Spy()
    model = PerSAM(spy, calibration=CALIBRATION, recipe="official_persam")
    (image,) = model.segment(large(), model.learn(photo(), mask(), name="red"))
    assert max(spy.seen) == SIDE_PX
    assert image.mask.shape == image.size_hw


def test_instances_are_of_the_photo_and_share_no_pixel():
    rgb = large()
    rgb[200:600, 2000:2400] = RED
    model = colour_model()
    (image,) = model.segment(rgb, model.learn(photo(), mask(), name="red"), max_instances=3)
    first, second = (one.mask for one in image)
    assert not (first & second).any()
    assert iou(first | second, (rgb == RED).all(2)) > 0.95


@pytest.mark.parametrize(("hw", "expected"), [((40, 100), (40, 100)), ((80, 200), (40, 100)), ((200, 1), (100, 1))])
def test_the_copy_keeps_its_proportions_and_at_least_a_pixel(hw, expected):
    rgb = np.full((*hw, 3), 7, np.uint8)
    small = no_larger(rgb, 100)
    assert small.shape[:2] == expected
    assert (small == 7).all()
    assert (small is rgb) == (hw == expected)


def test_logits_without_measure_become_a_mask_too():
    logits = torch.tensor([[3e38, -3e38], [float("inf"), float("-inf")]])
    assert _at_size(logits, (4, 4)).tolist() == [[True, True, False, False]] * 4
