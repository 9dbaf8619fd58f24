"""Robustness: the targets change, the references do not. Is the object still found, a stranger still refused?

The layout is DAVIS-2016's, of which the photos are those of `album`, or PerSeg's, or a folder that holds such folders.
There is no published protocol: this is ours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from persam.errors import DataError
from persam.eval.changes import CHANGES
from persam.eval.datasets import known_objects
from persam.eval.episodes import ChangedMask, ChangedPhoto, Episode, MaskFile, Target


def episodes(root: Path, *, only: Sequence[str] = tuple(CHANGES)) -> Iterator[Episode]:
    """An episode an object and change, named and counted by the change (`changes.CHANGES`), in the order of objects.

    Its targets are its own photos and up to as many that do not hold it, each of another one of the objects that follow
    it, in the order of their names and round: the same ones under each change.

    Raises:
        DataError: there is no such change, no folder of either layout, or only one object.
    """
    if unknown := [name for name in only if name not in CHANGES]:
        raise DataError(f"there is no change {unknown[0]!r}; there are {', '.join(CHANGES)}.")
    objects = _objects(root)
    if len(objects) < 2:
        raise DataError(f"{len(objects)} object in {root}: robustness needs the photos of another one, to refuse.")
    for place, own in enumerate(objects):
        others = objects[place + 1 :] + objects[:place]
        strangers = dict.fromkeys(_stranger(others, number) for number in range(len(own.targets)))
        targets = [*own.targets, *strangers]
        for change in dict.fromkeys(only):
            shown = tuple(
                changed(target, change, held=number < len(own.targets)) for number, target in enumerate(targets)
            )
            yield replace(own, object=change, draw=own.object, targets=shown)


def _objects(root: Path) -> list[Episode]:
    """Each named by the folder within the root that it is of, too."""
    folders = [root]
    if root.is_dir() and not known_objects.has_layout(root):
        folders = sorted(one for one in root.iterdir() if known_objects.has_layout(one)) or [root]
    return [
        replace(episode, object=(folder.relative_to(root) / episode.object).as_posix())
        for folder in folders
        for episode in known_objects.episodes(folder)
    ]


def _stranger(others: Sequence[Episode], number: int) -> Target:
    other = others[number % len(others)]
    target = other.targets[number % len(other.targets)]
    return replace(target, name=f"{other.object.replace('/', '_')}_{target.name}")


def changed(target: Target, change: str, *, held: bool) -> Target:
    """The target under a change. What is cut off or covered is of the object that the photo shows, asked for or not."""
    assert isinstance(target.truth, MaskFile)
    photo = ChangedPhoto(target.photo.path, mask=target.truth, change=change)
    return replace(target, photo=photo, truth=ChangedMask(photo) if held else None)
