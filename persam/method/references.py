"""What is given to learn from: photos, and for each where the object is in it."""

from collections.abc import Sequence
from typing import Any

from persam.errors import MaskError


def paired(images: Any, masks: Any) -> tuple[list[Any], list[Any]]:
    """The photos and their masks, as many of one as of the other.

    Raises:
        MaskError: they are not, or there is none.
    """
    photos, marks = _listed(images), _listed(masks)
    if len(photos) == len(marks) and photos:
        return list(photos), list(marks)
    if marks and all(isinstance(mark, int | float) for mark in marks):
        told = ", ".join(f"{mark:g}" for mark in marks[:4])
        raise MaskError(
            f"a list of numbers is no mask. For a box write persam.Box({told}) or "
            f'"box:{told.replace(" ", "")}", for points persam.Points(((x, y), ...)).'
        )
    raise MaskError(
        f"{_counted(len(photos), 'reference photo')} came with {_counted(len(marks), 'mask')}: give one mask a photo."
    )


def counter_pairs(not_this: Any) -> list[tuple[Any, Any]]:
    """Counter-examples as they are given: pairs of a photo and a mask.

    Raises:
        MaskError: they are something else.
    """
    if not isinstance(not_this, list | tuple) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in not_this):
        raise MaskError("not_this is a list of pairs, a photo and a mask each: not_this=[(photo, mask)].")
    return [(photo, mark) for photo, mark in not_this]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _listed(values: Any) -> Sequence[Any]:
    return values if isinstance(values, list | tuple) else [values]
