"""What a trainer's layout says: where a photo, its mask and its caption go, and what the trainer is told of them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def nothing_more(folder: Path) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Layout:
    """Files of a pair, relative to the folder and with `{}` for its name; photos and masks are PNG.

    image: RGB. mask: one channel, 255 where the object is. caption: a line of text.
    config: further files by name, of the folder's absolute path: settings to give to the trainer.
    about: what its trainer is, and how masking is switched on there.
    """

    image: str
    mask: str
    caption: str
    about: str
    config: Callable[[Path], dict[str, str]] = nothing_more


def quoted(path: Path) -> str:
    """A string of YAML or TOML: of JSON, but for characters that JSON writes as two."""
    return json.dumps(str(path), ensure_ascii=False)
