"""Named, frozen settings of the method. Everything that differs between PerSAM, PerSAM-F and ours is a field here."""

import ast
from dataclasses import dataclass, replace
from typing import Literal

from persam.errors import PerSAMError
from persam.sam.decoder import Placement


@dataclass(frozen=True)
class Recipe:
    """One way through the method.

    target_feature: `mean` of the object's cells (section 3.2), or `mean_max`: half mean, half maximum (ledger 5).
    grey_level: None takes the cells the object covers by half; a number takes the published rule for a mask file of
        that grey level (ledger 4; PerSeg's own masks hold 128).
    points: peak and trough `pixels` of the similarity brought to the photo's size, as published; or of the smoothed
        likelihood ratio between the `prototypes` of the object and of its surroundings.
    negative_point: the trough of the similarity as a negative point (section 3.2).
    guidance: None; `published` squeezes the cut similarity over the padded grid (ledger 3); `aligned` leaves every
        value at its own cell.
    placement: where the guidance enters the attention (ledger 2).
    semantic: add the target's mean feature to the decoder's tokens (section 3.2, target-semantic prompting); or only
        where every instance is asked for: it keeps neighbours apart, and makes the mask of one thing alone worse.
    first_mask: what the first decode gives: the `single` mask, the `best` of three, or their `weighted` sum (3.3).
    choice: which of three masks goes on: the best `predicted_iou`, as published, or that and its `agreement` with
        where the prototypes see the object. With it the weighted sum is one more to choose from: weights that fit the
        reference's pose may not fit this one's.
    one_piece: keep the connected part of a mask that the positive point lies in, so that a look-alike elsewhere in
        the photo is not taken too; and move a point that a thin object missed onto it.
    boxes: one refinement each; True adds the box of the mask before it to the prompt (section 3.2, cascade).
    zoom: look at the object again in a cut-out of the photo, where a small one has more of the network's input: a
        refinement with a box, beside which one more in the whole photo gives the album what it takes from PerSeg.
    parts: how many parts of the object have a positive point of their own, beside the likeliest cell's, so that a
        rider's bike is meant too.
    places: where every instance is asked for, how many places in a row may show something else, the likeliest first,
        before the search ends. For one thing alone a second place found more strangers than lost things.
    refuses: whether presence below the threshold means absent; the published method never says so.
    fit_at: where PerSAM-F's two weights are fitted: on the `original` pixels, or on the `decoder`'s own map.
    """

    name: str
    target_feature: Literal["mean", "mean_max"] = "mean"
    grey_level: int | None = None
    points: Literal["pixels", "prototypes"] = "prototypes"
    negative_point: bool = True
    guidance: Literal["published", "aligned"] | None = "aligned"
    placement: Placement = "after_softmax"
    semantic: bool | Literal["instances"] = "instances"
    first_mask: Literal["single", "best", "weighted"] = "best"
    choice: Literal["predicted_iou", "agreement"] = "agreement"
    one_piece: bool = True
    boxes: tuple[bool, ...] = ()
    zoom: bool = True
    parts: int = 3
    places: int = 2
    refuses: bool = True
    fit_at: Literal["original", "decoder"] = "decoder"


OFFICIAL_PERSAM = Recipe(
    "official_persam",
    grey_level=128,
    points="pixels",
    guidance="published",
    semantic=True,
    first_mask="single",
    choice="predicted_iou",
    one_piece=False,
    boxes=(False, True),
    zoom=False,
    parts=0,
    places=1,
    refuses=False,
)
OFFICIAL_PERSAM_F = replace(
    OFFICIAL_PERSAM,
    name="official_persam_f",
    target_feature="mean_max",
    negative_point=False,
    guidance=None,
    semantic=False,
    first_mask="weighted",
    boxes=(True, True),
    fit_at="original",
)
PERSAM = Recipe("persam")
PERSAM_F = replace(PERSAM, name="persam_f", first_mask="weighted")

RECIPES = {recipe.name: recipe for recipe in (PERSAM, PERSAM_F, OFFICIAL_PERSAM, OFFICIAL_PERSAM_F)}
SETTINGS: dict[str, tuple[object, ...]] = {  # and what each may be
    "target_feature": ("mean", "mean_max"),
    "grey_level": (None, *range(1, 256)),
    "points": ("pixels", "prototypes"),
    "negative_point": (True, False),
    "guidance": (None, "published", "aligned"),
    "placement": ("after_softmax", "before_softmax"),
    "semantic": (True, False, "instances"),
    "first_mask": ("single", "best", "weighted"),
    "choice": ("predicted_iou", "agreement"),
    "one_piece": (True, False),
    "boxes": ((), (True,), (False,), (False, True), (True, True), (False, True, True)),
    "zoom": (True, False),
    "parts": tuple(range(6)),
    "places": tuple(range(1, 11)),
    "refuses": (True, False),
    "fit_at": ("original", "decoder"),
}
TUNED = {PERSAM: PERSAM_F, OFFICIAL_PERSAM: OFFICIAL_PERSAM_F}  # what `tune` turns a recipe into


def tuned(recipe: Recipe) -> Recipe:
    """The recipe that fits PerSAM-F's two weights where this one takes the best mask."""
    if recipe.first_mask == "weighted":
        return recipe
    return TUNED.get(recipe) or find(f"{recipe.name}@first_mask=weighted")


def find(recipe: str | Recipe) -> Recipe:
    """The recipe of that name, a variation of one, or the recipe itself.

    A variation is written `persam@zoom=False` or `persam@boxes=(True,)@semantic=False`: what an ablation changes.

    Raises:
        PerSAMError: there is no recipe of that name, or no such setting of it.
    """
    if isinstance(recipe, Recipe):
        return recipe
    name, *changes = recipe.split("@")
    if name not in RECIPES:
        raise PerSAMError(f"there is no recipe named {name!r}. Choose one of: {', '.join(RECIPES)}.")
    varied = RECIPES[name]
    for change in changes:
        setting, equals, text = change.partition("=")
        if not equals or setting not in SETTINGS:
            raise PerSAMError(f"a recipe has no setting {setting!r}. Its settings are: {', '.join(SETTINGS)}.")
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = text  # the name of a choice, such as `predicted_iou`
        allowed = SETTINGS[setting]
        if value not in allowed:
            raise PerSAMError(f"{setting} cannot be {text}. It can be: {', '.join(map(str, allowed[:8]))}.")
        varied = replace(varied, **{setting: value})
    return replace(varied, name=recipe)
