"""`persam learn`: a file that `persam segment --concept` finds the object with again."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.method.concept import Concept
from tests.cli.typed import boxes, records
from tests.colour import VIEWS, mask, photo


@pytest.mark.usefixtures("colours", "here")
def test_what_was_learned_is_found_again(persam):
    code, out, err = persam("learn ref.png mask.png album/left.png box:38,3,57,32 -o new/rex.safetensors")
    assert (code, err) == (0, "")
    (told,) = records(out)
    assert told == {"concept": "rex", "file": "new/rex.safetensors", "bytes": Path(told["file"]).stat().st_size}
    code, out, err = persam("segment --concept new/rex.safetensors album -o found")
    assert code == 0
    assert boxes(out) == [[40, 5, 55, 30], [4, 8, 15, 16]]
    assert "found 'rex' in 2 of 2" in err


@pytest.mark.usefixtures("here")
def test_every_object_of_a_map_of_labels_is_learned(persam, colours):
    labels = mask().astype(np.uint8) * 3 + mask(at_xyxy=(40, 6, 53, 19)).astype(np.uint8) * 7
    Image.fromarray(labels).save("labels.png")
    code, out, _ = persam("learn ref.png labels.png --each -o each")
    assert code == 0
    assert [(one["concept"], one["file"]) for one in records(out)] == [
        ("object 3", "each/object-3.safetensors"),
        ("object 7", "each/object-7.safetensors"),
    ]
    assert colours.batches == [1] + VIEWS * [2]  # the photo, and in each view a crop of each object
    assert Concept.load("each/object-7.safetensors").name == "object 7"


def save_twin() -> None:
    Image.fromarray(photo(colour=(200, 60, 60))).save("twin.png")
    Image.fromarray(photo(at_xyxy=(4, 8, 15, 16), colour=(200, 60, 60))).save("album/right.png")


@pytest.mark.usefixtures("colours", "here")
def test_what_it_is_not_is_kept_in_the_file_and_told(persam):
    save_twin()
    line = "learn ref.png mask.png --not twin.png mask.png --not album/right.png box:4,8,15,16 -o rex.safetensors"
    code, out, _ = persam(line)
    assert code == 0
    assert [one["counter_examples"] for one in records(out)] == [2]
    assert Concept.load("rex.safetensors").counter_examples == 2
    assert "found 'rex' in 1 of 2" in persam("segment --concept rex.safetensors album -o found")[2]
    assert "is an input of this command" in persam.refused("learn ref.png mask.png --not twin.png mask.png -o twin.png")


@pytest.mark.usefixtures("colours", "here")
def test_the_object_is_not_what_it_is_not(persam):
    says = persam.refused("learn ref.png mask.png --not ref.png mask.png -o rex.safetensors")
    assert "counter-example 1 marks the object itself" in says
    assert not Path("rex.safetensors").exists()


@pytest.mark.usefixtures("colours", "here")
def test_a_search_may_say_what_it_is_not(persam):
    save_twin()
    assert "in 2 of 2" in persam("segment ref.png mask.png album -o plain")[2]
    assert "in 1 of 2" in persam("segment ref.png mask.png --not twin.png mask.png album -o found")[2]
    plain, against = (json.loads(Path(f"{name}/manifest.json").read_text())["settings"] for name in ("plain", "found"))
    assert against.pop("not_this")
    assert against | {"output": "plain"} == plain


def save_two(red: int = 1, other: int = 2) -> None:
    """A map of two objects: of the red thing, and of a place beside it."""
    labels = mask().astype(np.uint8) * red + mask(at_xyxy=(40, 6, 53, 19)).astype(np.uint8) * other
    Image.fromarray(labels).save("labels.png")


@pytest.mark.usefixtures("colours", "here")
def test_which_object_is_meant_is_asked_for_and_said(persam):
    save_two()
    message = persam.refused("learn ref.png labels.png -o rex.safetensors")
    assert "the mask holds 2 labels: 1 (400 px), 2 (196 px). Say which is the object: --label 1" in message
    assert "--each" in message
    assert persam("learn ref.png labels.png --label 1 -o rex.safetensors")[0] == 0
    assert persam("learn ref.png mask.png -o plain.safetensors --name rex")[0] == 0
    assert Concept.load("rex.safetensors") == Concept.load("plain.safetensors")
    assert "the mask has no '9': it holds the labels 1 (400 px)" in persam.refused(
        "learn ref.png labels.png --label 9 -o x.safetensors"
    )


@pytest.mark.usefixtures("colours", "here")
def test_an_inverted_mask_is_turned_round(persam):
    Image.fromarray(~mask()).save("inverted.png")
    code, _, err = persam("learn ref.png inverted.png --invert -o rex.safetensors")
    assert (code, err) == (0, "")
    persam("learn ref.png mask.png -o plain.safetensors --name rex")
    assert Concept.load("rex.safetensors") == Concept.load("plain.safetensors")


@pytest.mark.usefixtures("colours", "here")
def test_a_masks_transparency_is_taken_when_that_is_said(persam):
    canvas = mask(at_xyxy=(4, 10, 40, 50))
    Image.fromarray(np.dstack([mask()] * 3 + [canvas]) * np.uint8(255)).save("drawn.png")
    assert "2 masks: 255 (400 px), alpha (1517 px)" in persam.refused("learn ref.png drawn.png -o x.safetensors")
    assert persam("learn ref.png drawn.png --alpha -o canvas.safetensors")[0] == 0
    assert persam("learn ref.png drawn.png --label 255 -o rex.safetensors")[0] == 0
    assert Concept.load("rex.safetensors") != Concept.load("canvas.safetensors")


@pytest.mark.usefixtures("colours", "here")
@pytest.mark.slow
def test_a_concept_has_the_name_and_the_recipe_that_are_given(persam):
    persam("learn ref.png mask.png -o rex.safetensors --name Rex --recipe persam_f")
    concept = Concept.load("rex.safetensors")
    assert (concept.name, concept.recipe.name) == ("Rex", "persam_f")
    assert concept.scale_weights is not None


@pytest.mark.usefixtures("no_model", "here")
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("learn ref.png -o x.safetensors", "a MASK for every REF, and got 1 names: ref.png"),
        ("learn ref.png mask.png --each --name x -o each", "one REF, one MASK and no --name"),
        ("learn ref.png mask.png ref.png mask.png --each -o each", "one REF, one MASK and no --name"),
        ("learn ref.png mask.png --each --label 3 -o each", "--each takes every object as it is: leave --label away"),
        ("learn ref.png mask.png --alpha --label 3 -o x", "--label chooses by value and --alpha by transparency"),
        ("segment --concept x.safetensors album --invert -o x", "a concept needs no mask: leave --invert away"),
        ("segment --concept x.safetensors album --each -o x", "a concept needs no mask: leave --each away"),
        ("learn ref.png mask.png --not ref.png -o x.safetensors", "argument --not: expected 2 arguments"),
        ("learn ref.png mask.png --each --not ref.png mask.png -o each", "--not belongs to one: learn them one by one"),
        ("segment --concept x album --not ref.png mask.png -o x", "counter-examples it was learned with: leave --not"),
        ("learn ref.png mask.png --not ref.png none.png -o x.safetensors", "none.png"),
        ("learn ref.png ref.png --each -o each", "every pixel of the mask is an object: 808080 (3696 px), dc1e1e"),
    ],
)
def test_wrong_words_are_answered_in_one_line(persam, line, says):
    assert says in persam.refused(line)


@pytest.mark.usefixtures("colours", "here")
def test_a_concept_that_cannot_be_written(persam):
    assert "cannot write ref.png/x.safetensors" in persam.refused("learn ref.png mask.png -o ref.png/x.safetensors")
    assert "it is a folder" in persam.refused("learn ref.png mask.png -o album")
