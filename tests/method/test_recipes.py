"""Recipes are found by name, and varied one setting at a time for ablations."""

from dataclasses import fields

import pytest

from persam.errors import PerSAMError
from persam.method.recipes import OFFICIAL_PERSAM, PERSAM, PERSAM_F, RECIPES, SETTINGS, TUNED, Recipe, find, tuned


def test_a_name_a_variation_and_a_recipe_itself():
    assert find("persam") == PERSAM
    assert find(PERSAM_F) is PERSAM_F
    varied = find("persam@zoom=False@boxes=(True, True)@choice=predicted_iou")
    assert (varied.zoom, varied.boxes, varied.choice) == (False, (True, True), "predicted_iou")
    assert varied.name == "persam@zoom=False@boxes=(True, True)@choice=predicted_iou"
    assert varied.semantic == PERSAM.semantic
    assert find("persam@guidance=None").guidance is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("persan", "no recipe named 'persan'. Choose one of: persam, persam_f, official_persam, official_persam_f"),
        ("persam@zom=True", "no setting 'zom'. Its settings are: target_feature"),
        ("persam@zoom", "no setting 'zoom'"),
        ("persam@zoom=maybe", "zoom cannot be maybe. It can be: True, False"),
        ("persam@boxes=[True]", r"boxes cannot be \[True\]"),
        ("persam@grey_level=0", "grey_level cannot be 0"),
    ],
)
def test_what_is_no_recipe_says_what_there_is(text, message):
    with pytest.raises(PerSAMError, match=message):
        find(text)


def test_every_setting_can_be_varied_and_every_recipe_keeps_to_them():
    names = [field.name for field in fields(Recipe) if field.name != "name"]
    assert list(SETTINGS) == names
    for recipe in RECIPES.values():
        assert all(getattr(recipe, name) in SETTINGS[name] for name in names)


def test_the_official_recipes_have_none_of_our_changes():
    for recipe in (OFFICIAL_PERSAM, TUNED[OFFICIAL_PERSAM]):
        ours = (recipe.points, recipe.choice, recipe.one_piece, recipe.zoom, recipe.refuses)
        assert ours == ("pixels", "predicted_iou", False, False, False)


def test_every_recipe_has_one_that_fits_weights():
    assert tuned(PERSAM) is PERSAM_F
    assert tuned(PERSAM_F) is PERSAM_F
    varied = tuned(find("persam@zoom=False"))
    assert (varied.first_mask, varied.zoom) == ("weighted", False)
    assert find(varied.name) == varied
