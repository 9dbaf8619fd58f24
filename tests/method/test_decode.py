"""The first mask: the best of the decoder's three, in one component, guided as the situation asks."""

from dataclasses import replace

import pytest
import torch

from persam.geometry import Frame
from persam.method.concept import Concept
from persam.method.decode import at_original, decode_prior
from persam.method.recipes import PERSAM
from persam.types import Decoded, LocationPrior
from tests.method.rehearsed import (
    EMBEDDING,
    NOTHING,
    PART,
    SUBPART,
    WHOLE,
    Rehearsed,
    answer,
    square,
)

SEMANTIC = torch.tensor([1.0, 2.0, 3.0])
CONCEPT = Concept("x", PERSAM, "rehearsed", "0", SEMANTIC / SEMANTIC.norm(), SEMANTIC)
PRIOR = LocationPrior(
    similarity=torch.zeros(2, 2),
    points_xy=torch.tensor([[2.0, 3.0], [7.0, 0.0]]),
    labels=torch.tensor([1.0, 0.0]),
    attention=torch.ones(2, 2),
)


def decoded(backbone: Rehearsed, *, concept=CONCEPT, prior=PRIOR) -> Decoded:
    return decode_prior(backbone, EMBEDDING, prior, concept)


@pytest.mark.parametrize(
    ("scores", "best", "mask"),
    [((0.99, 0.7, 0.2, 0.3), 0.7, WHOLE), ((0.99, 0.1, 0.8, 0.3), 0.8, PART), ((0.99, 0.1, 0.2, 0.3), 0.3, SUBPART)],
)
def test_the_best_of_the_three_is_taken_and_never_the_single_mask(scores, best, mask):
    found = decoded(Rehearsed(answer(*scores)))
    assert torch.equal(found.logits, mask)
    assert float(found.score) == pytest.approx(best)


@pytest.mark.parametrize(
    ("weights", "score"),
    [
        ([0.5, 0.5, 0.0], None),  # its score, 0.4, is the mean of two, and the better of them wins
        ([-0.5, 1.5, 0.0], -0.5 * 0.2 + 1.5 * 0.6),
    ],
)
def test_a_tuned_concepts_weighted_sum_is_one_more_to_choose_from(weights, score):
    tuned = replace(CONCEPT, scale_weights=torch.tensor(weights))
    found = decoded(Rehearsed(answer(0.9, 0.2, 0.6, 0.1)), concept=tuned)
    if score is None:
        assert torch.equal(found.logits, PART)
        assert float(found.score) == pytest.approx(0.6)
    else:
        assert torch.equal(found.logits, -0.5 * WHOLE + 1.5 * PART)
        assert float(found.score) == pytest.approx(score)


def test_it_is_asked_with_the_priors_points_alone():
    backbone = Rehearsed(answer(0, 0.1, 0.2, 0.3))
    decoded(backbone)
    ((prompt, _),) = backbone.asked
    assert prompt.points_xy.tolist() == [[[2, 3], [7, 0]]]
    assert prompt.labels.tolist() == [[1, 0]]
    assert prompt.box_xyxy is None
    assert prompt.mask_logits is None


def test_attention_guides_where_there_is_some_and_the_semantic_prompt_is_not_given():
    backbone = Rehearsed(answer(0, 0.1, 0.2, 0.3))
    decoded(backbone)
    decoded(backbone, prior=replace(PRIOR, attention=None))
    (_, guided), (_, unguided) = backbone.asked
    assert torch.equal(guided.attention, torch.ones(1, 2, 2))
    assert unguided.attention is None
    assert guided.semantic is None
    assert unguided.semantic is None


TWO = torch.maximum(square(0, 0, 2, 1), square(5, 5, 7, 7))


def test_the_chosen_mask_is_reduced_to_the_component_at_the_first_point():
    prior = replace(PRIOR, points_xy=torch.tensor([[6.0, 6.0], [1.0, 1.0]]))
    found = decoded(Rehearsed(answer(0, 0.1, 0.9, 0.2, masks=[NOTHING, WHOLE, TWO, PART])), prior=prior)
    assert torch.equal(found.logits > 0, square(5, 5, 7, 7) > 0)


# ---- to the image's size


def test_logits_reach_the_images_size_without_its_padding():
    logits = torch.full((8, 8), -5.0)
    logits[:4] = 5.0  # the image, 8 x 4, lies in the upper half; below is padding
    brought = at_original(Decoded(logits, torch.tensor(0.7)), Frame((4, 8), 8, 4))
    assert torch.equal(brought.logits, torch.full((4, 8), 5.0))
    assert brought.score == torch.tensor(0.7)
