"""References by name, from the examples and from folders of benchmarks: what `persam bench` measures on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from persam.errors import DataError
from persam.eval.datasets import davis, perseg
from persam.eval.demo import read_albums
from persam.io.images import read_image
from persam.io.masks import read_mask

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Shown:
    """A reference by name: photo and mask."""

    name: str
    rgb: UInt8[Array, "h w 3"]
    mask: Bool[Array, "h w"]


def references(examples: Path, roots: Sequence[Path], most: int) -> list[Shown]:
    """The example albums' references, and `most` of each folder in DAVIS-2016's or PerSeg's layout, evenly spread.

    Raises:
        DataError: a folder has neither layout, or there are no examples.
    """
    shown = []
    for album in read_albums(examples):
        rgb = read_image(examples / album["reference"])
        shown.append(Shown(album["name"], rgb, read_mask(examples / album["mask"], (rgb.shape[0], rgb.shape[1]))))
    for root in roots:
        if (root / "JPEGImages").is_dir():
            episodes = list(davis.episodes_2016(root))
        elif (root / "Images").is_dir():
            episodes = list(perseg.episodes(root))
        else:
            raise DataError(f"{root} holds neither DAVIS-2016 (JPEGImages) nor PerSeg (Images). Name such a folder.")
        for place in np.linspace(0, len(episodes) - 1, min(most, len(episodes))).round().astype(int):
            [reference, *_] = episodes[place].references
            shown.append(Shown(episodes[place].object, reference.photo.read(), reference.mask.read()))
    return shown
