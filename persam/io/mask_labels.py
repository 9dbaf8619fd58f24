"""Labels among a mask's values: which of them are objects, which undecided, which the noise of an edge or of a JPEG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

Array = np.ndarray[Any, Any]
Label = int | float | str
Objects = Mapping[Label, Bool[Array, "h w"]]

VOID_LABEL = 255
VOID_COLOUR = (224, 224, 192)  # VOC's colour of 255
MOST_LABELS = 64  # in one photo; more are the grey levels of something else
GREY_FROM = 32  # nobody draws an object in a darker grey, and few tables of classes reach it
UNKNOWN_GREYS = (127, 128)  # of a trimap, whose 255 is the object
TABLE_FROM = 1 << 20  # values: a table of all colours is faster than sorting
HUE = 0.25  # of the brightest channel: colours closer than that are one, in a JPEG
SAME = 1 / 16  # of the highest level: values closer than that are one, where there is noise
FEW = 8  # colours of several hues are no noise, however small their areas
ALIKE = 0.7  # of what is marked: as much has the labels' own values, or they are no labels
FLAT = 0.01  # of what is marked: the least flat area of a value that is no noise


@dataclass(frozen=True)
class Marked:
    """The objects that a source marks, each under its label, in order.

    kind: what messages call the labels.
    undecided: what is no object beside others, but may be asked for.
    alpha: the mask of an alpha channel that varies; None without one.
    hint: what else may be done where there are several.
    wholes: several objects of a kind as one mask, under the kind's label: no object, but may be asked for.
    """

    objects: Objects
    kind: str = "labels"
    undecided: Objects = field(default_factory=dict)
    alpha: Bool[Array, "h w"] | None = None
    hint: str = ""
    wholes: Objects = field(default_factory=dict)


def labels_in(values: Shaped[Array, "k c"], places: Shaped[Array, "h w"], counts: Shaped[Array, " k"]) -> Marked | None:
    """The values as labels, where that is what they are; None for levels that run into each other."""
    grey = values.shape[1] == 1
    set_ = np.flatnonzero(values.any(axis=1))
    if len(set_) == 1:
        if len(values) == 1:
            return None  # full
        return _marked(values, places, [int(set_[0])], grey)
    void = (VOID_LABEL,) if grey else VOID_COLOUR
    is_void = np.array([tuple(values[number]) == void for number in set_])
    others, [*voids] = set_[~is_void], set_[is_void]
    whole = values.dtype.kind in "ui" or bool((values == np.rint(values)).all())
    flat = _flat_areas(places, len(values))
    if grey and whole and values[set_].max() > 1 and values[others].max(initial=0) < GREY_FROM:
        if not voids:
            return _marked(values, places, others, grey)
        rivals = counts[voids].sum() > 8 * counts[others].sum()
        if not rivals or flat[others].any():
            return _marked(values, places, [*others, *voids] if rivals else others, grey, [] if rivals else voids)
    few = len(set_) <= FEW and not grey and not _of_one_hue(values[set_])
    if few or (len(set_) <= MOST_LABELS and flat[set_].all()):  # no noise: every value has an area of its own
        return _undecided_or_not(values, places, counts, others, voids, grey)
    return _of_greys(values, places, counts, flat, set_) if grey else None


def _undecided_or_not(
    values: Array, places: Array, counts: Array, others: Array, voids: list[Any], grey: bool
) -> Marked:
    certain = not grey or (
        counts[voids].sum() * 4 < counts[others].sum()
        and not any(int(value) in UNKNOWN_GREYS for value in values[others, 0])
    )
    if voids and not certain:
        return _marked(values, places, [*others, *voids], grey)
    return _marked(values, places, others, grey, voids)


def _of_greys(
    values: Shaped[Array, "k 1"],
    places: Shaped[Array, "h w"],
    counts: Shaped[Array, " k"],
    flat: Shaped[Array, " k"],
    set_: Shaped[Array, " n"],
) -> Marked | None:
    """The levels with a large flat area as labels, among noise; None where it is one at most."""
    levels = values[:, 0].astype(np.float64)
    high = levels.max()
    set_ = set_[levels[set_] > high / 8]
    marked = counts[set_].sum()
    chosen: list[int] = []
    for number in sorted(set_.tolist(), key=lambda one: -flat[one]):
        if flat[number] < FLAT * marked:
            break
        if all(abs(levels[number] - levels[other]) > SAME * high for other in chosen):
            chosen.append(number)
    if len(chosen) < 2 or flat[set_].sum() < ALIKE * marked:
        return None
    centres = np.array([0.0, *levels[sorted(chosen)]])
    nearest = np.abs(levels[:, None] - centres).argmin(axis=1)
    objects = {plain(values[one, 0]): nearest[places] == place for place, one in enumerate(sorted(chosen), start=1)}
    return Marked(objects, "grey levels")


def hues_in(values: Shaped[Array, "k 3"], places: Shaped[Array, "h w"], counts: Shaped[Array, " k"]) -> Marked | None:
    """The colours of several hues among the noise of a JPEG, each with what is nearest to it; None for one hue."""
    brightest = values.max(axis=1)
    bright = np.flatnonzero(brightest >= float(values.max()) / 3)
    hues = values[bright] / values[bright].max(axis=1, keepdims=True)
    left, weights = np.ones(len(bright), bool), counts[bright]
    centres: list[int] = []
    while left.any() and len(centres) < MOST_LABELS:
        best = int(np.argmax(np.where(left, weights, 0)))
        near = np.abs(hues - hues[best]).max(axis=1) <= HUE
        if weights[near & left].sum() >= FLAT * weights.sum():
            centres.append(best)
        left &= ~near
        left[best] = False
    if len(centres) < 2:
        return None
    exact = values[bright][centres].astype(np.float64)
    close = np.abs(values[:, None] - exact[None]).max(axis=2).min(axis=1) <= SAME * exact.max()
    if counts[close].sum() < ALIKE * counts[brightest > float(values.max()) / 8].sum():
        return None  # a photo
    nearest = np.full(len(values), -1)
    nearest[bright] = np.abs(hues[:, None] - hues[centres][None]).max(axis=2).argmin(axis=1)
    objects: dict[Label, Bool[Array, "h w"]] = {
        hex_of(values[bright[one]]): nearest[places] == place for place, one in enumerate(centres)
    }
    return Marked(objects, "colours")


def _marked(values: Array, places: Array, chosen: Any, grey: bool, undecided: Sequence[Any] = ()) -> Marked:
    objects = {_name(values[one], grey): places == one for one in chosen}
    void = {_name(values[one], grey): places == one for one in undecided}
    return Marked(objects, "labels" if grey else "colours", void)


def values_of(array: Shaped[Array, "h w c"]) -> tuple[Shaped[Array, "k c"], Shaped[Array, "h w"], Shaped[Array, " k"]]:
    """Each value once in rising order, which of them every pixel has, and how many pixels have it."""
    hw, channels = array.shape[:2], array.shape[2]
    if array.dtype.kind == "i" and array.size and array.min() >= 0 and array.max() < 65536:
        array = array.astype(np.uint16)
    if channels == 1 and array.dtype in (np.uint8, np.uint16):  # a table is faster than sorting
        every = np.bincount(array.ravel())
        values = np.flatnonzero(every)
        table = np.zeros(len(every), np.int64)
        table[values] = np.arange(len(values))
        return values.astype(array.dtype)[:, None], table[array[..., 0]], every[values]
    if channels == 1:
        values, places, counts = np.unique(array, return_inverse=True, return_counts=True)
        return values[:, None], places.reshape(hw), counts
    if array.dtype == np.uint8 and array.size > TABLE_FROM:
        packed = array[..., 0].astype(np.int64) << 16 | array[..., 1].astype(np.int64) << 8 | array[..., 2]
        every = np.bincount(packed.ravel())
        codes = np.flatnonzero(every)
        table = np.zeros(len(every), np.int64)
        table[codes] = np.arange(len(codes))
        values = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(np.uint8)
        return values, table[packed], every[codes]
    if array.dtype == np.uint8:
        packed = array[..., 0].astype(np.uint32) << 16 | array[..., 1].astype(np.uint32) << 8 | array[..., 2]
        codes, places, counts = np.unique(packed, return_inverse=True, return_counts=True)
        values = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(np.uint8)
        return values, places.reshape(hw), counts
    flat = np.ascontiguousarray(array.reshape(-1, channels))
    values, places, counts = np.unique(flat, axis=0, return_inverse=True, return_counts=True)
    return values, places.reshape(hw), counts


def _of_one_hue(colours: Shaped[Array, "k c"]) -> bool:
    """Whether the colours are one, more or less bright, as a smoothed edge on black has them."""
    hues = colours / colours.max(axis=1, keepdims=True)
    return bool((np.abs(hues - hues[-1]) <= SAME).all())


def _flat_areas(places: Shaped[Array, "h w"], count: int) -> Shaped[Array, " k"]:
    """Of each value, how many pixels have eight neighbours of the same."""
    same = np.zeros(places.shape, bool)
    if min(places.shape) < 3:
        return np.zeros(count, np.int64)
    inner = places[1:-1, 1:-1]
    height, width = places.shape
    same[1:-1, 1:-1] = True
    for down in (0, 1, 2):
        for right in (0, 1, 2):
            same[1:-1, 1:-1] &= inner == places[down : height - 2 + down, right : width - 2 + right]
    return np.bincount(places[same], minlength=count)


def _name(value: Shaped[Array, " c"], grey: bool) -> Label:
    return plain(value[0]) if grey else hex_of(value)


def plain(value: Any) -> Label:
    """A number as Python's own; whole floats as integers."""
    number = value.item() if isinstance(value, np.generic) else value
    return int(number) if number == int(number) else float(number)


def hex_of(colour: Shaped[Array, " 3"]) -> str:
    if colour.dtype.kind == "f" and colour.max() <= 1:
        colour = np.rint(colour * 255)
    return "".join(f"{int(level):02x}" for level in colour)
