"""`persam@setting=value` is a recipe with that setting changed, and wrong words are answered with the right ones."""

import pytest

from persam.errors import PerSAMError
from persam.eval.ablation import parse
from persam.method.recipes import OFFICIAL_PERSAM, PERSAM_F, Recipe


@pytest.mark.parametrize(
    ("text", "recipe"),
    [
        ("persam_f", PERSAM_F),
        ("official_persam", OFFICIAL_PERSAM),
        ("persam@verify=False", Recipe("persam@verify=False", verify=False)),
        (
            "persam_f@crop_refine=False@verify=False",
            Recipe("persam_f@crop_refine=False@verify=False", tune=True, crop_refine=False, verify=False),
        ),
        ("persam_f@tune=False", Recipe("persam_f@tune=False")),
    ],
)
def test_a_text_is_a_recipe_of_that_name(text, recipe):
    assert parse(text) == recipe


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("best", "no recipe named 'best'. Choose one of: persam, "),
        ("persam@zoom=False", "no setting 'zoom'. Change one of: tune, crop_refine, verify."),
        ("persam@", "no setting ''. Change one of: tune"),
        ("persam@name=x", "no setting 'name'"),
        ("persam@verify", "verify is True or False, and '' was given"),
        ("persam@verify=0", "verify is True or False, and '0' was given"),
        ("persam@verify=True@verify=False", "changes verify twice"),
        ("official_persam@tune=True", "'official_persam' is a published recipe and has no settings"),
    ],
)
def test_a_text_that_is_none_is_answered_with_what_there_is(text, says):
    with pytest.raises(PerSAMError) as raised:
        parse(text)
    assert says in str(raised.value)
