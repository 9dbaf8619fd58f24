"""COCO-20i: the 80 classes of COCO 2014 in four folds of 20; class i belongs to fold i mod 4.

val2014/*.jpg
annotations/val2014/*.png        grey level 1 + i is class i, in the order of COCO's own list (HSNet's files)
splits/val/fold0.pkl … fold3.pkl     class -> its photos, as "val2014/….jpg"
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from persam.errors import DataError
from persam.eval.datasets.pickles import read_plain_pickle
from persam.eval.episodes import (
    Episode,
    MaskFile,
    Photo,
    Reference,
    Target,
    check_fold,
    check_shots,
    file_in,
    folder_in,
)

CLASSES, FOLDS, EPISODES = 80, 4, 1000


def episodes(root: Path, *, fold: int = 0, shots: int = 1, seed: int = 0) -> Iterator[Episode]:
    """1000 episodes of a fold: a class, a target and references of that class, all drawn at random.

    With seed 0 the draws are HSNet's own, by the same calls to NumPy's legacy generator. As there, a reference is
    never the target, but two references may be the same photo.

    Raises:
        DataError: a folder or the fold's list is missing, or a class has fewer than two photos.
    """
    check_fold(fold, FOLDS)
    check_shots(shots)
    folder_in(root, "annotations")
    listed = read_plain_pickle(file_in(root, "splits", "val", f"fold{fold}.pkl"))
    classes = list(range(fold, CLASSES, FOLDS))
    draws = np.random.RandomState(seed)
    for number in range(EPISODES):
        category = int(draws.choice(classes, 1, replace=False)[0])
        photos = listed.get(category, [])
        if len(set(photos)) < 2:
            raise DataError(f"class {category} has {len(photos)} photos in fold {fold}'s list; two are needed.")
        target = photos[draws.choice(len(photos), 1, replace=False)[0]]
        references: list[str] = []
        while len(references) < shots:
            drawn = photos[draws.choice(len(photos), 1, replace=False)[0]]
            if drawn != target:
                references.append(drawn)
        asked = _pair(root, target, category)
        yield Episode(
            object=f"class_{category:02d}",
            draw=f"{number:04d}",
            references=tuple(_pair(root, reference, category) for reference in references),
            targets=(Target(Path(target).stem, asked.photo, asked.mask),),
        )


def _pair(root: Path, name: str, category: int) -> Reference:
    mask = file_in(root, "annotations", str(Path(name).with_suffix(".png")))
    return Reference(Photo(file_in(root, name)), MaskFile(mask, label=category + 1))
