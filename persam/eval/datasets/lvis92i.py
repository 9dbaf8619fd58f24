"""LVIS-92i (Matcher): 920 classes of LVIS in ten folds of 92.

coco/train2017/*.jpg, coco/val2017/*.jpg
lvis_val.pkl        class -> photo ("val2017/….jpg") -> {"annotations": [{"segmentation": …}, …]}
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from persam.errors import DataError
from persam.eval.datasets.pickles import read_plain_pickle
from persam.eval.episodes import (
    CocoMask,
    Episode,
    Photo,
    Reference,
    Target,
    check_fold,
    check_shots,
    file_in,
    folder_in,
)
from persam.io.rle import segments

FOLDS, EPISODES = 10, 2300


def episodes(root: Path, *, fold: int = 0, shots: int = 1, seed: int = 0) -> Iterator[Episode]:
    """2300 episodes of a fold, its classes in turn; target and references drawn at random from the class.

    Classes with more photos than `shots` count; in the list's own order, every tenth from the fold's number on is
    in the fold. With seed 0 the draws are Matcher's own, by the same calls to NumPy's legacy generator. As there, a
    reference is never the target, but two references may be the same photo.

    Raises:
        DataError: a folder, the list or a photo is missing, or there are too few classes for ten folds.
    """
    check_fold(fold, FOLDS)
    check_shots(shots)
    photos_root = folder_in(root, "coco")
    listed = read_plain_pickle(file_in(root, "lvis_val.pkl"))
    usable = [category for category, photos in listed.items() if len(photos) > shots]
    classes = usable[fold : len(usable) // FOLDS * FOLDS : FOLDS]
    if not classes:
        raise DataError(f"lvis_val.pkl has {len(usable)} classes with more than {shots} photos; ten folds need ten.")
    draws = np.random.RandomState(seed)
    for number in range(EPISODES):
        category = classes[number % len(classes)]
        photos = listed[category]
        names = list(photos)
        target = names[draws.choice(len(names), 1, replace=False)[0]]
        references: list[str] = []
        while len(references) < shots:
            drawn = names[draws.choice(len(names), 1, replace=False)[0]]
            if drawn != target:
                references.append(drawn)
        asked = _pair(photos_root, target, photos[target])
        yield Episode(
            object=f"class_{category:04d}",
            draw=f"{number:04d}",
            references=tuple(_pair(photos_root, reference, photos[reference]) for reference in references),
            targets=(Target(Path(target).stem, asked.photo, asked.mask),),
        )


def _pair(photos_root: Path, name: str, entry: dict[str, Any]) -> Reference:
    photo = Photo(file_in(photos_root, name))
    drawn = tuple(part for one in entry["annotations"] for part in segments(one["segmentation"]))
    return Reference(photo, CocoMask(drawn, photo))
