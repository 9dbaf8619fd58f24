"""How a video can be tracked: ours, the published scripts, which have no settings, and by a video model's memory."""

from dataclasses import dataclass
from pathlib import Path

from persam.errors import TrackingError
from persam.sam.video_model import VideoModel


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


@dataclass(frozen=True, eq=False)
class PropagationRecipe:
    """SAM 2.1 or EdgeTAM carries the masks (`tracking.propagation`); ours says where an object is to begin with.

    video_model: as `persam.sam.video_model.load_video_model` gives it, or the folder or name that it takes.
    name: what messages call it.
    """

    video_model: str | Path | VideoModel
    name: str = "propagation"


AnyTrackingRecipe = TrackingRecipe | OfficialTrackingRecipe | PropagationRecipe

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
    if isinstance(recipe, AnyTrackingRecipe):
        return recipe
    if recipe not in TRACKING_RECIPES:
        names = ", ".join(TRACKING_RECIPES)
        raise TrackingError(
            f"there is no recipe named {recipe!r} for videos. Choose one of: {names}; for a video model, give "
            "PropagationRecipe(MODEL), or --propagate-with MODEL in the shell."
        )
    return TRACKING_RECIPES[recipe]
