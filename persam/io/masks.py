"""A mask as an array of booleans, from whatever a person has, and several objects' masks from one map of labels."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Shaped
from PIL import Image

from persam.errors import ImageError, MaskError
from persam.io.images import channels_last, check_finite, load, pixels_of

Array = np.ndarray[Any, Any]

VOID_LABEL = 255
MOST_LABELS = 64  # in one photo; more are the grey levels of something else


def read_mask(source: object, image_hw: tuple[int, int], *, image_name: str = "the photo") -> Bool[Array, "h w"]:
    """True where the object is.

    The rule: a pixel is object when its level is at least half of the mask's highest level. That holds for 0/1, 0/255
    and PerSeg's 128, and for the noise of JPEG and smoothed edges. The level is the alpha channel where that varies,
    else the brightest colour channel; in a palette file every colour but black counts as the highest level.

    Args:
        source: as for `persam.io.images.read_image`; the values of an array may have any range from 0 up.
        image_hw: size of the photo that the mask belongs to.
        image_name: what messages call that photo.

    Raises:
        MaskError: the mask cannot be read, has another size than the photo, is empty or full, or is no mask of one
            object but a photo or a map of several labels.
    """
    with _as_mask_error():
        loaded = load(source, "mask")
        array = _channels_last(pixels_of(loaded), "mask", image_hw)
        check_finite(array, "mask")
    _check_size(array.shape[:2], image_hw, image_name)
    levels = _levels_of(array, palette=isinstance(loaded, Image.Image) and loaded.mode in ("P", "PA"))
    _check_one_object(levels)
    return levels >= levels.max() / 2


def read_labels(source: object, image_hw: tuple[int, int], *, image_name: str = "the photo") -> dict[int, Array]:
    """Several objects' masks from one map of labels, as DAVIS-2017 and VOC draw them: {label: bool (h, w)}, in order.

    Args:
        source: as for `persam.io.images.read_image`, of one channel: a palette file's indices, or grey levels, or
            integers. 0 is background, 255 undecided.
        image_hw: size of the photo that the map belongs to.
        image_name: what messages call that photo.

    Raises:
        MaskError: the map cannot be read, has another size than the photo, or holds no label or far too many.
    """
    with _as_mask_error():
        loaded = load(source, "map of labels")
        palette = isinstance(loaded, Image.Image) and loaded.mode == "P"
        array = _channels_last(np.array(loaded) if palette else pixels_of(loaded), "map of labels", image_hw)
    _check_size(array.shape[:2], image_hw, image_name)
    if array.shape[2] != 1 or array.dtype.kind not in "bui":
        raise MaskError(
            f"the map of labels has {array.shape[2]} channels of {array.dtype}. Pass one integer a pixel: a palette "
            f"file, or an array of integers."
        )
    labels = [int(label) for label in np.unique(array) if label not in (0, VOID_LABEL)]
    if not labels:
        raise MaskError("the map of labels holds no label but 0 (background) and 255 (undecided). Number the objects.")
    if len(labels) > MOST_LABELS or labels[0] < 0:
        raise MaskError(
            f"the map of labels holds {len(labels)} values, {labels[0]} to {labels[-1]}: more like a photo or a soft "
            f"mask. Number the objects 1, 2, 3 and leave the rest 0."
        )
    return {label: array[..., 0] == label for label in labels}


def looks_inverted(mask: Bool[Array, "h w"]) -> bool:
    """Whether the background is probably what was marked: all corners, most of the border, over half of the area."""
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    corners = mask[[0, 0, -1, -1], [0, -1, 0, -1]]
    return bool(corners.all() and border.mean() > 0.5 and mask.mean() > 0.5)


@contextmanager
def _as_mask_error() -> Iterator[None]:
    try:
        yield
    except ImageError as error:
        raise MaskError(str(error)) from error.__cause__


def _channels_last(array: Array, noun: str, image_hw: tuple[int, int]) -> Shaped[Array, "h w c"]:
    if array.shape[1:] == tuple(image_hw):  # channels first, beyond doubt as the photo's size is known
        array = np.moveaxis(array, 0, -1)
    return channels_last(array, noun, tensor=False)


def _levels_of(array: Shaped[Array, "h w c"], *, palette: bool) -> Float32[Array, "h w"]:
    if array.shape[2] == 4:
        alpha = array[..., 3]
        if alpha.min() != alpha.max():
            return alpha.astype(np.float32)
        array = array[..., :3]
    brightest = array.max(axis=2)
    return (brightest > 0 if palette else brightest).astype(np.float32)


def _check_one_object(levels: Float32[Array, "h w"]) -> None:
    size = f"{levels.shape[1]}x{levels.shape[0]}"
    low, high = levels.min(), levels.max()
    if low < 0:
        raise MaskError(f"the mask has negative values, down to {low:.4g}. Threshold logits first: logits > 0.")
    if high == 0:
        raise MaskError(
            f"the mask is empty: no pixel above 0 in {size}. Draw the object, or check that the file is not inverted."
        )
    if 1 < high < 32:  # no grey level that anybody draws an object with
        labels = [int(label) for label in np.unique(levels.astype(int)) if label]
        if len(labels) > 1:
            shown = ", ".join(map(str, labels[:4])) + (", ..." if len(labels) > 4 else "")
            raise MaskError(
                f"the mask holds {len(labels)} labels ({shown}). Pass one object (mask == {labels[0]}), "
                f"or all of them to `learn_each`."
            )
    # Of 196 photos one lies below; masks lie above only as JPEG of a quality at which their noise rivals their level.
    between = float(((levels > high / 8) & (levels < high * 3 / 4)).mean())
    if between > 0.2:
        raise MaskError(
            f"the mask is no mask but a photo or a soft map: {between:.0%} of {size} pixels are neither dark nor "
            f"bright. Pass an image with the object in one grey level, and 0 elsewhere."
        )
    if low >= high / 2:
        raise MaskError(
            f"the mask is full: every pixel of {size} is set. It should be 0 outside the object; check that it is not "
            f"inverted, and not the photo itself."
        )


def _check_size(mask_hw: tuple[int, ...], image_hw: tuple[int, int], image_name: str) -> None:
    (mask_height, mask_width), (height, width) = mask_hw, image_hw
    message = f"the mask is {mask_width}x{mask_height} but {image_name} is {width}x{height} (width x height)."
    if (mask_height, mask_width) == (width, height) and height != width:
        raise MaskError(f"{message} One of them lies on its side: turn the mask as the photo is shown.")
    if (mask_height, mask_width) != (height, width):
        raise MaskError(
            f"{message} Draw it on this photo, or resize it to {width}x{height} with nearest-neighbour sampling."
        )
