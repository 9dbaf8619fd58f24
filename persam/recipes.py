"""Named, frozen settings of the method. Everything that differs between PerSAM, PerSAM-F and ours is a field here."""

from dataclasses import dataclass
from typing import Literal

from persam.decoder import Placement
from persam.errors import PerSAMError


@dataclass(frozen=True)
class Recipe:
    """One way through the method.

    target_feature: `mean` of the object's cells (section 3.2), or `mean_max`: half mean, half maximum (ledger 5).
    grey_level: None takes the cells the object covers by half; a number takes the published rule for a mask file of
        that grey level (ledger 4; PerSeg's own masks hold 128).
    points: `pixels` takes peak and trough of the similarity brought to the photo's size, as published; `cells` takes
        them between grid cells, by a parabola through the peak's neighbours.
    negative_point: the trough of the similarity as a negative point (section 3.2).
    guidance: None; `published` squeezes the cut similarity over the padded grid (ledger 3); `aligned` leaves every
        value at its own cell.
    placement: where the guidance enters the attention (ledger 2).
    semantic: add the target's mean feature to the decoder's tokens (section 3.2, target-semantic prompting).
    first_mask: what the first decode gives: the `single` mask, the `best` of three, or their `weighted` sum (3.3).
    boxes: one refinement each; True adds the box of the mask before it to the prompt (section 3.2, cascade).
    fit_at: where PerSAM-F's two weights are fitted: on the `original` pixels, or on the `decoder`'s own map.
    """

    name: str
    target_feature: Literal["mean", "mean_max"] = "mean"
    grey_level: int | None = None
    points: Literal["pixels", "cells"] = "cells"
    negative_point: bool = True
    guidance: Literal["published", "aligned"] | None = "aligned"
    placement: Placement = "after_softmax"
    semantic: bool = True
    first_mask: Literal["single", "best", "weighted"] = "single"
    boxes: tuple[bool, ...] = (False, True)
    fit_at: Literal["original", "decoder"] = "decoder"


OFFICIAL_PERSAM = Recipe("official_persam", grey_level=128, points="pixels", guidance="published")
OFFICIAL_PERSAM_F = Recipe(
    "official_persam_f",
    target_feature="mean_max",
    grey_level=128,
    points="pixels",
    negative_point=False,
    guidance=None,
    semantic=False,
    first_mask="weighted",
    boxes=(True, True),
    fit_at="original",
)
PERSAM = Recipe("persam")
PERSAM_F = Recipe(
    "persam_f", negative_point=False, guidance=None, semantic=False, first_mask="weighted", boxes=(True, True)
)

RECIPES = {recipe.name: recipe for recipe in (PERSAM, PERSAM_F, OFFICIAL_PERSAM, OFFICIAL_PERSAM_F)}
TUNED = {PERSAM: PERSAM_F, OFFICIAL_PERSAM: OFFICIAL_PERSAM_F}  # what `tune` turns a recipe into


def find(recipe: str | Recipe) -> Recipe:
    """The recipe of that name, or the recipe itself.

    Raises:
        PerSAMError: there is no recipe of that name.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if recipe not in RECIPES:
        raise PerSAMError(f"there is no recipe named {recipe!r}. Choose one of: {', '.join(RECIPES)}.")
    return RECIPES[recipe]
