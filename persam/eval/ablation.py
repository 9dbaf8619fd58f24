"""Recipes with some choices changed, to measure what each is worth: `persam@crop_refine=False@verify=False`.

Only measuring has this language; a user of the package writes `Recipe(crop_refine=False)`.
"""

from dataclasses import replace

from persam.errors import PerSAMError
from persam.method.recipes import PERSAM, AnyRecipe, OfficialRecipe, find

SETTINGS = tuple(name for name in vars(PERSAM) if name != "name")
VALUES = {"True": True, "False": False}


def parse(text: str) -> AnyRecipe:
    """The recipe that a text such as `persam` or `persam@verify=False` describes; a changed one is named by the text.

    Raises:
        PerSAMError: there is no such recipe, setting or value, or the recipe has no settings.
    """
    name, *changes = text.split("@")
    recipe = find(name)
    if not changes:
        return recipe
    if isinstance(recipe, OfficialRecipe):
        raise PerSAMError(f"{name!r} is a published recipe and has no settings: nothing of it can be changed.")
    chosen: dict[str, bool] = {}
    for change in changes:
        setting, _, value = change.partition("=")
        if setting not in SETTINGS:
            raise PerSAMError(f"{text!r}: there is no setting {setting!r}. Change one of: {', '.join(SETTINGS)}.")
        if value not in VALUES:
            raise PerSAMError(f"{text!r}: {setting} is {' or '.join(VALUES)}, and {value!r} was given.")
        if setting in chosen:
            raise PerSAMError(f"{text!r} changes {setting} twice: say it once.")
        chosen[setting] = VALUES[value]
    return replace(recipe, name=text, **chosen)
