"""`persam segment` with several concepts, several instances, or both: one record a photo, whatever was asked."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.typed import files_in, records, saved_mask
from tests.colour import BLUE, GREEN, ColourBackbone, colour_model, mask, photo

KEYS = {"image", "present", "objects", "overlay"}


@pytest.mark.usefixtures("colours", "crowd")
def test_every_instance_has_a_mask_and_an_entry_of_its_own(persam):
    Image.fromarray(photo(colour=GREEN)).save("album/none.png")
    code, out, err = persam("segment ref.png mask.png album -o found --max-instances 5")
    assert (code, err) == (0, "persam: found 'ref' in 3 of 4 photos; results are in found\n")
    assert records(out) == records(Path("found/results.jsonl").read_text())
    crowd, left, none, _ = records(out)
    assert crowd.keys() == left.keys() == none.keys() == KEYS
    assert [one["instance"] for one in crowd["objects"]] == [1, 2]
    assert sorted(one["box_xyxy"] for one in crowd["objects"]) == [[4, 4, 23, 23], [20, 40, 31, 51]]
    assert [one["mask"] for one in crowd["objects"]] == ["found/masks/crowd_1.png", "found/masks/crowd_2.png"]
    for one in crowd["objects"]:
        np.testing.assert_array_equal(saved_mask(one["mask"]), mask(at_xyxy=one["box_xyxy"]))
    assert [one["mask"] for one in left["objects"]] == ["found/masks/left_1.png"]
    assert none["present"] is False
    assert [(one["present"], one["mask"], one["box_xyxy"]) for one in none["objects"]] == [(False, None, None)]
    assert files_in("found/overlays") == {"crowd.jpg", "left.jpg", "none.jpg", "right.jpg"}
    assert files_in("found/masks") == {"crowd_1.png", "crowd_2.png", "left_1.png", "right_1.png"}


@pytest.mark.usefixtures("colours", "crowd")
def test_no_more_instances_than_asked_for_and_no_pictures_where_none_are_wanted(persam):
    line = "segment ref.png mask.png album/crowd.png -o found"
    _, out, _ = persam(f"{line} --max-instances 2 --no-overlays")
    (record,) = records(out)
    assert (record.keys(), record["overlay"], len(record["objects"])) == (KEYS, None, 2)
    _, out, _ = persam(f"{line} --max-instances 1 --overwrite")
    assert [len(record["objects"]) for record in records(out)] == [1]
    assert files_in("found/masks") == {"crowd.png"}  # and none of the two before


@pytest.mark.usefixtures("two")
def test_several_concepts_are_searched_in_one_pass(persam, colours):
    code, out, err = persam("segment --concept red.safetensors --concept blue.safetensors album -o found")
    assert (code, err) == (0, "persam: found 'red' in 3, 'my blue_one' in 1 of 3 photos; results are in found\n")
    # each photo, and a crop of each find; what is surely the red one has no other side
    assert colours.batches == 3 * [1, 2]
    crowd, left, _ = records(out)
    assert crowd.keys() == KEYS
    red, blue = crowd["objects"]
    assert [(one["concept"], one["present"]) for one in (red, blue)] == [("red", True), ("my blue_one", True)]
    assert (red["mask"], blue["mask"]) == ("found/masks/crowd_red.png", "found/masks/crowd_my-blue-one.png")
    assert blue["box_xyxy"] == [40, 6, 53, 19]
    assert not (saved_mask(red["mask"]) & saved_mask(blue["mask"])).any()
    assert [(one["present"], one["mask"] is None) for one in left["objects"]] == [(True, False), (False, True)]
    assert left["objects"][1]["box_xyxy"] is None
    assert files_in("found/masks") == {"crowd_red.png", "crowd_my-blue-one.png", "left_red.png", "right_red.png"}


@pytest.mark.usefixtures("two", "colours")
def test_several_concepts_with_several_instances_of_each(persam):
    words = "--concept red.safetensors --concept blue.safetensors --max-instances 3"
    code, out, err = persam(f"segment {words} album/crowd.png -o found")
    assert (code, err) == (0, "persam: found 'red' in 1, 'my blue_one' in 1 of 1 photos; results are in found\n")
    (crowd,) = records(out)
    assert [(one["concept"], one["instance"]) for one in crowd["objects"]] == [
        ("red", 1),
        ("red", 2),
        ("my blue_one", 1),
    ]
    assert sorted(one["box_xyxy"] for one in crowd["objects"][:2]) == [[4, 4, 23, 23], [20, 40, 31, 51]]
    assert crowd["objects"][2]["box_xyxy"] == [40, 6, 53, 19]
    assert files_in("found/masks") == {"crowd_red_1.png", "crowd_red_2.png", "crowd_my-blue-one_1.png"}


@pytest.mark.usefixtures("two", "colours")
@pytest.mark.parametrize(
    "words", ["--concept red.safetensors --concept blue.safetensors", "--concept red.safetensors --max-instances 2"]
)
def test_one_bad_photo_does_not_stop_several(persam, words):
    Path("bad.jpg").write_text("no photo")
    code, out, err = persam(f"segment {words} bad.jpg album/left.png -o found")
    assert code == 2
    bad, left = records(out)
    assert bad.keys() == {"image", "error"}
    assert left["present"]
    assert "1 could not be used" in err


@pytest.mark.usefixtures("two", "no_model")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            "--concept red.safetensors --concept again.safetensors",
            "the concepts 'red' and 'red' would both write their masks as 'red': learn one of them again with another",
        ),
        ("--concept red.safetensors --concept upper.safetensors", "'red' and 'RED' would both write their masks"),
        ("--concept red.safetensors --concept none.safetensors", "there is no concept file none.safetensors"),
        ("--concept ref.png", "ref.png is not a concept file"),
        ("--concept red.safetensors --recipe persam", "a concept keeps the recipe it was learned with"),
    ],
)
def test_what_cannot_be_searched_is_said_before_a_model_is_loaded(persam, words, says):
    Path("again.safetensors").write_bytes(Path("red.safetensors").read_bytes())
    colour_model().learn(photo(), mask(), name="RED").save("upper.safetensors")
    assert says in persam.refused(f"segment {words} album -o found")
    assert not Path("found/results.jsonl").exists()


@pytest.mark.usefixtures("two", "colours")
def test_a_published_recipe_is_not_asked_for_several_instances(persam):
    error = persam.refused("segment ref.png mask.png album -o found --recipe official_persam --max-instances 2")
    assert "an official recipe finds one instance an image. Use the recipe 'persam' for several" in error
    assert not Path("found/results.jsonl").exists()


@pytest.mark.usefixtures("two", "colours")
def test_a_concept_of_another_model_is_refused(persam):
    colours_2 = type(colour_model())(ColourBackbone("colours-2"), recipe="official_persam")
    colours_2.learn(photo(colour=BLUE), mask(), name="rex").save("rex.safetensors")
    for words in ("--concept rex.safetensors", "--concept red.safetensors --concept rex.safetensors"):
        error = persam.refused(f"segment {words} album -o found")
        assert "'rex' was learned with colour (weights colours-2) and means nothing to colour (weights" in error
        assert not Path("found/results.jsonl").exists()
