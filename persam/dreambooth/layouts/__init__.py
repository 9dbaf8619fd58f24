"""The folders that trainers read, a file each: photos, masks and captions as one trainer pairs them.

To add one: a file here with a `Layout`, and a line in LAYOUTS.
"""

from persam.dreambooth.layouts import ai_toolkit, diffusers, kohya, onetrainer, simpletuner
from persam.dreambooth.layouts.layout import Layout
from persam.errors import DreamBoothError

LAYOUTS: dict[str, Layout] = {
    "diffusers": diffusers.LAYOUT,
    "kohya": kohya.LAYOUT,
    "onetrainer": onetrainer.LAYOUT,
    "simpletuner": simpletuner.LAYOUT,
    "ai-toolkit": ai_toolkit.LAYOUT,
}


def find(name: str) -> Layout:
    """Raises DreamBoothError when there is no such layout."""
    if name not in LAYOUTS:
        raise DreamBoothError(f"there is no layout for {name!r}: choose one of {', '.join(LAYOUTS)}.")
    return LAYOUTS[name]
