"""A photo as RGB, from whatever a person has: a file, a PIL image, a NumPy array, a tensor.

What an array means:
- integers run from 0 to the end of 8, 10, 12, 14 or 16 bits: the least that holds them all. They are scaled, not
  clipped; bool is black and white;
- floats run 0 to 1. Floats beyond that are an error and not a guess: 0 to 255, or normalised by a network's mean?
- channels (1 grey, 3 RGB, 4 RGBA) come last in NumPy and first in torch where both readings are possible, as in
  3 x 480 x 3; otherwise wherever they are;
- transparent pixels show white, as they do in most viewers; a fourth band that is no transparency is left out.
Colours of a file with a profile of its own become sRGB.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from persam.errors import ImageError
from persam.io.image_files import band_warning, check_no_address, is_open_file, open_image, upright
from persam.io.image_values import depth_of, in_srgb, is_alpha

Array = np.ndarray[Any, Any]
STRIP = 1 << 18  # pixels of an image that are converted at a time: all of 100 megapixels at once took another 700 MB


def read_image(source: object) -> UInt8[Array, "h w 3"]:
    """The photo as RGB, upright by its EXIF tag.

    Args:
        source: a path (`~` is the home folder), a file that is open for reading bytes, a PIL image, a NumPy array or
            a torch tensor on any device; see the top of this file for what their values mean.

    Returns:
        Values 0 to 255. An array that already is RGB uint8 comes back as it is, not copied.

    Raises:
        ImageError: there is no such file, it is no image, damaged, or larger than PIL's limit, or the values or the
            shape make no photo.
    """
    loaded = load(source, "image")
    is_array = isinstance(loaded, np.ndarray)
    values = loaded if isinstance(loaded, np.ndarray) else _pixels(loaded, lambda strip: _values(in_srgb(strip)))
    del loaded  # PIL's own copy, of four bytes a pixel
    array = channels_last(values, "image", tensor=is_tensor(source))
    if array.shape[2] == 4 and is_array and not is_alpha(array[..., 3]):
        band_warning("the image")
        array = array[..., :3]
    pixels = _to_uint8(array)
    if pixels.shape[2] == 4:
        pixels = _over_white(pixels)
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return np.ascontiguousarray(pixels)


def load(source: object, noun: str, *, frames: bool = False) -> "Image.Image | Array":
    """The source as an upright PIL image, or as an array if it is one or a tensor. noun: what messages call it.

    frames: whether the frames of a file with several come as an array; else it is the first.
    """
    if isinstance(source, str | os.PathLike):
        check_no_address(str(source), noun)
        return open_image(source, noun, frames=frames)
    if isinstance(source, Image.Image):
        try:
            source.load()
        except Exception as error:  # PIL reads late: here shows a file that is damaged, or closed already
            raise ImageError(
                f"cannot decode the {noun} from PIL ({error}). Pass its path, or open it again."
            ) from error
        return upright(source)
    if is_tensor(source):
        tensor = source.detach().cpu()  # type: ignore[attr-defined]
        # NumPy has no bfloat16
        return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    if isinstance(source, np.ndarray):
        return source
    if is_open_file(source):
        return open_image(source, noun, frames=frames)
    advice = " Wrap bytes as io.BytesIO(...)." if isinstance(source, bytes | bytearray | memoryview) else ""
    raise ImageError(
        f"cannot read the {noun} from {type(source).__name__!r}. Pass a path, a PIL image, a NumPy array or a tensor."
        f"{advice}"
    )


def is_tensor(source: object) -> bool:
    """Whether it is a torch tensor; without torch loaded, nothing is."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.Tensor)


def pixels_of(loaded: "Image.Image | Array") -> Array:
    """The values as an array; a PIL image of a mode that means nothing to NumPy becomes RGB or RGBA."""
    return loaded if isinstance(loaded, np.ndarray) else _pixels(loaded, _values)


def _pixels(image: Image.Image, values: Callable[[Image.Image], Array]) -> Array:
    if image.width * image.height <= STRIP:
        return np.array(values(image))  # not np.asarray: that is read-only, and torch warns of it
    return _in_strips(image.height, image.width, lambda top, end: values(image.crop((0, top, image.width, end))))


