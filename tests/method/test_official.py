"""The published cascade, step by step with answers that can be seen; test_golden.py holds its numbers."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from persam.errors import ConceptError
from persam.geometry import Frame
from persam.method import official
from persam.method.concept import Concept, Reference
from persam.method.location import confidence_map
from persam.method.recipes import OFFICIAL_PERSAM, OFFICIAL_PERSAM_F, OfficialRecipe
from persam.sam.decoder import NO_GUIDANCE
from persam.types import ImageEmbedding, LocationPrior
from tests.method.rehearsed import (
    EMBEDDING,
    EVERYTHING,
    NOTHING,
    PART,
    SUBPART,
    WHOLE,
    Rehearsed,
    answer,
)

OBJECT, GROUND = torch.eye(8)[0], torch.eye(8)[1]
SEMANTIC = torch.ones(3)
WEIGHTS = torch.tensor([0.5, 0.5, 0.0])


def concept(recipe: OfficialRecipe, feature: torch.Tensor = SEMANTIC) -> Concept:
    weights = WEIGHTS if recipe.tune else None
    return Concept("x", recipe, "rehearsed", "0", feature / feature.norm(), feature, scale_weights=weights)


# ---- learning


def reference(*patches: tuple[int, int, float, float]) -> Reference:
    """An image of 4 x 4 patches of two channels; the object is the patches given as row, column, feature."""
    features, mask = torch.full((1, 2, 4, 4), -9.0), np.zeros((64, 64), bool)
    for row, column, first, second in patches:
        features[0, :, row, column] = torch.tensor([first, second])
        mask[16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = True
    embedding = ImageEmbedding(features, (Frame((64, 64), 64),), ("an image",))
    return Reference(np.zeros((64, 64, 3), np.uint8), embedding, mask)


def learned(*references: Reference, recipe: OfficialRecipe = OFFICIAL_PERSAM) -> Concept:
    return official.learn(references, recipe, name="rex", backbone=Rehearsed(answer(0, 0.1, 0.2, 0.3)))


def test_the_mean_of_the_objects_patches_at_unit_length_and_as_it_is():
    found = learned(reference((0, 1, 3, 0), (2, 2, 1, 4)))
    torch.testing.assert_close(found.semantic, torch.tensor([2.0, 2.0]))
    torch.testing.assert_close(found.feature, torch.tensor([1.0, 1.0]) / 2**0.5)
    assert (found.name, found.recipe, found.backbone, found.fingerprint) == ("rex", OFFICIAL_PERSAM, "rehearsed", "0")
    assert (found.prototypes, found.identity, found.scale_weights) == (None, None, None)


@pytest.mark.usefixtures("quick_fit")
def test_persam_f_takes_half_the_mean_and_half_the_maximum():
    # ledger 5
    found = learned(reference((0, 1, 3, 0), (2, 2, 1, 4)), recipe=OFFICIAL_PERSAM_F)
    torch.testing.assert_close(found.feature, torch.tensor([2.5, 3.0]) / (2.5**2 + 3**2) ** 0.5)
    torch.testing.assert_close(found.semantic, torch.tensor([2.0, 2.0]))
    assert found.scale_weights.sum() == pytest.approx(1, abs=1e-5)


def test_the_patches_of_several_references_are_pooled_as_one_images():
    found = learned(reference((0, 0, 6, 0)), reference((1, 1, 0, 2), (1, 2, 0, 2), (1, 3, 0, 2)))
    torch.testing.assert_close(found.semantic, torch.tensor([1.5, 1.5]))  # the mean of the two means would be 3, 1
    assert len(found.references) == 2


def test_features_that_cancel_give_a_zero_feature_and_not_nan():
    assert learned(reference((0, 0, 1, -2), (3, 3, -1, 2))).feature.tolist() == [0, 0]


def test_a_thin_object_covers_no_patch_and_is_an_error():
    # ledger 4: the published code goes on with NaN
    mask = np.zeros((512, 512), bool)
    mask[100, 50:60] = True
    embedding = ImageEmbedding(torch.ones(1, 2, 32, 32), (Frame((512, 512), 512),), ("an image",))
    with pytest.raises(ConceptError, match=r"object of 10 pixels covers no patch by the published rule.*'persam'"):
        learned(Reference(np.zeros((512, 512, 3), np.uint8), embedding, mask))


# ---- location


def scene(hw: tuple[int, int], row: int, column: int) -> ImageEmbedding:
    """Ground everywhere, the object in one patch, and in the padding something that looks just like the object."""
    frame = Frame(hw, 512)
    features = GROUND[:, None, None].repeat(1, 32, 32)
    rows, columns = frame.valid_hw
    features[:, rows:] = OBJECT[:, None, None]
    features[:, :, columns:] = OBJECT[:, None, None]
    features[:, row, column] = OBJECT
    return ImageEmbedding(features[None], (frame,), ("0",))


@pytest.mark.parametrize("place", [(3, 4), (10, 20), (0, 0), (16, 31)])
def test_the_peak_pixel_follows_the_object_and_ignores_the_padding(place):
    prior = official.locate(concept(OFFICIAL_PERSAM, OBJECT), scene((288, 512), *place))
    x, y = prior.points_xy[0].tolist()
    assert (int(y) // 16, int(x) // 16) == place
    assert prior.labels.tolist() == [1, 0]
    assert prior.similarity.shape == (18, 32)


def test_a_patch_more_similar_than_the_object_is_taken_for_it():
    embedding = scene((512, 512), 8, 8)
    features = embedding.features.clone()
    features[0, :, 8, 8] = OBJECT + GROUND
    features[0, :, 20:24, 20:24] = (OBJECT * 3 + torch.eye(8)[2])[:, None, None]
    prior = official.locate(concept(OFFICIAL_PERSAM, OBJECT), replace(embedding, features=features))
    assert ((prior.points_xy[0] >= 20 * 16) & (prior.points_xy[0] < 24 * 16)).all()


@pytest.mark.parametrize("levels", [2, 9, 10**6])
@pytest.mark.parametrize("lowest", [False, True])
def test_among_equal_values_the_published_choice_is_the_peak(levels, lowest):
    full = torch.randint(levels, (40, 60), generator=torch.Generator().manual_seed(levels)).float()
    [place] = (-full if lowest else full).flatten().topk(1).indices.tolist()
    assert official.peaks(full, lowest=lowest).tolist() == [[place % 60, place // 60]]


def test_persam_f_gives_one_positive_point_and_no_guidance():
    prior = official.locate(concept(OFFICIAL_PERSAM_F, OBJECT), scene((512, 512), 8, 8))
    assert prior.labels.tolist() == [1]
    assert prior.attention is None


def test_guidance_is_misplaced_on_a_wide_image():
    # ledger 3: at 1024 x 576 a peak in row 26 of 64 lands in row 47; here row 10 of 32 lands near row 10 * 32 / 18
    attention = official.locate(concept(OFFICIAL_PERSAM, OBJECT), scene((576, 1024), 10, 20)).attention
    row, _ = divmod(int(attention.argmax()), 32)
    assert abs(row - 18) <= 1


@pytest.mark.parametrize("hw", [(1, 1), (10, 2000), (2000, 10)])
def test_a_flat_map_guides_nowhere_without_nan(hw):
    embedding = ImageEmbedding(GROUND[None, :, None, None].repeat(1, 1, 32, 32), (Frame(hw, 512),), ("0",))
    prior = official.locate(concept(OFFICIAL_PERSAM, OBJECT), embedding)
    assert torch.isfinite(prior.attention).all()
    assert torch.isfinite(prior.points_xy).all()
    assert confidence_map(OBJECT, embedding).abs().max() == 0


# ---- the cascade


PRIOR = LocationPrior(
    similarity=torch.zeros(2, 2),
    points_xy=torch.tensor([[2.0, 3.0], [7.0, 0.0]]),
    labels=torch.tensor([1.0, 0.0]),
    attention=torch.ones(2, 2),
)
BOXES = {"official_persam": [None, None, (1, 2, 5, 4)], "official_persam_f": [None, (0, 0, 7, 6), (1, 2, 5, 4)]}


def cascade(recipe: OfficialRecipe, *answers, prior: LocationPrior = PRIOR):
    backbone = Rehearsed(*answers)
    return official.cascade(backbone, EMBEDDING, prior, concept(recipe)), backbone.asked


def test_persam_takes_the_single_mask_first_with_attention_and_semantic_prompt():
    (first, *_), ((prompt, guidance), *_) = cascade(OFFICIAL_PERSAM, answer(0.4, 0.2, 0.6, 0.1))
    assert torch.equal(first.logits, EVERYTHING)
    assert first.score == pytest.approx(0.4)
    assert (prompt.points_xy.tolist(), prompt.labels.tolist()) == ([[[2, 3], [7, 0]]], [[1, 0]])
    assert (prompt.mask_logits, prompt.box_xyxy) == (None, None)
    assert torch.equal(guidance.attention, torch.ones(1, 2, 2))
    assert torch.equal(guidance.semantic, SEMANTIC[None])


def test_persam_f_takes_the_weighted_sum_first_without_guidance():
    (first, *_), ((_, guidance), *_) = cascade(OFFICIAL_PERSAM_F, answer(0.4, 0.2, 0.6, 0.1))
    # both 5: inside both squares; 5 and -5 cancel where only the whole is
    assert (first.logits[3, 3], first.logits[0, 0], first.logits[7, 7]) == (5, 0, -5)
    assert first.score == pytest.approx(0.5 * 0.2 + 0.5 * 0.6)
    assert guidance is NO_GUIDANCE


@pytest.mark.parametrize("recipe", [OFFICIAL_PERSAM, OFFICIAL_PERSAM_F], ids=lambda recipe: recipe.name)
def test_refinements_are_prompted_with_points_the_mask_before_and_by_the_second_its_box(recipe):
    whole = [WHOLE, WHOLE, WHOLE, WHOLE]
    steps, asked = cascade(recipe, answer(0.9, 0.9, 0.9, 0.9, masks=whole), answer(0, 0.1, 0.9, 0.2))
    assert [step.box_xyxy for step in steps] == BOXES[recipe.name]
    for before, box, (prompt, guidance) in zip((WHOLE, PART), BOXES[recipe.name][1:], asked[1:], strict=True):
        assert (None if prompt.box_xyxy is None else prompt.box_xyxy.tolist()) == (box and [list(box)])
        assert torch.equal(prompt.mask_logits, before[None, None])
        assert (prompt.points_xy.tolist(), prompt.labels.tolist()) == ([[[2, 3], [7, 0]]], [[1, 0]])
        assert guidance is NO_GUIDANCE  # neither guidance nor semantic prompt in the refinements


@pytest.mark.parametrize(
    ("scores", "best", "mask"),
    [((0.99, 0.7, 0.2, 0.3), 0, WHOLE), ((0.99, 0.1, 0.8, 0.3), 1, PART), ((0.99, 0.1, 0.2, 0.3), 2, SUBPART)],
)
def test_a_refinement_keeps_the_best_of_the_three_and_never_the_single_mask(scores, best, mask):
    steps, _ = cascade(OFFICIAL_PERSAM, answer(*scores))
    for step in steps[1:]:
        assert step.best == best
        assert step.score == pytest.approx(scores[1 + best])
        assert torch.equal(step.logits, mask)


def test_an_empty_first_mask_ends_persam_f_before_the_box():
    # ledger 10: the published code crashes here
    steps, asked = cascade(OFFICIAL_PERSAM_F, answer(0.9, 0.8, 0.7, 0.6, masks=[NOTHING] * 4))
    assert len(steps) == len(asked) == 1


def test_a_refinement_that_finds_nothing_is_not_taken():
    steps, asked = cascade(OFFICIAL_PERSAM, answer(0.4, 0.2, 0.6, 0.1), answer(0.9, 0.8, 0.7, 0.6, masks=[NOTHING] * 4))
    assert len(asked) == 2
    (only,) = steps
    assert torch.equal(only.logits, EVERYTHING)


# ---- a find


def test_a_find_is_the_last_step_and_its_presence_is_not_judged():
    backbone = Rehearsed(answer(0, 0.1, 0.9, 0.2))
    find = official.segment(backbone, EMBEDDING, concept(OFFICIAL_PERSAM))
    assert torch.equal(find.mask.logits, PART)
    assert find.mask.score == pytest.approx(0.9)
    assert (find.presence, find.present) == (None, True)


def test_nothing_found_is_not_present():
    find = official.segment(Rehearsed(answer(0, 0, 0, 0, masks=[NOTHING] * 4)), EMBEDDING, concept(OFFICIAL_PERSAM))
    assert (find.presence, find.present) == (None, False)
