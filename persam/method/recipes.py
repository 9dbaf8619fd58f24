"""Named ways through the method: the published ones, which have no settings, and ours with the few that it has."""

from dataclasses import dataclass
from typing import Any

from persam.errors import PerSAMError


@dataclass(frozen=True)
class Recipe:
    """Ours. What each choice is worth is measured in docs/results.md.

    name: what results and tables call it.
    tune: `learn` fits PerSAM-F's two weights as well (section 3.3), as `PerSAM.tune` does later.
    crop_refine: decode each find again in a crop around it. Without it an image costs an encoding less, and small
        objects get coarser masks.
    verify: encode a close crop of each find and compare it with the reference, so that "not here" is an answer.
        Without it an image costs an encoding less, and every image gets a mask.
    """

    name: str = "persam"
    tune: bool = False
    crop_refine: bool = True
    verify: bool = True


@dataclass(frozen=True)
class OfficialRecipe:
    """A published cascade, as the authors' code runs it (`method.official`). It has no settings.

    tune: PerSAM-F (section 3.3) instead of PerSAM (section 3.2).
    """

    name: str
    tune: bool


AnyRecipe = Recipe | OfficialRecipe

PERSAM = Recipe("persam")
PERSAM_F = Recipe("persam_f", tune=True)
OFFICIAL_PERSAM = OfficialRecipe("official_persam", tune=False)
OFFICIAL_PERSAM_F = OfficialRecipe("official_persam_f", tune=True)
RECIPES: dict[str, AnyRecipe] = {r.name: r for r in (PERSAM, PERSAM_F, OFFICIAL_PERSAM, OFFICIAL_PERSAM_F)}


def find(recipe: str | AnyRecipe) -> AnyRecipe:
    """The recipe of that name, or the recipe itself.

    Raises:
        PerSAMError: there is no recipe of that name.
    """
    if isinstance(recipe, Recipe | OfficialRecipe):
        return recipe
    if recipe not in RECIPES:
        raise PerSAMError(f"there is no recipe named {recipe!r}. Choose one of: {', '.join(RECIPES)}.")
    return RECIPES[recipe]


def to_plain(recipe: AnyRecipe) -> dict[str, Any]:
    """The recipe as plain values, for a file."""
    return {"official": isinstance(recipe, OfficialRecipe), **vars(recipe)}


def from_plain(values: Any) -> AnyRecipe:
    """The recipe that `to_plain` gave the values of.

    Raises:
        PerSAMError: they are not a recipe's.
    """
    if not isinstance(values, dict):
        raise PerSAMError(f"a recipe is expected as an object, got {values!r}.")
    choices = dict(values)
    if choices.pop("official", False):
        known = find(str(choices.get("name")))
        if vars(known) == choices:
            return known
    elif choices.keys() == vars(PERSAM).keys() and all(type(choices[k]) is type(v) for k, v in vars(PERSAM).items()):
        return Recipe(**choices)
    raise PerSAMError(f"this version has no recipe with the choices {choices}.")
