"""The cascade keeps the mask that the decoder trusts most, and puts a box in its prompt only where the recipe says."""

from dataclasses import replace

import pytest
import torch

from persam.decoder import NO_GUIDANCE
from persam.geometry import Frame
from persam.recipes import PERSAM
from persam.refine import Step, first_decode, mask_logits, prompt_of, refine
from persam.types import Candidates, ImageEmbedding, LocationPrior

SIDE = 8
EMBEDDING = ImageEmbedding(torch.zeros(3, 2, 2), Frame((SIDE, SIDE), SIDE, 4))
PRIOR = LocationPrior(
    similarity=torch.zeros(2, 2),
    points_xy=torch.tensor([[2.0, 3.0], [7.0, 0.0]]),
    labels=torch.tensor([1.0, 0.0]),
    attention=torch.ones(2, 2),
)
SEMANTIC = torch.ones(3)


def square(x0: int, y0: int, x1: int, y1: int) -> torch.Tensor:
    """Logits of 5 from corner to corner, corners included, and -5 elsewhere."""
    logits = torch.full((SIDE, SIDE), -5.0)
    logits[y0 : y1 + 1, x0 : x1 + 1] = 5.0
    return logits


NOTHING = torch.full((SIDE, SIDE), -5.0)
WHOLE, PART, SUBPART = square(0, 0, 7, 6), square(1, 2, 5, 4), square(2, 3, 2, 3)


class Rehearsed:
    """A backbone that gives the answers it was told, and remembers what it was asked."""

    name, fingerprint, device = "rehearsed", "0", torch.device("cpu")

    def __init__(self, *answers: tuple[list[torch.Tensor], list[float]]):
        self.answers, self.asked = list(answers), []

    def encode(self, rgb):
        raise AssertionError("the photo is encoded already")

    def decode(self, embedding, prompt, guidance=NO_GUIDANCE):
        self.asked.append((prompt, guidance))
        masks, scores = self.answers.pop(0)
        return Candidates(torch.stack(masks)[None], torch.tensor([scores]))


def answer(*scores: float) -> tuple[list[torch.Tensor], list[float]]:
    return [square(0, 0, 7, 7), WHOLE, PART, SUBPART], list(scores)


@pytest.mark.parametrize(
    ("scores", "best", "mask"),
    [((0.99, 0.7, 0.2, 0.3), 0, WHOLE), ((0.99, 0.1, 0.8, 0.3), 1, PART), ((0.99, 0.1, 0.2, 0.3), 2, SUBPART)],
)
def test_a_refinement_keeps_the_best_of_the_three_and_never_the_single_mask(scores, best, mask):
    backbone = Rehearsed(answer(*scores))
    first, second = refine(backbone, EMBEDDING, PRIOR, Step(PART, 0.5, 0), replace(PERSAM, boxes=(False,)))
    assert first.predicted_iou == 0.5
    assert second.best == best
    assert second.predicted_iou == pytest.approx(scores[1 + best])
    assert torch.equal(second.logits, mask)


@pytest.mark.parametrize("boxes", [(), (False,), (True,), (False, True), (True, True)])
def test_the_box_is_in_the_prompt_only_where_the_recipe_says(boxes):
    backbone = Rehearsed(*[answer(0, 0.1, 0.9, 0.2)] * len(boxes))
    steps = refine(backbone, EMBEDDING, PRIOR, Step(WHOLE, 0.5, 0), replace(PERSAM, boxes=boxes))
    assert len(steps) == 1 + len(boxes)
    masks = [WHOLE, PART, PART]
    around = [(0, 0, 7, 6), (1, 2, 5, 4)]  # of the mask before, corners included
    for number, (with_box, (prompt, guidance)) in enumerate(zip(boxes, backbone.asked, strict=True)):
        box = around[number] if with_box else None
        assert steps[1 + number].box_xyxy == box
        assert (None if prompt.box_xyxy is None else prompt.box_xyxy.tolist()) == (box and [list(box)])
        assert torch.equal(prompt.mask_logits, masks[number][None, None])
        assert prompt.points_xy.tolist() == [[[2, 3], [7, 0]]]
        assert prompt.labels.tolist() == [[1, 0]]
        assert guidance is NO_GUIDANCE  # neither guidance nor semantic prompt in the refinements


