"""persam: personalise Segment Anything with one photo and a rough mask.

>>> import persam
>>> found = persam.segment("rex.jpg", "rex_mask.png", ["park.jpg", "beach.jpg"])  # doctest: +SKIP
>>> found[0].mask, found[0].score, found[0].present  # doctest: +SKIP

Importing persam costs nothing: torch is imported when a public name is first used.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from persam.api import load, segment
    from persam.errors import PerSAMError
    from persam.io.masks import Mask
    from persam.io.results import ImageResult
    from persam.io.segmentation import Segmentation
    from persam.method.concept import Concept
    from persam.method.prompts import Box, Points, Polygon, Scribble
    from persam.method.recipes import RECIPES, Recipe
    from persam.model import PerSAM
    from persam.tracking.track import track
    from persam.tracking.tracker import Tracker

__version__ = "0.1.0"

_HOMES = {
    "segment": "api",
    "track": "tracking.track",
    "load": "api",
    "PerSAM": "model",
    "Tracker": "tracking.tracker",
    "Concept": "method.concept",
    "ImageResult": "io.results",
    "Segmentation": "io.segmentation",
    "Mask": "io.masks",
    "Recipe": "method.recipes",
    "RECIPES": "method.recipes",
    "Box": "method.prompts",
    "Points": "method.prompts",
    "Polygon": "method.prompts",
    "Scribble": "method.prompts",
    "PerSAMError": "errors",
}
__all__ = [
    "RECIPES",
    "Box",
    "Concept",
    "ImageResult",
    "Mask",
    "PerSAM",
    "PerSAMError",
    "Points",
    "Polygon",
    "Recipe",
    "Scribble",
    "Segmentation",
    "Tracker",
    "load",
    "segment",
    "track",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'persam' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"persam.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
