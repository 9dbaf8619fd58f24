"""What the values of a mask say: one object, or several under labels; the same for a file and for an array.

One rule for every container:
- one value beside 0 is the object, whatever it is: 0/1, 0/255, PerSeg's 128, one colour;
- grey levels that run into each other are a soft mask, whose object is what reaches half of the highest level;
- a few values with an area of their own each are labels. 255 beside smaller ones is undecided and no object; so is
  VOC's cream beside other colours;
- colours count as labels do, and the planes of a stack likewise;
- transparency is the mask where the colours under it are a photo or a single colour.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from persam.errors import MaskError
from persam.io.mask_labels import (
    MOST_LABELS,
    VOID_COLOUR,
    VOID_LABEL,
    Label,
    Marked,
    hex_of,
    hues_in,
    labels_in,
    plain,
    values_of,
)

Array = np.ndarray[Any, Any]
PHOTO = 0.2  # Of 196 photos one has fewer pixels between dark and bright; masks have more only as JPEG of a quality at
# which their noise rivals their level.


def marked_in(array: Shaped[Array, "h w c"], indexed: Shaped[Array, "h w"] | None = None) -> Marked:
    """The objects in the values of a picture.

    Args:
        array: with 1, 3 or 4 channels; of a palette file its colours.
        indexed: the indices of a palette file.

    Raises:
        MaskError: the values are no mask of anything: empty, full, negative, or a photo.
    """
    if array.shape[2] == 4:
        alpha = array[..., 3]
        if alpha.min() != alpha.max():
            return _with_alpha(array[..., :3], alpha, indexed)
        array = array[..., :3]
    if array.shape[2] == 3 and bool((array == array[..., :1]).all()):
        array = array[..., :1]
    if indexed is not None and (array.shape[2] == 3 or array.min() == array.max()):
        labels = _of_indices(array, indexed)
        if labels is not None:
            return labels
    return _of_levels(array[..., 0]) if array.shape[2] == 1 else _of_colours(array)


def marked_in_stack(planes: Shaped[Array, "n h w"]) -> Marked:
    """The objects of a stack of masks, numbered from 1; planes without a pixel are left out."""
    found: dict[Label, Bool[Array, "h w"]] = {}
    for number, plane in enumerate(planes, start=1):
        if plane.any():
            high = plane.max()
            found[number] = plane >= high / 2 if plane.dtype != np.bool_ else plane
    if not found:
        raise MaskError(f"the mask is empty: no pixel above 0 in {_size(planes[0])}. Draw the object.")
    return Marked(found, "masks")


def is_stack(planes: Shaped[Array, "n h w"]) -> bool:
    """Whether planes are masks rather than channels: each of one value beside 0, and no two that agree."""
    if planes.dtype.kind not in "bui" or len(planes) < 2:
        return len(planes) > 4
    if planes.dtype != np.bool_ and len(planes) in (3, 4):
        for plane in planes:
            values = np.unique(plane)
            if len(values) > 2 or (len(values) == 2 and values[0] != 0):
                return False
        if len(planes) == 4 and all(plane.all() or not plane.any() for plane in planes[3:]):
            return False  # an alpha channel that says nothing
    marked = [plane > 0 for plane in planes if plane.any()]
    return not all(np.array_equal(one, marked[0]) for one in marked[1:])


def _with_alpha(
    colours: Shaped[Array, "h w 3"], alpha: Shaped[Array, "h w"], indexed: Shaped[Array, "h w"] | None
) -> Marked:
    """By alpha, unless the colours that show are labels, or a mask that says something else."""
    visible = alpha >= alpha.max() / 2
    if not visible.any() or visible.all():
        visible = alpha > alpha.min()
    whole = Marked({"alpha": visible}, "masks", alpha=visible)
    shown = np.where(visible[..., None], colours, 0)
    if not shown.any():
        return whole
    if len(values_of(shown)[0]) > MOST_LABELS:  # a photo, cut out
        return whole
    try:
        grey = bool((shown == shown[..., :1]).all())
        labels = None if grey or indexed is None else _of_indices(shown, np.where(visible, indexed, 0))
        painted = labels or (_of_levels(shown[..., 0]) if grey else _of_colours(shown))
    except MaskError:
        return whole
    if len(painted.objects) == 1 and not painted.undecided:
        [[label, mask]] = painted.objects.items()
        if np.array_equal(mask, visible):
            return whole
        return Marked({label: mask, "alpha": visible}, "masks", alpha=visible)
    return Marked(painted.objects, painted.kind, painted.undecided, visible, "or all of them by their alpha: --alpha")


def _of_levels(levels: Shaped[Array, "h w"]) -> Marked:
    if levels.dtype == np.bool_:
        levels = levels.astype(np.uint8)
    low, high = float(levels.min()), float(levels.max())
    size = _size(levels)
    if low < 0:
        raise MaskError(f"the mask has negative values, down to {low:.4g}. Threshold logits first: logits > 0.")
    if high == 0:
        raise MaskError(
            f"the mask is empty: no pixel above 0 in {size}. Draw the object, or check that the file is not inverted."
        )
    values, places, counts = values_of(levels[..., None])
    labels = labels_in(values, places, counts)
    if labels is not None:
        return labels
    between = _between(levels)
    if between > PHOTO:
        raise MaskError(
            f"the mask is no mask but a photo or a soft map: {between:.0%} of {size} pixels are neither dark nor "
            f"bright. Pass an image with the object in one grey level, and 0 elsewhere."
        )
    if low >= high / 2:
        raise MaskError(
            f"the mask is full: every pixel of {size} is set. It should be 0 outside the object; check that it is not "
            f"inverted, and not the photo itself."
        )
    return Marked({plain(high): levels >= high / 2})


def _of_colours(colours: Shaped[Array, "h w 3"]) -> Marked:
    """By colours that have an area of their own; else by how bright the brightest channel is."""
    values, places, counts = values_of(colours)
    dark = ~values.any(axis=1)
    if not dark.any() and 1 < len(values) <= MOST_LABELS:
        objects: dict[Label, Bool[Array, "h w"]] = {hex_of(one): places == n for n, one in enumerate(values)}
        if min(counts) * 50 >= places.size:
            return Marked(objects, "colours", hint="; the background should be black")
    labels = labels_in(values, places, counts)
    labels = labels or hues_in(values, places, counts)
    return labels if labels is not None else _of_levels(colours.max(axis=2))


def _between(levels: Shaped[Array, "h w"]) -> float:
    """The share of pixels that are neither dark nor bright."""
    high = float(levels.max())
    return float(((levels > high / 8) & (levels < high * 3 / 4)).mean())


def _of_indices(colours: Shaped[Array, "h w c"], indices: Shaped[Array, "h w"]) -> Marked | None:
    """A palette file's objects by index; every black index is background. None where its colours say more."""
    used = [int(index) for index in np.unique(indices)]
    if len(used) > MOST_LABELS:
        return None
    shown = {index: tuple(colours[indices == index][0].tolist()) for index in used}
    black = {index for index in used if not any(shown[index])}
    if len(black) == len(used):  # a palette that shows nothing: the indices are all there is
        return _of_levels(indices) if used != [0] else None
    if not black and used[0] == 0 and len(used) > 1:
        black = {0}  # another colour of the background's own
    found: dict[Label, Bool[Array, "h w"]] = {index: indices == index for index in used if index not in black}
    undecided: dict[Label, Bool[Array, "h w"]] = {}
    for index in [one for one in used if one in found and (one == VOID_LABEL or shown[one] == VOID_COLOUR)]:
        if len(found) > 1:
            undecided[index] = found.pop(index)
    if not black and len(found) == 1 and not undecided:
        return None  # full
    return Marked(found, "labels", undecided)


def _size(plane: Shaped[Array, "h w"]) -> str:
    return f"{plane.shape[1]}x{plane.shape[0]}"
