"""A mask is decoded again in a crop, at the size the network knows best, and what is seen must be the same thing."""

import numpy as np
import pytest
import torch

from persam.geometry import Frame
from persam.method import crop_refine
from persam.method.crop_refine import refine_in_crops
from persam.method.object_crop import encode_objects
from persam.sam.decoder import NO_GUIDANCE
from persam.types import Candidates, Decoded, ImageEmbedding

INPUT, GRID = 64, 4  # a map of 16 x 16 over an input of 64 x 64
FIRST, CROPS = 0.25, (0.5, 0.625, 0.75)  # predicted IoU of the mask before, and of whole, part and subpart in a crop


class Bright:
    """A backbone to which the object is what is brighter than 100; it remembers what it saw and was asked.

    shift: by so many pixels it sees the object further to the right. other: which of the candidates are of something
    else, in the upper left corner.
    """

    name, fingerprint, device, input_size = "bright", "0", torch.device("cpu"), INPUT

    def __init__(self, *, shift: int = 0, other: tuple[int, ...] = ()):
        self.shift, self.other, self.batches, self.asked = shift, other, [], []

    def encode(self, images, *, fills=None):
        self.batches.append(images)
        frames = tuple(
            Frame(rgb.shape[:2], INPUT, INPUT // GRID, fill) for rgb, fill in zip(images, fills, strict=True)
        )
        return ImageEmbedding(torch.zeros(len(images), 3, GRID, GRID), frames, tuple(map(str, range(len(images)))))

    def at_input(self, size):
        return self

    def decode(self, embedding, prompt, guidance=NO_GUIDANCE):
        self.asked.append((prompt, guidance))
        logits = torch.full((len(embedding), 4, 16, 16), -5.0)
        for row, (rgb, frame) in enumerate(zip(self.batches[-1], embedding.frames, strict=True)):
            bright = torch.from_numpy(np.roll(rgb[..., 0] > 100, self.shift, axis=1)).float()[None, None]
            height, width = frame.input_hw
            small = torch.nn.functional.interpolate(bright, (height // 4, width // 4), mode="area") * 10 - 5
            logits[row, :, : small.shape[2], : small.shape[3]] = small
            for candidate in self.other:
                logits[row, candidate] = -5
                logits[row, candidate, :4, :4] = 5
        return Candidates(logits, torch.tensor([[0.9, *CROPS]]).repeat(len(embedding), 1))


def scene(x0: int, y0: int, x1: int, y1: int) -> tuple[np.ndarray, Decoded]:
    """A dark image of 640 x 480 with a bright box, corners included, and a rough mask of it, 4 pixels too large."""
    rgb = np.zeros((480, 640, 3), np.uint8)
    rgb[y0 : y1 + 1, x0 : x1 + 1] = 200
    logits = torch.full((480, 640), -5.0)
    logits[max(0, y0 - 4) : y1 + 5, max(0, x0 - 4) : x1 + 5] = 5.0
    return rgb, Decoded(logits, torch.tensor(FIRST))


def refined(backbone: Bright, rgb: np.ndarray, mask: Decoded, x: float, y: float) -> Decoded:
    (one,) = all_refined(backbone, rgb, [mask], [torch.tensor([float(x), float(y)])])
    return one


def all_refined(backbone: Bright, rgb: np.ndarray, masks: list[Decoded], points: list[torch.Tensor]) -> list[Decoded]:
    crops = encode_objects(backbone, [(rgb, mask.logits.numpy() > 0) for mask in masks])
    return refine_in_crops(backbone, rgb, masks, crops, points)


def wrong_pixels(found: Decoded, rgb: np.ndarray) -> int:
    return int(((found.logits > 0) ^ torch.from_numpy(rgb[..., 0] > 100)).sum())


def test_a_small_object_gets_a_finer_mask_from_a_crop_around_its_box():
    backbone = Bright()
    rgb, mask = scene(300, 200, 339, 239)  # the box with its 4 pixels: 296 to 343, 196 to 243; the crop from 281, 181
    assert wrong_pixels(refined(backbone, rgb, mask, 320, 220), rgb) < wrong_pixels(mask, rgb) / 4
    ((crop,),) = backbone.batches
    np.testing.assert_array_equal(crop > 100, rgb[181:258, 281:358] > 100)  # brighter than the photo: evenly lit


def test_the_prompt_is_in_the_crops_own_pixels():
    backbone = Bright()
    rgb, mask = scene(300, 200, 339, 239)
    refined(backbone, rgb, mask, 320, 220)
    ((prompt, guidance),) = backbone.asked
    assert prompt.points_xy.tolist() == [[[39, 39]]]
    assert prompt.labels.tolist() == [[1]]
    assert prompt.box_xyxy.tolist() == [[15, 15, 62, 62]]
    assert prompt.mask_logits.shape == (1, 1, 16, 16)
    assert torch.equal(prompt.mask_logits[0, 0, 4:12, 4:12] > 0, torch.ones(8, 8, dtype=torch.bool))
    assert prompt.mask_logits[0, 0, 1].max() < 0
    assert guidance is NO_GUIDANCE


@pytest.mark.parametrize("box", [(0, 0, 30, 30), (610, 450, 639, 479), (0, 440, 30, 479)])
def test_at_the_images_edge_the_crop_ends_there(box):
    rgb, mask = scene(*box)
    closer = refined(Bright(), rgb, mask, (box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    truth = torch.from_numpy(rgb[..., 0] > 100)
    assert ((closer.logits > 0) & truth).sum() / ((closer.logits > 0) | truth).sum() > 0.8


@pytest.mark.parametrize(("width", "both"), [(240, False), (260, True)])
def test_of_a_large_object_both_masks_count_in_logits_and_in_score(width, both):
    rgb, mask = scene(104, 104, 104 + width - 9, 300)  # 4 pixels of the mask on either side; 0.4 of 640 is 256
    mask.logits[:, 180:240] = -20.0  # surely not here, says the first; the crop's says 5
    again = refined(Bright(), rgb, mask, 140, 200)
    assert again.logits[200, 140] > 0
    assert bool(again.logits[200, 210] < 0) == both
    assert again.logits[10, 630] == -4  # outside the crop
    best = max(CROPS)
    assert again.score == ((FIRST + best) / 2 if both else best)


def test_what_is_taken_follows_the_edges_of_the_photo(monkeypatch):
    rgb, mask = scene(203, 150, 302, 249)
    followed = wrong_pixels(refined(Bright(), rgb, mask, 250, 200), rgb)
    monkeypatch.setattr(crop_refine, "follow_edges", lambda logits, rgb: logits)
    assert followed < 0.5 * wrong_pixels(refined(Bright(), rgb, mask, 250, 200), rgb)


def test_the_score_is_that_of_the_candidate_which_is_returned():
    rgb, mask = scene(300, 200, 339, 239)
    assert refined(Bright(), rgb, mask, 320, 220).score == CROPS[2]
    assert refined(Bright(other=(3,)), rgb, mask, 320, 220).score == CROPS[1]  # the best predicted is something else
    assert refined(Bright(other=(2, 3)), rgb, mask, 320, 220).score == CROPS[0]


def test_a_crop_that_shows_something_else_changes_neither_mask_nor_score():
    rgb, mask = scene(300, 200, 339, 239)
    for backbone in (Bright(shift=36), Bright(other=(1, 2, 3))):
        assert refined(backbone, rgb, mask, 320, 220) is mask
        assert len(backbone.batches) == 1


def test_several_masks_take_one_batch_and_one_decode_and_keep_their_order():
    (rgb, first), (other, second) = scene(300, 200, 339, 239), scene(20, 30, 59, 49)
    both, nothing = np.maximum(rgb, other), Decoded(torch.full((480, 640), -5.0), torch.tensor(0.125))
    points = [torch.tensor(point) for point in ([320.0, 220.0], [0.0, 0.0], [40.0, 40.0])]
    backbone = Bright()
    found = all_refined(backbone, both, [first, nothing, second], points)
    assert [len(batch) for batch in backbone.batches] == [2]
    assert [len(prompt) for prompt, _ in backbone.asked] == [2]
    assert found[1] is nothing
    for together, mask, (x, y) in ((found[0], first, (320, 220)), (found[2], second, (40, 40))):
        alone = refined(Bright(), both, mask, x, y)
        assert torch.equal(together.logits, alone.logits)
        assert torch.equal(together.score, alone.score)


def test_an_empty_mask_is_not_refined_and_costs_nothing():
    backbone = Bright()
    rgb, _ = scene(100, 100, 400, 300)
    nothing = Decoded(torch.full((480, 640), -5.0), torch.tensor(0.5))
    assert refined(backbone, rgb, nothing, 200, 200) is nothing
    assert refine_in_crops(backbone, np.zeros((8, 8, 3), np.uint8), [], [], []) == []
    assert backbone.batches == []
