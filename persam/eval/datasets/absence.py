"""Absence: references against photos that do not hold the object. Can it say "not here"?

The layout is DAVIS's (`davis`), the photos are those of `album`. There is no published protocol: this is ours.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from persam.errors import DataError
from persam.eval.datasets import album
from persam.eval.episodes import Episode


def episodes(root: Path) -> Iterator[Episode]:
    """An episode a sequence: its first frame is the reference, the album targets of every sequence are the targets.

    Its own three hold the object, those of the others do not. All episodes go together: the photos are the same.

    Raises:
        DataError: as `album.episodes`, or there is only one sequence.
    """
    albums = tuple(album.episodes(root))
    if len(albums) < 2:
        raise DataError(f"{len(albums)} sequence in {root}: absence needs the photos of another one.")
    for own in albums:
        yield replace(
            own,
            targets=tuple(
                replace(target, name=f"{other.object}_{target.name}", truth=target.truth if other is own else None)
                for other in albums
                for target in other.targets
            ),
            together="all",
        )
