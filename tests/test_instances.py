"""Several instances, several concepts, in one image: each pixel belongs to one find."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from persam.errors import ConceptError, PerSAMError
from persam.eval.datasets.instances import scenes
from persam.eval.instances import match
from persam.io.results import ImageResult
from persam.method.concept import Concept
from persam.model import PerSAM
from tests.colour import BLUE, GREEN, GREY, RED, colour_model, mask, photo

ELSEWHERE = (40, 5, 55, 30)
SQUARES = [(4, 4, 23, 23), (40, 6, 53, 19), (20, 40, 31, 51)]
BLUES = [(40, 40, 53, 53), (2, 40, 11, 49)]


def squares(*places: tuple[int, int, int, int], colour=RED) -> np.ndarray:
    scene = np.full((64, 64, 3), GREY, np.uint8)
    for place in places or SQUARES:
        scene[mask(at_xyxy=place)] = colour
    return scene


def colourful() -> np.ndarray:
    """Three red squares and two blue ones."""
    scene = squares()
    for place in BLUES:
        scene[mask(at_xyxy=place)] = BLUE
    return scene


def claimed(image: ImageResult) -> np.ndarray:
    """How many of the finds that are present have each pixel."""
    return sum((one.mask.astype(int) for one in image), np.zeros(image.size_hw, int))


@pytest.fixture
def model() -> PerSAM:
    return colour_model()


@pytest.fixture
def red(model) -> Concept:
    return model.learn(photo(), mask(), name="red")


@pytest.fixture
def blue(model) -> Concept:
    return model.learn(photo(colour=BLUE), mask(), name="blue")


# ---- several instances


def test_every_instance_is_found_with_a_mask_of_its_own(model, red):
    (image,) = model.segment(squares(), red, max_instances=10)
    assert len(image) == 3
    assert sorted(one.box_xyxy for one in image) == sorted(SQUARES)
    assert [one.instance for one in image] == [1, 2, 3]
    for one in image:
        np.testing.assert_array_equal(one.mask, mask(at_xyxy=one.box_xyxy))
        assert one.present
        x, y = one.points_xy[0].round().astype(int)
        assert one.mask[y, x]
    assert claimed(image).max() == 1


def test_the_instance_most_similar_to_the_reference_comes_first(model, red):
    scene = squares(colour=(200, 60, 60))
    x0, y0, x1, y1 = SQUARES[2]
    scene[y0 : y1 + 1, x0 : x1 + 1] = RED
    (image,) = model.segment(scene, red, max_instances=3)
    assert image.best.box_xyxy == SQUARES[2]


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_instances_than_asked_for(model, red, most):
    (image,) = model.segment(squares(), red, max_instances=most)
    assert len(image) == len(image.segmentations) == most


def test_without_the_object_the_best_guess_is_kept_and_nothing_is_iterated(model, red):
    none, three = model.segment([photo(colour=BLUE), squares()], red, max_instances=10)
    assert (len(none), list(none), bool(none)) == (0, [], False)
    (guess,) = none.segmentations
    assert not guess.present
    assert guess.mask.any()
    assert none.best is none["red"] is guess
    assert len(three) == 3


def test_what_is_found_alone_is_the_first_of_many(model, red):
    for scene in (squares(), squares(SQUARES[1]), photo(at_xyxy=ELSEWHERE), colourful()):
        (alone,), (many,) = model.segment(scene, red), model.segment(scene, red, max_instances=10)
        first = next(iter(many))
        np.testing.assert_array_equal(first.mask, alone.mask)
        assert (first.score, first.presence, first.box_xyxy) == (alone.score, alone.presence, alone.box_xyxy)


@pytest.mark.slow
@pytest.mark.parametrize("album", ["cat", "cup", "shuttle", "cups", "coins"])
def test_on_the_examples_what_is_found_alone_is_the_first_of_many(nano, album):
    examples = Path(__file__).parents[1] / "data" / "examples"
    [own] = [one for one in json.loads((examples / "index.json").read_text())["albums"] if one["name"] == album]
    concept = nano.learn(examples / own["reference"], examples / own["mask"], name=album)
    for target in own["targets"][:2]:
        (alone,), (many,) = (nano.segment(examples / target["photo"], concept, max_instances=most) for most in (1, 5))
        if alone.present:
            np.testing.assert_array_equal(next(iter(many)).mask, alone.mask)


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "least"), [("apart_3", 1.0), ("row_8", 0.9), ("touching_4", 0.8)])
def test_on_composed_photos_cups_apart_in_a_row_and_touching_are_one_each(nano, layout, least):
    examples = Path(__file__).parents[1] / "data" / "examples"
    [scene] = [one for one in scenes(examples) if one.name == f"{layout}_cup"]
    concept = nano.learn(scene.thing.rgb, scene.thing.mask, name="cup")
    (found,) = nano.segment(scene.rgb, concept, max_instances=10)
    assert match([one.mask for one in found], scene.truths).f1 >= least


# ---- several concepts


def test_several_concepts_are_found_in_one_image_in_the_order_asked(model, red, blue):
    scene = squares(SQUARES[0])
    scene[mask(at_xyxy=SQUARES[1])] = BLUE
    for order in ([red, blue], [blue, red]):
        (image,) = model.segment(scene, order)
        assert [one.concept for one in image] == [concept.name for concept in order]
        assert (image["red"].box_xyxy, image["blue"].box_xyxy) == (SQUARES[0], SQUARES[1])
        np.testing.assert_array_equal(image.mask, image[order[0].name].mask)


def test_several_instances_of_several_concepts_together(model, red, blue):
    (image,) = model.segment(colourful(), [blue, red], max_instances=5)
    found = [(one.concept, one.instance) for one in image]
    assert found == [("blue", 1), ("blue", 2), ("red", 1), ("red", 2), ("red", 3)]
    boxes = {name: sorted(one.box_xyxy for one in image if one.concept == name) for name in ("red", "blue")}
    assert boxes == {"red": sorted(SQUARES), "blue": sorted(BLUES)}
    assert claimed(image).max() == 1
    assert claimed(image).sum() == (colourful() != GREY).any(-1).sum()


def test_a_pixel_belongs_to_one_concept(model, red):
    same = [red, replace(red, name="again")]
    for image in model.segment([photo(at_xyxy=ELSEWHERE), photo()], same):
        assert claimed(image).max() == 1
        assert len(image) == 1  # of equally sure ones, the first
        assert image.best.concept == "red"
        assert (image["again"].present, image["again"].box_xyxy) == (False, None)


def test_a_concept_that_is_not_there_keeps_its_best_guess_and_owns_no_pixel(model, red, blue):
    for order in ([red, blue], [blue, red]):
        (image,) = model.segment(photo(at_xyxy=ELSEWHERE), order, max_instances=3)
        assert [one.concept for one in image] == ["red"]
        np.testing.assert_array_equal(image["red"].mask, mask(at_xyxy=ELSEWHERE))
        assert not image["blue"].present
        assert image["blue"].mask.any()
        assert image.best is image["red"]


def test_a_concept_alone_is_found_as_it_is_among_others(model, red, blue):
    green = model.learn(photo(colour=GREEN), mask(), name="green")
    (together,) = model.segment(colourful(), [red, blue, green], max_instances=4)
    (alone,) = model.segment(colourful(), blue, max_instances=4)
    for one, other in zip((one for one in together if one.concept == "blue"), alone, strict=True):
        np.testing.assert_array_equal(one.mask, other.mask)
        assert (one.score, one.presence, one.instance) == (other.score, other.presence, other.instance)
    assert not together["green"].present


def test_recipes_may_differ_from_concept_to_concept(model, blue):
    published = model.learn(photo(), mask(), name="published", recipe="official_persam")
    (image,) = model.segment(colourful(), [published, blue])
    assert [one.concept for one in image.segmentations] == ["published", "blue"]
    assert image["published"].presence is None
    assert image["blue"].presence > 0.9
    assert claimed(image).max() == 1


def test_a_concept_that_was_not_asked_for_is_an_error_that_names_those_that_were(model, red, blue):
    (image,) = model.segment(photo(), [red, blue])
    with pytest.raises(PerSAMError, match=r"nothing called 'tom' was looked for in 'image_0001'.*'red', 'blue'"):
        image["tom"]


# ---- wrong arguments are told at the call, before an image is read


def unread():
    raise AssertionError("an image is read")
    yield


@pytest.mark.parametrize("recipe", ["official_persam", "official_persam_f"])
@pytest.mark.usefixtures("quick_fit")
def test_official_recipes_find_one_instance(model, red, recipe):
    published = model.learn(photo(), mask(), name="published", recipe=recipe)
    with pytest.raises(PerSAMError, match=r"an official recipe finds one instance an image\. Use the recipe"):
        model.segment(unread(), [red, published], max_instances=2)
    (image,) = model.segment(photo(at_xyxy=ELSEWHERE), published, max_instances=1)
    assert image.box_xyxy == ELSEWHERE


@pytest.mark.parametrize("most", [0, -1])
def test_at_least_one_instance_is_asked_for(model, red, most):
    with pytest.raises(PerSAMError, match=f"max_instances must be 1 or more, and {most} was given"):
        model.segment(unread(), red, max_instances=most)


def test_concepts_have_names_of_their_own(model, red):
    with pytest.raises(ConceptError, match=r"each a name of its own; got \['red', 'red'\]"):
        model.segment(unread(), [red, model.learn(photo(colour=BLUE), mask(), name="red")])
    with pytest.raises(ConceptError, match=r"give at least one concept.*got \[\]"):
        model.segment(unread(), [])


def test_find_gives_the_finds_before_they_share_the_image(model, red):
    scene = photo(at_xyxy=ELSEWHERE)
    embedding = model.backbone.encode([scene])
    first, second = model.find(scene, embedding, [red, replace(red, name="again")])
    assert (first.concept.name, second.concept.name) == ("red", "again")
    for one in (first, second):
        np.testing.assert_array_equal(one.inside, mask(at_xyxy=ELSEWHERE))
        assert one.present
    with pytest.raises(PerSAMError, match="max_instances"):
        model.find(scene, embedding, red, max_instances=0)
