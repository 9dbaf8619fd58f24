"""What an image costs: one encoding, and a batch of crops in which finds are seen closer, however many there are."""

from typing import Any

import pytest
import torch

from persam.errors import NotCalibratedWarning
from persam.method import calibration
from persam.method.object_crop import AT_ONCE
from persam.method.recipes import PERSAM, Recipe
from persam.model import PerSAM
from tests.colour import BLUE, CALIBRATION, GREEN, GREY, RED, VIEWS, ColourBackbone, colour_model, mask, photo
from tests.test_instances import SQUARES, colourful, squares

COARSE = Recipe("coarse", crop_refine=False)
BLIND = Recipe("blind", verify=False)
BARE = Recipe("bare", crop_refine=False, verify=False)
OFFICIAL = ["official_persam", "official_persam_f"]


def batches_of(model: Any, concepts, scene, **how) -> list[int]:
    """How many images each encoding has that one image takes."""
    model.backbone.batches.clear()
    list(model.segment(scene, concepts, **how))
    return model.backbone.batches


@pytest.mark.parametrize(
    ("recipe", "batches"),
    [(PERSAM, [1, 1]), (COARSE, [1, 1]), (BLIND, [1, 1]), (BARE, [1])] + [(name, [1]) for name in OFFICIAL],
    ids=str,
)
@pytest.mark.usefixtures("quick_fit")
def test_one_find_costs_an_encoding_and_one_of_a_crop_where_the_recipe_looks_closer(recipe, batches):
    model = colour_model(recipe=recipe)
    red = model.learn(photo(), mask())
    assert batches_of(model, red, photo()) == batches
    assert batches_of(model, red, [photo(), photo(), photo()]) == 3 * batches


@pytest.mark.parametrize(("recipe", "steps"), [(PERSAM, 1), (COARSE, 1), (BLIND, 1), (BARE, 0)], ids=str)
def test_several_concepts_cost_no_encoding_more(recipe, steps):
    model = colour_model(recipe=recipe)
    concepts = [
        model.learn(photo(colour=colour), mask(), name=name)
        for name, colour in {"red": (220, 30, 30), "blue": BLUE, "green": GREEN}.items()
    ]
    first, rest = [1] + steps * [3], batches_of(model, concepts, colourful())
    assert rest[: len(first)] == first
    assert len(rest) <= len(first) + recipe.verify  # what may be other sides of them is verified as one batch


def test_crops_of_many_concepts_are_encoded_some_at_a_time_and_found_as_if_each_were_alone():
    model = colour_model()
    shades = [(220 - 20 * number, 20 * number, 30) for number in range(AT_ONCE + 2)]
    concepts = [model.learn(photo(colour=shade), mask(), name=str(shade)) for shade in shades]
    scene = photo(colour=shades[4])
    encoding = model.backbone.encode([scene])
    model.backbone.batches.clear()
    together = model.find(scene, encoding, concepts)
    assert model.backbone.batches[:2] == [AT_ONCE, 2]
    alone = [find for concept in concepts for find in model.find(scene, encoding, concept)]
    for one, other in zip(together, alone, strict=True):
        assert (one.concept.name, one.present) == (other.concept.name, other.present)
        torch.testing.assert_close(one.mask.logits, other.mask.logits)  # products of larger batches round differently
        assert one.presence == pytest.approx(other.presence, abs=1e-5)


def test_several_instances_cost_batches_of_what_is_offered_or_where_nothing_is_verified_of_what_is_kept():
    place = [(4, 4, 9, 9), (40, 6, 45, 11), (20, 40, 25, 45)]
    scene, offered = squares(*place), 2 * 2  # whole and part of two more; the subparts are too small
    for recipe, batches in (
        (PERSAM, [1, 1, offered]),  # what is kept is refined in the crops in which it was verified
        (COARSE, [1, 1, offered]),
        (BLIND, [1, 1, 2]),
        (BARE, [1]),
    ):
        model = colour_model(recipe=recipe)
        assert batches_of(model, model.learn(photo(), mask()), scene, max_instances=3) == batches