def _values(image: Image.Image) -> Array:
    if image.mode.startswith("I") or image.mode == "F":
        return np.asarray(image)
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    if image.has_transparency_data and image.mode != "RGBA":
        return np.asarray(image.convert("RGBA"))
    if image.mode not in ("L", "RGB", "RGBA"):
        return np.asarray(image.convert("RGB"))
    return np.asarray(image)


def _in_strips(height: int, width: int, act: Callable[[int, int], Array]) -> Array:
    """What it gives for strips of rows, from and up to, one below the other."""
    step = max(1, STRIP // max(1, width))
    first = act(0, min(step, height))
    whole = np.empty((height, *first.shape[1:]), first.dtype)
    whole[:step] = first
    for top in range(step, height, step):
        whole[top : top + step] = act(top, min(top + step, height))
    return whole


def channels_last(array: Array, noun: str, *, tensor: bool) -> Shaped[Array, "h w c"]:
    """The values with 1, 3 or 4 channels last. tensor: whether channels come first where both readings are possible.

    Raises:
        ImageError: a shape or a type of values that makes no image.
    """
    shape = array.shape
    if array.ndim == 4:
        raise ImageError(f"the {noun} has four dimensions {shape}: a batch. Pass one {noun} of it at a time.")
    if array.ndim == 2:
        array = array[..., None]
    elif array.ndim == 3:
        last, first = shape[2] in (1, 3, 4), shape[0] in (1, 3, 4)
        if tensor and first and (shape[0] > 1 or shape[2] not in (3, 4)):
            last = False
        if first and not last:
            array = np.moveaxis(array, 0, -1)
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise ImageError(
            f"the {noun} has the shape {shape}. Pass height x width, or height x width x channels "
            f"with 1 (grey), 3 (RGB) or 4 (RGBA) channels."
        )
    if not array.size:
        raise ImageError(f"the {noun} has no pixels: its shape is {shape}. Check how it was cut out or loaded.")
    if array.dtype.kind not in "buif":
        raise ImageError(f"the {noun} holds {array.dtype} values. Pass uint8, uint16, bool, or floats from 0 to 1.")
    return array


def check_finite(array: Shaped[Array, "..."], noun: str) -> None:
    """Raises ImageError where floats hold NaN or infinite values."""
    if array.dtype.kind != "f":
        return
    bad = array.size - int(np.isfinite(array).sum())
    if bad:
        raise ImageError(f"the {noun} holds {bad} NaN or infinite values of {array.size}. Replace them first.")


def _to_uint8(array: Shaped[Array, "h w c"]) -> UInt8[Array, "h w c"]:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array * np.uint8(255)
    check_finite(array, "image")
    low, high = array.min(), array.max()
    if array.dtype.kind == "f":
        # resampling in floats overshoots by a hair
        if low < -1e-3 or high > 1 + 1e-3:
            raise ImageError(
                f"the image is {array.dtype} with values from {low:.4g} to {high:.4g}, and floats must lie in 0 to 1. "
                f"Divide by 255, undo a normalisation, or convert to uint8."
            )
        return np.rint(array.clip(0, 1) * 255).astype(np.uint8)
    if low < 0 or high > 65535:
        raise ImageError(
            f"the image is {array.dtype} with values from {low} to {high}, and integers must lie in 0 to 255, or in 0 "
            f"to 65535 at most. Scale it to uint8."
        )
    return np.concatenate([_scaled(part) for part in (array[..., :3], array[..., 3:]) if part.shape[2]], axis=2)


def _scaled(array: Shaped[Array, "h w c"]) -> UInt8[Array, "h w c"]:
    top = (1 << depth_of(array)) - 1

    def scaled(start: int, end: int) -> UInt8[Array, "_ w c"]:
        return ((array[start:end].astype(np.uint32) * 255 + top // 2) // top).astype(np.uint8)

    return _in_strips(array.shape[0], array.shape[1], scaled)


def _over_white(rgba: UInt8[Array, "h w 4"]) -> UInt8[Array, "h w 3"]:
    colour, alpha = rgba[..., :3], rgba[..., 3:]
    if alpha.min() == 255:
        return colour

    def over_white(start: int, end: int) -> UInt8[Array, "_ w 3"]:
        weight = alpha[start:end].astype(np.uint32)
        return ((colour[start:end] * weight + 255 * (255 - weight) + 127) // 255).astype(np.uint8)

    return _in_strips(rgba.shape[0], rgba.shape[1], over_white)
