"""How a video can be tracked: the published scripts, which have no settings, and ours."""

from dataclasses import dataclass

from persam.errors import TrackingError


@dataclass(frozen=True)
class TrackingRecipe:
    """Ours (`tracking.ours`). What each choice is worth is measured in docs/results.md.

    name: what tables call it.
    crop_refine: decode each object again in a crop around it, which costs one encoding a frame, however many objects.
    """

    name: str = "persam_video"
    crop_refine: bool = True


@dataclass(frozen=True)
class OfficialTrackingRecipe:
    """A published script (`tracking.official`). tune: PerSAM-F's."""

    name: str
    tune: bool


AnyTrackingRecipe = TrackingRecipe | OfficialTrackingRecipe

PERSAM_VIDEO = TrackingRecipe()
PERSAM_VIDEO_FAST = TrackingRecipe("persam_video_fast", crop_refine=False)
OFFICIAL_PERSAM_VIDEO = OfficialTrackingRecipe("official_persam_video", tune=False)
OFFICIAL_PERSAM_F_VIDEO = OfficialTrackingRecipe("official_persam_f_video", tune=True)
TRACKING_RECIPES: dict[str, AnyTrackingRecipe] = {
    one.name: one for one in (PERSAM_VIDEO, PERSAM_VIDEO_FAST, OFFICIAL_PERSAM_VIDEO, OFFICIAL_PERSAM_F_VIDEO)
}


def find(recipe: str | AnyTrackingRecipe) -> AnyTrackingRecipe:
    """The recipe of that name, or the recipe itself.

    Raises:
        TrackingError: there is no recipe of that name.
    """
    if isinstance(recipe, TrackingRecipe | OfficialTrackingRecipe):
        return recipe
    if recipe not in TRACKING_RECIPES:
        names = ", ".join(TRACKING_RECIPES)
        raise TrackingError(f"there is no recipe named {recipe!r} for videos. Choose one of: {names}.")
    return TRACKING_RECIPES[recipe]
