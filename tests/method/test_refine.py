"""The cascade keeps the mask that the decoder trusts most, and puts a box in its prompt only where the recipe says."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from persam.geometry import Frame, decoded_cover
from persam.method.concept import Concept
from persam.method.prototypes import Cells, summarise
from persam.method.recipes import PERSAM, Recipe
from persam.method.refine import Step, agreement, first_decode, mask_logits, one_piece, onto_mask, prompt_of, refine
from persam.sam.decoder import NO_GUIDANCE
from persam.types import Candidates, ImageEmbedding, LocationPrior
from tests.colour import no_portrait

SIDE = 8
EMBEDDING = ImageEmbedding(torch.zeros(3, 2, 2), Frame((SIDE, SIDE), SIDE, 4))
PRIOR = LocationPrior(
    similarity=torch.zeros(2, 2),
    points_xy=torch.tensor([[2.0, 3.0], [7.0, 0.0]]),
    labels=torch.tensor([1.0, 0.0]),
    attention=torch.ones(2, 2),
)
SEMANTIC = torch.ones(3)
PLAIN = Recipe("plain", semantic=True, first_mask="single", choice="predicted_iou", one_piece=False)


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
    _, (first, second) = refine(backbone, EMBEDDING, PRIOR, Step(PART, 0.5, 0), replace(PLAIN, boxes=(False,)))
    assert first.predicted_iou == 0.5
    assert second.best == best
    assert second.predicted_iou == pytest.approx(scores[1 + best])
    assert torch.equal(second.logits, mask)


@pytest.mark.parametrize("boxes", [(), (False,), (True,), (False, True), (True, True)])
def test_the_box_is_in_the_prompt_only_where_the_recipe_says(boxes):
    backbone = Rehearsed(*[answer(0, 0.1, 0.9, 0.2)] * len(boxes))
    _, steps = refine(backbone, EMBEDDING, PRIOR, Step(WHOLE, 0.5, 0), replace(PLAIN, boxes=boxes))
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
    _, steps = refine(backbone, EMBEDDING, PRIOR, Step(NOTHING, 0.5, 0), replace(PLAIN, boxes=boxes))
    assert [step.predicted_iou for step in steps] == [0.5]
    assert backbone.asked == []


def test_a_refinement_that_finds_nothing_ends_the_cascade():
    backbone = Rehearsed(([NOTHING] * 4, [0.9, 0.8, 0.7, 0.6]))
    refine(backbone, EMBEDDING, PRIOR, Step(WHOLE, 0.5, 0), replace(PLAIN, boxes=(False, True)))
    assert len(backbone.asked) == 1


def first(recipe: Recipe, scale_weights=None, *, prior=PRIOR, alone=True) -> tuple[Step, Any]:
    backbone = Rehearsed(answer(0.4, 0.2, 0.6, 0.1))
    nothing = Cells(torch.ones(0, 3), None)
    none = summarise(nothing, nothing)
    concept = Concept("x", recipe, "rehearsed", "0", SEMANTIC, SEMANTIC, none, no_portrait(), scale_weights)
    step = first_decode(backbone, EMBEDDING, prior, concept, alone=alone)
    return step, backbone.asked[0]


def test_the_first_decode_takes_the_single_mask():
    step, (prompt, _) = first(PLAIN)
    assert torch.equal(step.logits, square(0, 0, 7, 7))
    assert step.predicted_iou == pytest.approx(0.4)
    assert prompt.mask_logits is None
    assert prompt.box_xyxy is None


def test_the_first_decode_takes_the_best_of_three():
    step, _ = first(replace(PLAIN, first_mask="best"))
    assert torch.equal(step.logits, PART)
    assert (step.best, step.predicted_iou) == (1, pytest.approx(0.6))


def test_the_first_decode_takes_the_weighted_sum():
    step, _ = first(replace(PLAIN, first_mask="weighted"), torch.tensor([0.5, 0.5, 0.0]))
    # both 5: inside both squares; 5 and -5 cancel where only the whole is
    assert step.logits[3, 3] == 5
    assert step.logits[0, 0] == 0
    assert step.logits[7, 7] == -5
    assert step.predicted_iou == pytest.approx(0.5 * 0.2 + 0.5 * 0.6)


@pytest.mark.parametrize("expected", [3, 1], ids=["the sum", "one of the three"])
def test_with_agreement_the_weighted_sum_is_one_of_four(expected):
    # the posterior is certain of one candidate's very cells: of the sum of WHOLE and PART, or of PART alone
    weights = torch.tensor([0.7, 0.3, 0.0])
    wanted = {3: 0.7 * WHOLE + 0.3 * PART, 1: PART}[expected]
    prior = replace(PRIOR, posterior=decoded_cover(wanted[None], EMBEDDING.frame)[0])
    step, _ = first(replace(PLAIN, first_mask="weighted", choice="agreement"), weights, prior=prior)
    assert step.best == expected
    assert torch.equal(step.logits, wanted)


def test_weighted_without_weights_is_the_best_of_three():
    step, _ = first(replace(PLAIN, first_mask="weighted"), None)
    assert torch.equal(step.logits, PART)


def test_guidance_and_semantic_prompt_enter_the_first_decode_each_where_the_recipe_says():
    _, (_, guidance) = first(PLAIN)
    assert torch.equal(guidance.attention, torch.ones(1, 2, 2))
    assert torch.equal(guidance.semantic, SEMANTIC[None])
    _, (_, guidance) = first(replace(PLAIN, semantic=False))
    assert guidance.semantic is None
    _, (_, guidance) = first(PLAIN, prior=replace(PRIOR, attention=None))
    assert guidance.attention is None
    _, (_, guidance) = first(replace(PLAIN, semantic=False), prior=replace(PRIOR, attention=None))
    assert guidance is NO_GUIDANCE


@pytest.mark.parametrize(("semantic", "asked"), [(True, (True, True)), (False, (False, False))])
def test_the_semantic_prompt_may_be_kept_for_where_every_instance_is_asked_for(semantic, asked):
    for recipe, expected in ((semantic, asked), ("instances", (False, True))):
        for alone, wanted in zip((True, False), expected, strict=True):
            _, (_, guidance) = first(replace(PLAIN, semantic=recipe), alone=alone)
            assert (guidance.semantic is not None) == wanted


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


# ---- ours: one piece, agreement, a point that lies on the object


TWO = torch.maximum(square(0, 0, 2, 1), square(5, 5, 7, 7))


@pytest.mark.parametrize(
    ("point", "kept"),
    [((1.0, 0.0), square(0, 0, 2, 1)), ((6.0, 7.0), square(5, 5, 7, 7)), ((4.0, 4.0), square(5, 5, 7, 7))],
    ids=["in the first", "in the second", "nearer to the second"],
)
def test_of_two_pieces_the_one_at_the_point_is_kept(point, kept):
    piece = one_piece(TWO, torch.tensor(point), EMBEDDING.frame)
    assert torch.equal(piece > 0, kept > 0)
    assert torch.equal(piece[kept > 0], TWO[kept > 0])


@pytest.mark.parametrize("logits", [NOTHING, PART], ids=["nothing", "one piece"])
def test_a_mask_of_one_piece_or_none_stays_as_it_is(logits):
    assert torch.equal(one_piece(logits, torch.tensor([0.0, 0.0]), EMBEDDING.frame), logits)


def test_pieces_that_touch_at_a_corner_are_one():
    diagonal = torch.maximum(square(0, 0, 1, 1), square(2, 2, 3, 3))
    assert torch.equal(one_piece(diagonal, torch.tensor([0.0, 0.0]), EMBEDDING.frame), diagonal)


def test_agreement_is_the_overlap_with_where_the_object_is_expected():
    posterior = torch.tensor([[1.0, 0.0], [0.0, 0.0]])  # cells of 4 x 4: the upper left quarter
    masks = torch.stack([square(0, 0, 3, 3), square(0, 0, 3, 7), square(4, 4, 7, 7), NOTHING])
    assert agreement(masks, posterior, EMBEDDING.frame).tolist() == [1, 0.5, 0, 0]


def test_agreement_outweighs_a_little_predicted_iou():
    recipe = replace(PLAIN, first_mask="best", choice="agreement")
    expected = replace(PRIOR, posterior=torch.ones(2, 2))  # everywhere: only the whole agrees, 7 rows of 8
    step, _ = first(recipe, prior=expected)  # predicted 0.2, 0.6, 0.1
    assert torch.equal(step.logits, WHOLE)
    assert step.predicted_iou == pytest.approx(0.2)  # the score stays what the decoder predicted
    step, _ = first(recipe, prior=PRIOR)  # a prior that does not tell
    assert torch.equal(step.logits, PART)


def test_a_point_beside_a_thin_object_moves_onto_it():
    line = square(0, 6, 7, 6)
    moved = onto_mask(PRIOR, line, EMBEDDING.frame)
    assert moved.points_xy.tolist() == [[2, 6], [7, 0]]
    assert onto_mask(PRIOR, PART, EMBEDDING.frame) is PRIOR  # it lies on this one
    assert onto_mask(PRIOR, NOTHING, EMBEDDING.frame) is PRIOR
    recipe = replace(PLAIN, one_piece=True, boxes=(False,))
    backbone = Rehearsed(answer(0, 0.1, 0.9, 0.2))
    prior, _ = refine(backbone, EMBEDDING, PRIOR, Step(line, 0.5, 0), recipe)
    assert prior.points_xy.tolist() == [[2, 6], [7, 0]]
    assert backbone.asked[0][0].points_xy.tolist() == [[[2, 6], [7, 0]]]


def test_a_mask_that_lies_where_the_object_is_expected_beats_a_surer_one():
    posterior = torch.tensor([[0.0, 0.0], [0.0, 1.0]])  # the lower right quarter
    there, elsewhere = square(4, 4, 7, 7), square(0, 0, 3, 3)
    backbone = Rehearsed(([NOTHING, elsewhere, there, NOTHING], [0.0, 0.9, 0.7, 0.1]))
    prior = replace(PRIOR, points_xy=torch.tensor([[6.0, 6.0]]), labels=torch.ones(1), posterior=posterior)
    _, steps = refine(backbone, EMBEDDING, prior, Step(there, 0.5, 0), replace(PERSAM, boxes=(False,)))
    assert torch.equal(steps[-1].logits, there)
    assert steps[-1].predicted_iou == pytest.approx(0.7)


def test_agreement_is_intersection_over_union_of_cover_and_expectation():
    posterior = torch.tensor([[1.0, 0.5], [0.0, 0.0]])
    masks = torch.stack([square(0, 0, 3, 3), square(0, 0, 7, 3), NOTHING])
    # the first covers cell 0 alone: 1 / 1.5; the second both upper cells: (1 + 0.5) / 2
    torch.testing.assert_close(agreement(masks, posterior, EMBEDDING.frame), torch.tensor([1 / 1.5, 1.5 / 2, 0.0]))


def test_the_piece_at_the_point_stays_and_the_look_alike_goes():
    two = torch.maximum(square(0, 0, 2, 2), square(5, 5, 7, 7))
    kept = one_piece(two, torch.tensor([6.0, 6.0]), EMBEDDING.frame)
    assert torch.equal(kept > 0, square(5, 5, 7, 7) > 0)
    assert (kept[:3, :3] < -1).all()
    near_the_other = one_piece(two, torch.tensor([3.4, 1.0]), EMBEDDING.frame)
    assert torch.equal(near_the_other > 0, square(0, 0, 2, 2) > 0)
    assert torch.equal(one_piece(NOTHING, torch.tensor([1.0, 1.0]), EMBEDDING.frame), NOTHING)


@pytest.mark.parametrize(
    ("point", "moved"), [((2.0, 3.0), (2.0, 3.0)), ((7.0, 3.0), (5.0, 3.0)), ((2.0, 0.0), (2.0, 2.0))]
)
def test_a_point_beside_the_mask_moves_onto_it(point, moved):
    prior = replace(PRIOR, points_xy=torch.tensor([point, (7.0, 0.0)]))
    assert onto_mask(prior, PART, EMBEDDING.frame).points_xy.tolist() == [list(moved), [7, 0]]
    assert onto_mask(prior, NOTHING, EMBEDDING.frame) is prior
