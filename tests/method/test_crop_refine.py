"""What was found is looked at again, at the size the network knows best, and what is seen must be the same thing."""

import numpy as np
import pytest
import torch

from persam.geometry import Frame
from persam.method.crop_refine import look_again
from persam.sam.decoder import NO_GUIDANCE
from persam.types import Candidates, ImageEmbedding

INPUT, GRID = 64, 4  # a map of 16 x 16 over an input of 64 x 64


class Bright:
    """A backbone to which the object is what is brighter than 100; it remembers what it saw and was asked."""

    name, fingerprint, device = "bright", "0", torch.device("cpu")

    def __init__(self, *, shift: int = 0):
        self.shift, self.seen, self.asked = shift, [], []

    def encode(self, rgb, *, fill=1.0):
        self.seen.append(rgb)
        return ImageEmbedding(torch.zeros(3, GRID, GRID), Frame(rgb.shape[:2], INPUT, INPUT // GRID, fill))

    def decode(self, embedding, prompt, guidance=NO_GUIDANCE):
        self.asked.append(prompt)
        bright = torch.from_numpy(np.roll(self.seen[-1][..., 0] > 100, self.shift, axis=1)).float()[None, None]
        height, width = embedding.frame.input_hw
        small = torch.nn.functional.interpolate(bright, (height // 4, width // 4), mode="area") * 10 - 5
        logits = torch.full((1, 4, 16, 16), -5.0)
        logits[..., : small.shape[2], : small.shape[3]] = small
        return Candidates(logits, torch.tensor([[0.9, 0.5, 0.6, 0.7]]))


def scene(x0: int, y0: int, x1: int, y1: int) -> tuple[np.ndarray, torch.Tensor]:
    """A dark photo of 640 x 480 with a bright box, corners included, and rough logits of it, 4 pixels too large."""
    rgb = np.zeros((480, 640, 3), np.uint8)
    rgb[y0 : y1 + 1, x0 : x1 + 1] = 200
    logits = torch.full((480, 640), -5.0)
    logits[max(0, y0 - 4) : y1 + 5, max(0, x0 - 4) : x1 + 5] = 5.0
    return rgb, logits


def point(x: float, y: float) -> torch.Tensor:
    return torch.tensor([float(x), float(y)])


def test_a_small_object_gets_a_finer_mask():
    backbone = Bright()
    rgb, logits = scene(300, 200, 339, 239)
    closer = look_again(backbone, rgb, logits, point(320, 220))
    before = ((logits > 0) & torch.from_numpy(rgb[..., 0] < 100)).sum()
    after = ((closer > 0) ^ torch.from_numpy(rgb[..., 0] > 100)).sum()
    assert after < before / 4
    (cut,) = backbone.seen
    assert cut.shape == (96, 96, 3)  # twice the box of 48


def test_the_prompt_is_in_the_cut_outs_own_pixels():
    backbone = Bright()
    rgb, logits = scene(300, 200, 339, 239)  # the box with its 4 pixels: 296 to 343, 196 to 243; the cut from 272, 172
    look_again(backbone, rgb, logits, point(320, 220))
    (prompt,) = backbone.asked
    assert prompt.points_xy.tolist() == [[[48, 48]]]
    assert prompt.labels.tolist() == [[1]]
    assert prompt.box_xyxy.tolist() == [[24, 24, 71, 71]]
    assert prompt.mask_logits.shape == (1, 1, 16, 16)
    assert prompt.mask_logits[0, 0, 8, 8] > 0 > prompt.mask_logits[0, 0, 0, 0]


@pytest.mark.parametrize("box", [(0, 0, 30, 30), (610, 450, 639, 479), (0, 440, 30, 479)])
def test_at_the_photos_edge_the_cut_out_ends_there(box):
    rgb, logits = scene(*box)
    closer = look_again(Bright(), rgb, logits, point((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
    truth = torch.from_numpy(rgb[..., 0] > 100)
    assert ((closer > 0) & truth).sum() / ((closer > 0) | truth).sum() > 0.8


@pytest.mark.parametrize(("width", "both"), [(240, False), (260, True)])
def test_of_a_large_object_both_looks_count(width, both):
    rgb, logits = scene(104, 104, 104 + width - 9, 300)  # 4 pixels of the logits on either side
    again = look_again(Bright(), rgb, logits, point(200, 200))
    assert again[200, 200] == pytest.approx(5)
    assert again[10, 630] == pytest.approx((-5 - 4) / 2 if both else -4)  # outside the cut-out: -4 by the second look


def test_an_empty_mask_is_not_looked_at_again():
    backbone = Bright()
    rgb, _ = scene(100, 100, 400, 300)
    assert look_again(backbone, rgb, torch.full((480, 640), -5.0), point(200, 200)) is None
    assert backbone.seen == []


def test_a_second_look_that_finds_something_else_is_not_taken():
    rgb, logits = scene(300, 200, 339, 239)
    assert look_again(Bright(shift=36), rgb, logits, point(320, 220)) is None