def test_a_finer_input_is_encoded_once_for_the_instances_of_all_concepts(monkeypatch):
    model = colour_model(recipe=BARE)
    finer = ColourBackbone()
    monkeypatch.setattr(model.backbone, "at_input", lambda size: finer)
    concepts = [model.learn(photo(colour=colour), mask(), name=name) for name, colour in (("red", RED), ("blue", BLUE))]
    assert batches_of(model, concepts, colourful()) == [1]
    assert finer.batches == []
    assert batches_of(model, concepts, colourful(), max_instances=4) == [1]
    assert finer.batches == [1]


def test_concepts_of_several_recipes_share_the_encodings():
    model = colour_model()
    recipes = {"ours": PERSAM, "coarse": COARSE, "blind": BLIND, "bare": BARE, "published": "official_persam"}
    concepts = [model.learn(photo(), mask(), name=name, recipe=recipe) for name, recipe in recipes.items()]
    # a crop for ours, in which it is refined and verified, for coarse, and for blind
    assert batches_of(model, concepts, photo()) == [1, 3]


def test_an_empty_mask_costs_no_crop(monkeypatch):
    model = colour_model()
    red = model.learn(photo(), mask())
    decode = model.backbone.decode

    def blind(*arguments):
        candidates = decode(*arguments)
        candidates.logits.fill_(-8.0)
        return candidates

    monkeypatch.setattr(model.backbone, "decode", blind)
    assert batches_of(model, red, photo()) == [1]
    (found,) = model.segment(photo(), red)
    assert not found.present
    assert found.presence == CALIBRATION.presence(0.0)  # nothing is similar to nothing


def test_a_backbone_without_a_calibration_pays_for_no_verification(monkeypatch):
    monkeypatch.setattr(calibration, "_TOLD", set())
    backbone = ColourBackbone("never seen")
    model = PerSAM(backbone)
    with pytest.warns(NotCalibratedWarning):
        red = model.learn(photo(), mask())
    assert backbone.batches == [1]
    assert batches_of(model, red, photo()) == [1, 1]
    assert batches_of(model, red, squares(), max_instances=4) == [1, 1, 2]  # what is found alone, then the others


# ---- learning


@pytest.mark.parametrize(
    ("recipe", "steps"),
    [(PERSAM, VIEWS), (Recipe("tuned", tune=True), VIEWS), (COARSE, VIEWS), (BLIND, 0)]
    + [(name, 0) for name in OFFICIAL],
    ids=str,
)
@pytest.mark.usefixtures("quick_fit")
def test_learning_costs_a_batch_of_references_and_one_of_their_crops_in_each_turn(recipe, steps):
    model = colour_model(recipe=recipe)
    model.learn(photo(), mask())
    assert model.backbone.batches == [1] + steps * [1]
    model.backbone.batches.clear()
    model.learn([photo(), photo(colour=BLUE), photo(ground=GREY)], [mask(), mask(), mask()])
    assert model.backbone.batches == [3] + steps * [3]


@pytest.mark.parametrize(("recipe", "steps"), [(PERSAM, VIEWS), (BLIND, 0), ("official_persam", 0)], ids=str)
def test_several_objects_of_one_reference_cost_one_encoding_of_it(recipe, steps):
    model = colour_model(recipe=recipe)
    model.learn_each(colourful(), [mask(at_xyxy=place) for place in SQUARES])
    assert model.backbone.batches == [1] + steps * [3]


def test_crops_of_many_references_are_encoded_some_at_a_time():
    model = colour_model()
    many = AT_ONCE + 1
    model.learn([photo()] * many, [mask()] * many)
    assert model.backbone.batches == [many] + VIEWS * [AT_ONCE, 1]


@pytest.mark.usefixtures("quick_fit")
def test_tuning_costs_no_encoding():
    model = colour_model()
    for recipe in (PERSAM, "official_persam"):
        red = model.learn(photo(), mask(), recipe=recipe)
        model.backbone.batches.clear()
        model.tune(red)
        assert model.backbone.batches == []
