"""Recipes are found by name; ours has choices that go into a file and come back, the published ones have none."""

import json
from dataclasses import fields

import pytest

from persam.errors import PerSAMError
from persam.method.recipes import (
    OFFICIAL_PERSAM,
    OFFICIAL_PERSAM_F,
    PERSAM,
    PERSAM_F,
    RECIPES,
    OfficialRecipe,
    Recipe,
    find,
    from_plain,
    to_plain,
)

MINE = Recipe("mine", tune=True, crop_refine=False, verify=False)


def test_a_recipe_is_found_by_its_name_and_by_itself():
    assert RECIPES == {
        "persam": PERSAM,
        "persam_f": PERSAM_F,
        "official_persam": OFFICIAL_PERSAM,
        "official_persam_f": OFFICIAL_PERSAM_F,
    }
    for name, recipe in RECIPES.items():
        assert find(name) is recipe
        assert find(recipe) is recipe
    assert find(MINE) is MINE


@pytest.mark.parametrize("name", ["persan", "", "persam@crop_refine=False", "PERSAM"])
def test_what_is_no_recipe_is_answered_with_those_there_are(name):
    message = f"no recipe named '{name}'. Choose one of: persam, persam_f, official_persam, official_persam_f"
    with pytest.raises(PerSAMError, match=message):
        find(name)


def test_ours_refines_and_verifies_and_persam_f_tunes_as_well():
    assert Recipe("persam", tune=False, crop_refine=True, verify=True) == PERSAM == Recipe()
    assert Recipe("persam_f", tune=True, crop_refine=True, verify=True) == PERSAM_F


def test_the_published_recipes_have_no_settings():
    assert {one.name for one in fields(OfficialRecipe)} == {"name", "tune"}
    assert not OFFICIAL_PERSAM.tune
    assert OFFICIAL_PERSAM_F.tune


@pytest.mark.parametrize("recipe", [*RECIPES.values(), MINE, Recipe("mine", verify=False)], ids=str)
def test_it_comes_back_from_a_file_equal(recipe):
    again = from_plain(json.loads(json.dumps(to_plain(recipe))))
    assert again == recipe
    assert type(again) is type(recipe)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("persam", "a recipe is expected as an object, got 'persam'"),
        (None, "a recipe is expected as an object, got None"),
        ({}, "no recipe with the choices {}"),
        ({"official": False, "name": "mine", "tune": False, "crop_refine": True}, "no recipe with the choices"),
        (to_plain(MINE) | {"semantic": True}, "no recipe with the choices .*'semantic': True"),
        (to_plain(MINE) | {"verify": 1}, "no recipe with the choices .*'verify': 1"),
        (to_plain(MINE) | {"verify": "no"}, "no recipe with the choices .*'verify': 'no'"),
        (to_plain(MINE) | {"name": None}, "no recipe with the choices .*'name': None"),
        (to_plain(OFFICIAL_PERSAM) | {"name": "official_samed"}, "no recipe named 'official_samed'"),
        (to_plain(OFFICIAL_PERSAM) | {"tune": True}, "no recipe with the choices"),
    ],
)
def test_choices_that_this_version_does_not_know_are_named(values, message):
    with pytest.raises(PerSAMError, match=message):
        from_plain(values)
