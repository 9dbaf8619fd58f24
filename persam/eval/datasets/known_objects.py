"""Objects with photos that hold them, from a folder in either of two layouts: DAVIS-2016's (`album`) or `perseg`'s."""

from collections.abc import Iterator
from pathlib import Path

from persam.errors import DataError
from persam.eval.datasets import album, perseg
from persam.eval.episodes import Episode


def has_layout(root: Path) -> bool:
    """Whether the folder looks like one of the two."""
    return (root / "JPEGImages").is_dir() or (root / "Images").is_dir()


def episodes(root: Path) -> Iterator[Episode]:
    """An episode an object, as `album` or `perseg` has them.

    Raises:
        DataError: the folder has neither layout, or is incomplete.
    """
    if not has_layout(root):
        raise DataError(
            f"{root} is no folder of DAVIS-2016 (JPEGImages, Annotations) or PerSeg (Images, Annotations): "
            "name the folder that one of them unpacks to."
        )
    yield from album.episodes(root) if (root / "JPEGImages").is_dir() else perseg.episodes(root)
