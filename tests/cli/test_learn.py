"""`persam learn`: a file that `persam segment --concept` finds the object with again."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.method.concept import Concept
from tests.cli.typed import boxes, records
from tests.colour import mask


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
    assert colours.batches == [1, 2]  # the photo, and a crop of each object
    assert Concept.load("each/object-7.safetensors").name == "object 7"


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
        ("learn ref.png mask.png --each --name x -o each", "one REF, one map of labels and no --name"),
        ("learn ref.png mask.png ref.png mask.png --each -o each", "one REF, one map of labels and no --name"),
        ("learn ref.png ref.png --each -o each", "the map of labels has 3 channels"),
    ],
)
def test_wrong_words_are_answered_in_one_line(persam, line, says):
    assert says in persam.refused(line)


@pytest.mark.usefixtures("colours", "here")
def test_a_concept_that_cannot_be_written(persam):
    assert "cannot write ref.png/x.safetensors" in persam.refused("learn ref.png mask.png -o ref.png/x.safetensors")
    assert "it is a folder" in persam.refused("learn ref.png mask.png -o album")