@pytest.mark.parametrize("boxes", [(True,), (True, True)])
def test_an_empty_mask_ends_the_cascade_before_a_box(boxes):
    # ledger 10: the published code crashes here
    backbone = Rehearsed()
    steps = refine(backbone, EMBEDDING, PRIOR, Step(NOTHING, 0.5, 0), replace(PERSAM, boxes=boxes))
    assert [step.predicted_iou for step in steps] == [0.5]
    assert backbone.asked == []


def test_a_refinement_that_finds_nothing_ends_the_cascade():
    backbone = Rehearsed(([NOTHING] * 4, [0.9, 0.8, 0.7, 0.6]))
    refine(backbone, EMBEDDING, PRIOR, Step(WHOLE, 0.5, 0), replace(PERSAM, boxes=(False, True)))
    assert len(backbone.asked) == 1


def first(recipe, scale_weights=None, *, prior=PRIOR):
    backbone = Rehearsed(answer(0.4, 0.2, 0.6, 0.1))
    step = first_decode(backbone, EMBEDDING, prior, SEMANTIC, scale_weights, recipe)
    return step, backbone.asked[0]


def test_the_first_decode_takes_the_single_mask():
    step, (prompt, _) = first(PERSAM)
    assert torch.equal(step.logits, square(0, 0, 7, 7))
    assert step.predicted_iou == pytest.approx(0.4)
    assert prompt.mask_logits is None
    assert prompt.box_xyxy is None


def test_the_first_decode_takes_the_best_of_three():
    step, _ = first(replace(PERSAM, first_mask="best"))
    assert torch.equal(step.logits, PART)
    assert (step.best, step.predicted_iou) == (1, pytest.approx(0.6))


def test_the_first_decode_takes_the_weighted_sum():
    step, _ = first(replace(PERSAM, first_mask="weighted"), torch.tensor([0.5, 0.5, 0.0]))
    # both 5: inside both squares; 5 and -5 cancel where only the whole is
    assert step.logits[3, 3] == 5
    assert step.logits[0, 0] == 0
    assert step.logits[7, 7] == -5
    assert step.predicted_iou == pytest.approx(0.5 * 0.2 + 0.5 * 0.6)


def test_weighted_without_weights_is_the_best_of_three():
    step, _ = first(replace(PERSAM, first_mask="weighted"), None)
    assert torch.equal(step.logits, PART)


def test_guidance_and_semantic_prompt_enter_the_first_decode_each_where_the_recipe_says():
    _, (_, guidance) = first(PERSAM)
    assert torch.equal(guidance.attention, torch.ones(1, 2, 2))
    assert torch.equal(guidance.semantic, SEMANTIC[None])
    _, (_, guidance) = first(replace(PERSAM, semantic=False))
    assert guidance.semantic is None
    _, (_, guidance) = first(PERSAM, prior=replace(PRIOR, attention=None))
    assert guidance.attention is None
    _, (_, guidance) = first(replace(PERSAM, semantic=False), prior=replace(PRIOR, attention=None))
    assert guidance is NO_GUIDANCE


def test_the_priors_points_are_one_prompt():
    prompt = prompt_of(PRIOR)
    assert len(prompt) == 1
    assert prompt.points_xy.shape == (1, 2, 2)


def test_logits_reach_the_photos_size_without_its_padding():
    logits = torch.full((8, 8), -5.0)
    logits[:4] = 5.0  # the photo, 8 x 4, lies in the upper half; below is padding
    brought = mask_logits(logits, Frame((4, 8), 8, 4))
    assert brought.shape == (4, 8)
    assert (brought > 0).all()
