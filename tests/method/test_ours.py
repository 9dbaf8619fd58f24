"""Ours end to end on a stand-in that knows colours: what is learned, what is proposed, what is kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from persam.errors import ConceptError, NotCalibratedWarning
from persam.geometry import Frame, box_of
from persam.method import calibration as calibration_module
from persam.method import judge, ours
from persam.method.calibration import Calibration
from persam.method.concept import Concept, Reference
from persam.method.find import Find
from persam.method.recipes import PERSAM, Recipe
from persam.types import ImageEmbedding
from tests.colour import BLUE, CALIBRATION, GREY, RED, ColourBackbone, described_box, descriptor_of_box, mask, photo

BLIND = Recipe("blind", verify=False)
ELSEWHERE = (40, 5, 55, 30)


# ---- learning


def reference(*patches: tuple[int, int, float, float]) -> Reference:
    """An image of 4 x 4 patches of a pixel and two channels; the object is those given as row, column, feature."""
    features, shown = torch.full((1, 2, 4, 4), -9.0), np.zeros((4, 4), bool)
    for row, column, first, second in patches:
        features[0, :, row, column] = torch.tensor([first, second])
        shown[row, column] = True
    return Reference(np.zeros((4, 4, 3), np.uint8), ImageEmbedding(features, (Frame((4, 4), 4, 1),), ("0",)), shown)


def learned(*references: Reference) -> Concept:
    (concept,) = ours.learn(
        [("rex", references)], BLIND, backbone=ColourBackbone(), calibration=replace(CALIBRATION, fingerprint="1")
    )
    return concept


def test_the_mean_of_the_objects_patches_at_unit_length_and_as_it_is():
    concept = learned(reference((0, 1, 3, 0), (2, 2, 1, 4)))
    torch.testing.assert_close(concept.semantic, torch.tensor([2.0, 2.0]))
    torch.testing.assert_close(concept.feature, torch.tensor([1.0, 1.0]) / 2**0.5)
    assert (concept.name, concept.recipe, concept.backbone) == ("rex", BLIND, "colour")


def test_the_patches_of_several_references_are_pooled_as_one_images():
    concept = learned(reference((0, 0, 6, 0)), reference((1, 1, 0, 2), (1, 2, 0, 2), (1, 3, 0, 2)))
    torch.testing.assert_close(concept.semantic, torch.tensor([1.5, 1.5]))  # the mean of the two means would be 3, 1
    assert len(concept.references) == 2
    order = concept.prototypes.foreground_share.argsort()
    torch.testing.assert_close(concept.prototypes.foreground[order], torch.eye(2), rtol=0, atol=1e-3)
    assert concept.prototypes.foreground_share[order].tolist() == [0.25, 0.75]


def test_features_that_cancel_give_a_zero_feature_and_not_nan():
    assert learned(reference((0, 0, 1, -2), (3, 3, -1, 2))).feature.tolist() == [0, 0]


def test_what_the_object_touches_a_little_is_neither_object_nor_background():
    features = torch.zeros(1, 3, 2, 2)
    features[0, 0, 0, 0], features[0, 1, 0, 1], features[0, 2, 1] = 1, 1, 1
    shown = np.zeros((32, 32), bool)
    shown[:16, :19] = True  # all of the first patch, three of sixteen columns of the second
    embedding = ImageEmbedding(features, (Frame((32, 32), 32),), ("0",))
    concept = learned(Reference(np.zeros((32, 32, 3), np.uint8), embedding, shown))
    torch.testing.assert_close(concept.prototypes.foreground, torch.tensor([[1.0, 0, 0]]), rtol=0, atol=1e-3)
    torch.testing.assert_close(concept.prototypes.background, torch.tensor([[0.0, 0, 1]]), rtol=0, atol=1e-3)


# ---- finding


@pytest.fixture
def backbone() -> ColourBackbone:
    return ColourBackbone()


def taught(backbone: ColourBackbone, *, colour=RED, name="red", recipe=PERSAM, calibration=CALIBRATION) -> Concept:
    rgb = photo(colour=colour)
    (concept,) = ours.learn(
        [(name, [Reference(rgb, backbone.encode([rgb]), mask())])], recipe, backbone=backbone, calibration=calibration
    )
    return concept


def segmented(backbone, rgb, *concepts, max_instances=1, threshold=0.5, calibration=CALIBRATION) -> list[Find]:
    return ours.segment(
        backbone,
        calibration,
        rgb,
        backbone.encode([rgb]),
        concepts,
        max_instances=max_instances,
        threshold=threshold,
    )


SQUARES = [(4, 4, 23, 23), (40, 6, 53, 19), (20, 40, 31, 51)]


def squares(count: int = 3) -> np.ndarray:
    scene = np.full((64, 64, 3), GREY, np.uint8)
    for place in SQUARES[:count]:
        scene[mask(at_xyxy=place)] = RED
    return scene


def boxes(finds: list[Find]) -> list[tuple[int, ...] | None]:
    return [find.segmentation(1).box_xyxy for find in finds]


def test_one_find_a_concept_in_the_order_asked(backbone):
    red, blue = taught(backbone), taught(backbone, colour=BLUE, name="blue")
    scene = photo(at_xyxy=ELSEWHERE)
    scene[40:54, 6:20] = BLUE
    for order in ([red, blue], [blue, red]):
        finds = segmented(backbone, scene, *order)
        assert [find.concept for find in finds] == order
        assert all(find.present for find in finds)
        found = {find.concept.name: find.segmentation(1).box_xyxy for find in finds}
        assert found == {"red": ELSEWHERE, "blue": (6, 40, 19, 53)}


def test_what_is_not_there_keeps_its_best_guess(backbone):
    (find,) = segmented(backbone, photo(colour=BLUE), taught(backbone), max_instances=3)
    assert not find.present
    assert find.presence < 0.2
    assert find.inside.any()


def judging(monkeypatch, *evidence: float) -> list[float]:
    """Verification finds this evidence, in turn; what has not been asked for yet."""
    left = list(evidence)
    monkeypatch.setattr(judge, "identity_similarity", lambda known, found, choice: left.pop(0))
    return left


@pytest.mark.parametrize(
    ("most", "evidence", "kept"),
    [
        (1, {0: 0.9}, [0]),
        (3, {0: 0.9, 1: 0.8, 2: 0.85}, [0, 2, 1]),  # the most similar first
        (2, {0: 0.9, 1: 0.1, 2: 0.9}, [0, 2]),  # the refused one is left out
        (3, {0: 0.9, 1: 0.9, 2: 0.1}, [0, 1]),
        (2, {0: 0.1, 1: 0.9, 2: 0.1}, [1]),
        (2, {0: 0.6, 1: 0.9, 2: 0.8}, [0, 1]),  # what is found alone comes first
    ],
)
def test_the_refused_are_left_out_and_the_most_similar_come_first(backbone, monkeypatch, most, evidence, kept):
    order, red = [(4, 4, 9, 9), (40, 6, 45, 11), (20, 40, 25, 45)], taught(backbone)
    scene = np.full((64, 64, 3), GREY, np.uint8)
    for place in order:
        scene[mask(at_xyxy=place)] = RED
    found = {order[number]: value for number, value in evidence.items()}
    monkeypatch.setattr(judge, "descriptor_of", lambda crop, mask, calibration: descriptor_of_box(box_of(mask)))
    # parts of a square are less similar than it
    monkeypatch.setattr(judge, "identity_similarity", lambda known, seen, choice: found.get(described_box(seen), 0.05))
    assert boxes(segmented(backbone, scene, red, max_instances=most)) == [order[number] for number in kept]


def test_where_all_are_refused_the_first_is_the_best_guess(backbone, monkeypatch):
    red = taught(backbone)
    alone = boxes(segmented(backbone, squares(), red))
    left = judging(monkeypatch, 0.1, *(20 * [0.2]))
    (find,) = segmented(backbone, squares(), red, max_instances=3)
    assert len(left) < 20  # others were looked at
    assert not find.present
    assert boxes([find]) == alone
    assert find.presence == pytest.approx(CALIBRATION.presence(0.1))


def test_no_more_than_there_are_and_no_more_than_asked_for(backbone):
    red = taught(backbone)
    assert set(boxes(segmented(backbone, squares(), red, max_instances=10))) == set(SQUARES)
    assert len(segmented(backbone, squares(), red, max_instances=2)) == 2
    assert boxes(segmented(backbone, squares(1), red, max_instances=10)) == SQUARES[:1]


def test_what_is_found_alone_is_the_first_of_many_to_the_bit(backbone):
    red = taught(backbone)
    (alone,) = segmented(backbone, squares(), red)
    first = segmented(backbone, squares(), red, max_instances=10)[0]
    assert torch.equal(first.mask.logits, alone.mask.logits)
    assert torch.equal(first.prior.points_xy, alone.prior.points_xy)
    assert (first.presence, first.mask.score) == (alone.presence, alone.mask.score)


def test_presence_is_held_against_the_threshold(backbone, monkeypatch):
    red = taught(backbone)
    presence = CALIBRATION.presence(0.85)
    for threshold in (presence, presence + 1e-6):
        judging(monkeypatch, 0.85)
        (find,) = segmented(backbone, photo(), red, threshold=threshold)
        assert find.presence == presence
        assert find.present is (threshold == presence)


def test_a_concept_learned_before_the_calibration_is_to_be_learned_again(backbone):
    with pytest.raises(ConceptError, match=r"'red' was learned before colour was calibrated.*Learn it again"):
        segmented(backbone, photo(), replace(taught(backbone), identity=None))


def test_a_concept_that_is_not_to_be_verified_is_not_though_it_could_be(backbone):
    (find,) = segmented(backbone, photo(colour=BLUE), replace(taught(backbone), recipe=BLIND))
    assert (find.presence, find.present) == (None, True)


def test_a_concept_from_a_file_warns_too_where_there_is_no_calibration(backbone, monkeypatch):
    monkeypatch.setattr(calibration_module, "_TOLD", set())
    red, bare = taught(backbone), Calibration(CALIBRATION.fingerprint)
    with pytest.warns(NotCalibratedWarning, match="eval calibrate --model colour --data DIR"):
        (find,) = segmented(backbone, photo(), red, calibration=bare)
    assert (find.presence, find.present) == (None, True)
    monkeypatch.setattr(calibration_module, "_TOLD", set())
    segmented(backbone, photo(), replace(red, recipe=BLIND), calibration=bare)  # wants no presence: no warning


# ---- tuning


@pytest.mark.usefixtures("quick_fit")
@pytest.mark.parametrize("recipe", [PERSAM, Recipe("mine", crop_refine=False), BLIND], ids=lambda recipe: recipe.name)
def test_tuning_fits_two_weights_and_keeps_every_other_choice(backbone, recipe):
    red = taught(backbone, recipe=recipe)
    tuned = ours.tune(red, backbone, CALIBRATION)
    assert tuned.recipe == replace(recipe, tune=True)
    assert replace(tuned, recipe=recipe, scale_weights=None) == red
    assert tuned.references is red.references
    assert tuned.scale_weights.sum() == pytest.approx(1, abs=1e-5)
    assert tuned.scale_weights.argmax() == 0  # the whole: the part is its left half


@pytest.mark.usefixtures("quick_fit")
def test_a_recipe_that_tunes_is_learning_and_tuning(backbone):
    tuning = Recipe("mine", tune=True, crop_refine=False)
    once = taught(backbone, recipe=tuning)
    assert once == ours.tune(taught(backbone, recipe=replace(tuning, tune=False)), backbone, CALIBRATION)
