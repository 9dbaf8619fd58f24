"""Counter-examples: the twin is not the object, neither alone nor beside it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import persam
from persam.errors import MaskError, PerSAMError
from persam.geometry import box_of
from persam.io.images import read_image
from persam.method import judge
from persam.method.concept import Concept
from persam.method.recipes import Recipe
from persam.model import PerSAM
from tests.colour import (
    BLUE,
    CALIBRATION,
    GREY,
    RED,
    ColourBackbone,
    colour_model,
    described_box,
    descriptor_of_box,
    mask,
    photo,
)

TWIN = (200, 58, 58)  # of a colour too strong to be taken for that of the light
THERE, ELSEWHERE = (4, 4, 23, 23), (40, 20, 55, 51)
EXAMPLES = Path(__file__).parents[1] / "data" / "examples"


def scene(*things: tuple[tuple[int, int, int, int], tuple[int, int, int]]) -> np.ndarray:
    rgb = np.full((64, 64, 3), GREY, np.uint8)
    for place, colour in things:
        rgb[mask(at_xyxy=place)] = colour
    return rgb


@pytest.fixture
def model() -> PerSAM:
    return colour_model()


@pytest.fixture
def plain(model) -> Concept:
    return model.learn(photo(), mask(), name="red")


@pytest.fixture
def warned(model) -> Concept:
    """Learned with the twin as a counter-example."""
    return model.learn(photo(), mask(), not_this=[(photo(colour=TWIN), mask())], name="red")


# ---- what is found


def test_a_twin_passes_for_the_object_until_it_is_a_counter_example(model, plain, warned):
    alone = scene((ELSEWHERE, TWIN))
    (before,), (after,) = (list(model.segment(alone, concept)) for concept in (plain, warned))
    assert before.present
    assert not after.present
    assert after.presence < before.presence


def test_the_object_itself_is_found_as_before(model, plain, warned):
    for place in (THERE, ELSEWHERE):
        (before,), (after,) = (list(model.segment(scene((place, RED)), concept)) for concept in (plain, warned))
        assert after.present
        np.testing.assert_array_equal(after.mask, before.mask)


@pytest.mark.parametrize(("own", "other"), [(THERE, ELSEWHERE), (ELSEWHERE, THERE)])
def test_beside_its_twin_the_object_is_found(model, warned, own, other):
    (image,) = model.segment(scene((own, RED), (other, TWIN)), warned)
    assert image.present
    np.testing.assert_array_equal(image.mask, mask(at_xyxy=own))


def test_of_several_instances_the_twins_are_left_out(model, plain, warned):
    places = [THERE, ELSEWHERE, (30, 2, 37, 9)]
    rgb = scene(*zip(places, (RED, TWIN, RED), strict=True))
    boxes = {}
    for concept, name in ((plain, "plain"), (warned, "warned")):
        (image,) = model.segment(rgb, concept, max_instances=5)
        boxes[name] = {one.box_xyxy for one in image}
    assert boxes == {"plain": set(places), "warned": {THERE, (30, 2, 37, 9)}}


def test_each_of_several_counter_examples_counts(model):
    others = [(photo(colour=BLUE), mask()), (photo(colour=TWIN), mask())]
    concept = model.learn(photo(), mask(), not_this=others)
    assert concept.counter_examples == 2
    for colour in (BLUE, TWIN):
        (image,) = model.segment(scene((THERE, colour)), concept)
        assert not image.present
    (image,) = model.segment(scene((THERE, RED)), concept)
    assert image.present


def test_one_photo_may_show_both(model):
    both = scene((THERE, RED), (ELSEWHERE, TWIN))
    concept = model.learn(both, mask(at_xyxy=THERE), not_this=[(both, mask(at_xyxy=ELSEWHERE))])
    (image,) = model.segment(both, concept)
    np.testing.assert_array_equal(image.mask, mask(at_xyxy=THERE))


def test_a_saved_concept_keeps_its_counter_examples(model, warned, tmp_path):
    loaded = Concept.load(warned.save(tmp_path / "red.safetensors"))
    assert loaded == warned
    (image,) = model.segment(scene((ELSEWHERE, TWIN)), loaded)
    assert not image.present


def test_the_call_for_everything_takes_them_too(model):
    found = {
        len(others): persam.segment(photo(), mask(), scene((ELSEWHERE, TWIN)), not_this=others, model=model)[0].present
        for others in ([], [(photo(colour=TWIN), mask())])
    }
    assert found == {0: True, 1: False}


# ---- a second look


def judging(
    monkeypatch, concept: Concept, evidence: dict[tuple[int, ...], tuple[float, float]]
) -> list[tuple[int, int, int, int] | None]:
    """What is in a box is so similar to the object and to the counter-example; the boxes that were judged."""
    seen = []

    def described(crop, mask, calibration):
        seen.append(box_of(mask))
        return descriptor_of_box(seen[-1])

    def similarity(known, found, choice):
        both = evidence.get(described_box(found), (0.0, 0.0))
        return both[not torch.equal(known.features, concept.identity.features)]

    monkeypatch.setattr(judge, "descriptor_of", described)
    monkeypatch.setattr(judge, "identity_similarity", similarity)
    return seen


@pytest.mark.parametrize(
    ("first", "second", "kept", "looks"),
    [
        ((0.9, 0.1), (0.9, 0.1), THERE, 1),
        ((0.9, 0.95), (0.9, 0.1), ELSEWHERE, 2),  # the first is more similar to the counter-example
        ((0.2, 0.1), (0.9, 0.1), ELSEWHERE, 2),
        ((0.9, 0.95), (0.9, 0.95), THERE, 2),  # both are: the first is the best guess
    ],
)
def test_where_the_first_place_is_refused_another_is_looked_at(model, warned, monkeypatch, first, second, kept, looks):
    seen = judging(monkeypatch, warned, {THERE: first, ELSEWHERE: second})
    (image,) = model.segment(scene((THERE, RED), (ELSEWHERE, RED)), warned)
    assert [box for box in seen if box in (THERE, ELSEWHERE)] == [THERE, ELSEWHERE][:looks]
    assert seen[0] == THERE
    assert image.best.box_xyxy == kept
    assert image.present == (kept == ELSEWHERE or looks == 1)


def test_a_find_costs_no_more_than_without_them(model, plain, warned):
    counts = []
    for concept in (plain, warned):
        before = model.backbone.encoded
        list(model.segment(scene((THERE, RED)), concept))
        counts.append(model.backbone.encoded - before)
    assert counts[0] == counts[1]


# ---- what cannot be one


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ((photo(colour=TWIN), np.zeros((64, 64), bool)), "the mask is empty"),
        ((photo(colour=TWIN), np.ones((10, 12), bool)), "10x12|12x10|10 x 12|12 x 10"),
        ((photo(), mask()), "counter-example 1 marks the object itself: a reference has the same photo"),
        ((photo(), mask(at_xyxy=(8, 18, 29, 39))), "counter-example 1 marks the object itself"),
        (photo(colour=TWIN), "not_this is a list of pairs, a photo and a mask each"),
    ],
    ids=["empty", "size", "equal", "nearly equal", "no pair"],
)
def test_what_is_no_counter_example_is_refused(model, other, message):
    with pytest.raises(MaskError, match=message):
        model.learn(photo(), mask(), not_this=[other])


def test_one_pair_is_no_list_of_pairs(model):
    with pytest.raises(MaskError, match="not_this is a list of pairs"):
        model.learn(photo(), mask(), not_this=(photo(colour=TWIN), mask()))


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("official_persam", "'official_persam' knows no counter-examples. Take the recipe 'persam', or give none"),
        (Recipe("blind", verify=False), "the recipe 'blind' verifies nothing. Take the recipe 'persam', or give none"),
    ],
)
def test_a_recipe_that_verifies_nothing_takes_none(model, recipe, message):
    with pytest.raises(PerSAMError, match=message):
        model.learn(photo(), mask(), not_this=[(photo(colour=TWIN), mask())], recipe=recipe)


def test_a_model_that_is_not_calibrated_takes_none():
    model = PerSAM(
        ColourBackbone("colours-9"), calibration=replace(CALIBRATION, fingerprint="colours-9", presence=None)
    )
    with pytest.raises(PerSAMError, match=r"colour is not calibrated\. Run `persam eval calibrate --model colour"):
        model.learn(photo(), mask(), not_this=[(photo(colour=TWIN), mask())])


# ---- on photos


@pytest.mark.slow
def test_cups_of_another_colour_are_no_longer_taken_for_the_cup(nano):
    def picture(name: str) -> str:
        return str(EXAMPLES / "photos" / f"{name}.jpg")

    cup = (picture("coffee"), str(EXAMPLES / "masks" / "cup.png"))
    blue = (picture("gravel_cup"), "box:400,60,600,240")
    concepts = [nano.learn(*cup), nano.learn(*cup, not_this=[blue])]
    photos = [picture(name) for name in ("other_cups", "lawn_cup", "picnic", "toys", "paving_cups")]
    plain, warned = ([image.present for image in nano.segment(photos, concept)] for concept in concepts)
    assert plain == [True, True, True, True, True]
    assert warned == [False, True, True, True, True]
    shown = read_image(picture("mixed_cups"))
    colours = []
    for concept in concepts:
        (image,) = nano.segment(shown, concept, max_instances=10)
        colours.append(sorted("RGB"[int(shown[one.mask].mean(0).argmax())] for one in image if one.present))
    assert sorted(set(colours[0])) == ["B", "G", "R"]
    assert colours[1][-2:] == ["R", "R"]
    assert "B" not in colours[1]  # the green one was not shown, and may pass
