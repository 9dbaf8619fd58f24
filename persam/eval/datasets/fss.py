"""FSS-1000: every photo of the 240 test classes is a target once, with references drawn from its class.

data/<class>/1.jpg … 10.jpg, 1.png … 10.png      grey level from 128 up is the object
splits/test.txt                                  a class a line (HSNet's split)
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from persam.eval.episodes import Episode, MaskFile, Photo, Reference, Target, check_shots, file_in, folder_in

PHOTOS = 10  # of a class
LEAST = 128


def episodes(root: Path, *, shots: int = 1, seed: int = 0) -> Iterator[Episode]:
    """An episode a photo. With seed 0 the draws are HSNet's own, by the same calls to NumPy's legacy generator.

    As there, a reference is never the target, but two references may be the same photo.

    Raises:
        DataError: the split, a class or a mask is missing.
    """
    check_shots(shots)
    draws = np.random.RandomState(seed)
    for name in sorted(file_in(root, "splits", "test.txt").read_text().split()):
        folder = folder_in(root, "data", name)
        for photo in sorted(folder.glob("*.jpg"), key=str):
            references: list[str] = []
            while len(references) < shots:
                drawn = str(draws.choice(range(1, PHOTOS + 1), 1, replace=False)[0])
                if drawn != photo.stem:
                    references.append(drawn)
            target = _pair(folder, photo.stem)
            yield Episode(
                object=name,
                draw=photo.stem,
                references=tuple(_pair(folder, reference) for reference in references),
                targets=(Target(photo.stem, target.photo, target.mask),),
            )


def _pair(folder: Path, stem: str) -> Reference:
    return Reference(Photo(file_in(folder, f"{stem}.jpg")), MaskFile(file_in(folder, f"{stem}.png"), least=LEAST))
