"""Instances: every mask at every peak is proposed once, and of those that share pixels the most similar one stands."""

import pytest
import torch

from persam.geometry import Frame
from persam.method.calibration import Calibration
from persam.method.concept import Concept
from persam.method.find import Find
from persam.method.instances import choose, outside, peaks, propose
from persam.method.prototypes import Prototypes
from persam.method.recipes import PERSAM
from persam.sam.decoder import NO_GUIDANCE
from persam.types import Candidates, Decoded, ImageEmbedding, LocationPrior
from tests.method.rehearsed import Rehearsed, square

PRIOR = LocationPrior(torch.zeros(2, 2), torch.tensor([[0.0, 0.0], [7.0, 7.0]]), torch.tensor([1.0, 0.0]))
OBJECT, GROUND = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
PROTOTYPES = Prototypes(OBJECT[None], torch.zeros(1, 3), torch.ones(1), GROUND[None], torch.zeros(1, 3), torch.ones(1))
CONCEPT = Concept("cup", PERSAM, "none", "0", OBJECT, OBJECT, PROTOTYPES)
# four that touch, in the plane of 8 x 8: each two columns wide
ONES = [square(2 * n, 0, 2 * n + 1, 7) for n in range(4)]
PAIR, ROW, HALF = square(0, 0, 3, 7), square(0, 0, 7, 7), square(2, 0, 3, 3)


def find(logits: torch.Tensor, evidence: float | None, *, present: bool = True, score: float = 0.5) -> Find:
    return Find(CONCEPT, PRIOR, Decoded(logits, torch.tensor(score)), present=present, evidence=evidence)


# ---- which of them are instances


def test_of_masks_that_share_pixels_the_most_similar_stands_and_the_most_similar_comes_first():
    alone = find(ONES[0], 0.5)
    second, third = find(ONES[1], 0.4), find(ONES[2], 0.45)
    offered = [find(PAIR, 0.3), find(HALF, 0.2), second, find(ROW, 0.2), third, find(ONES[0], 0.48)]
    assert choose(alone, offered) == [alone, third, second]


def test_what_is_found_alone_stands_and_comes_first_though_another_is_more_similar():
    alone, other = find(ONES[0], 0.4), find(ONES[1], 0.5)
    assert choose(alone, [other, find(PAIR, 0.6), find(ONES[0], 0.5)]) == [alone, other]


def test_a_row_that_is_found_alone_gives_way_to_what_it_is_a_row_of():
    ones = [find(one, 0.4 - n / 100) for n, one in enumerate(ONES)]
    assert choose(find(ROW, 0.2), ones) == ones
    assert choose(find(ROW, 0.5), ones)[0].evidence == 0.5  # its parts are less similar than it is: it is one thing


def test_one_part_that_is_more_similar_does_not_take_the_place_of_the_whole():
    whole = find(PAIR, 0.3)
    assert choose(whole, [find(HALF, 0.4), find(ONES[3], 0.35)])[0] is whole


def test_what_is_far_less_similar_than_the_best_is_something_else():
    alone, like, unlike = find(ONES[0], 0.5), find(ONES[1], 0.2), find(ONES[2], 0.1)
    assert choose(alone, [like, unlike]) == [alone, like]


def test_what_is_not_present_does_not_count():
    refused = find(ROW, 0.01, present=False)
    assert choose(refused, [find(ONES[0], 0.02, present=False)]) == []
    one = find(ONES[0], 0.3)
    assert choose(refused, [one, find(ONES[1], 0.2, present=False)]) == [one]


def test_where_nothing_is_judged_the_predicted_iou_tells_which_is_better():
    alone, sure, unsure = find(ONES[0], None, score=0.8), find(PAIR, None, score=0.9), find(ONES[2], None, score=0.7)
    other = find(HALF, None, score=0.6)
    assert choose(alone, [other, sure, unsure]) == [alone, unsure, other]


# ---- what is proposed


def scene(*places: tuple[int, int]) -> ImageEmbedding:
    """Ground, and the object in a patch of 16 pixels at each row and column."""
    features = GROUND[:, None, None].repeat(1, 16, 16)
    for row, column in places:
        features[:, row, column] = OBJECT
    return ImageEmbedding(features[None], (Frame((256, 256), 256),), ("0",))


def test_every_patch_that_is_likelier_than_those_around_it_is_a_peak():
    priors = peaks(scene((2, 3), (2, 6), (12, 9)), CONCEPT, Calibration("0"))
    places = {tuple(prior.points_xy[0].tolist()) for prior in priors}
    assert places == {(55.5, 39.5), (103.5, 39.5), (151.5, 199.5)}
    assert all(prior.labels.tolist() == [1, 0] for prior in priors)
    assert peaks(scene(), CONCEPT, Calibration("0")) == []


class Offers(Rehearsed):
    """Answers every point with a mask of its own patch as whole, and the left half of the image as part and subpart."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[int] = []

    def decode(self, embedding, prompt, guidance=NO_GUIDANCE) -> Candidates:
        self.rows.append(len(prompt))
        logits = torch.full((len(prompt), 4, 64, 64), -4.0)
        logits[:, 2:, :, :32] = 4.0
        for row, (x, y) in enumerate((prompt.points_xy[:, 0] / 16).int().tolist()):
            logits[row, 1, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4] = 4.0
        return Candidates(logits, torch.tensor([[0.1, 0.9, 0.5, 0.6]]).repeat(len(prompt), 1))


def test_peaks_of_an_area_that_is_alike_throughout_are_three_patches_apart():
    everywhere = scene(*((row, column) for row in range(16) for column in range(16)))
    priors = peaks(everywhere, CONCEPT, Calibration("0"))
    places = {tuple(prior.points_xy[0].tolist()) for prior in priors}
    assert places == {(x + 7.5, y + 7.5) for x in range(0, 256, 48) for y in range(0, 256, 48)}


def test_all_peaks_are_decoded_as_one_batch_and_a_mask_that_two_of_them_offer_is_proposed_once():
    backbone = Offers()
    image = scene((2, 3), (2, 6), (12, 9))
    finds = propose(backbone, image, CONCEPT, peaks(image, CONCEPT, Calibration("0")))
    assert backbone.rows == [3]
    areas = sorted(int(one.inside.sum()) for one in finds)
    assert len(areas) == 4
    assert areas[:3] == pytest.approx([256, 256, 256], abs=80)  # a patch of 16 x 16, its edge blurred
    assert areas[3] == pytest.approx(128 * 256, rel=0.02)
    assert all(one.mask.logits.shape == (256, 256) for one in finds)


def test_what_lies_in_a_find_is_not_looked_at_again():
    corner, middle = (
        LocationPrior(torch.zeros(2, 2), torch.tensor([[x, y], [0.0, 0.0]]), torch.tensor([1.0, 0.0]))
        for x, y in ((0.0, 7.0), (4.4, 3.0))
    )
    assert outside([corner, middle], [find(ONES[0], 0.5)]) == [middle]
    assert outside([corner, middle], [find(ONES[0], 0.5), find(ONES[2], 0.5)]) == []
    assert outside([corner, middle], []) == [corner, middle]
