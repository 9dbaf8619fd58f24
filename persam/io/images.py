"""A photo as RGB, from whatever a person has: a file, a PIL image, a NumPy array, a tensor.

What an array means:
- integers run 0 to 255, uint16 0 to 65535 (scaled, not clipped), bool is black and white;
- floats run 0 to 1. Floats beyond that are an error and not a guess: 0 to 255, or normalised by a network's mean?
- channels (1 grey, 3 RGB, 4 RGBA) come last in NumPy and first in torch where both readings are possible, as in
  3 x 480 x 3; otherwise wherever they are;
- transparent pixels show white, as they do in most viewers.
"""

import os
import sys
import threading
import warnings
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image, UnidentifiedImageError

from persam.errors import ImageError

Array = np.ndarray[Any, Any]

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112
_quiet = threading.Lock()  # warning filters belong to the whole process


def read_image(source: object) -> UInt8[Array, "h w 3"]:
    """The photo as RGB, upright by its EXIF tag.

    Args:
        source: a path (`~` is the home folder), a PIL image, a NumPy array or a torch tensor on any device; see the
            top of this file for what their values mean.

    Returns:
        Values 0 to 255. An array that already is RGB uint8 comes back as it is, not copied.

    Raises:
        ImageError: there is no such file, it is no image, damaged, or larger than PIL's limit, or the values or the
            shape make no photo.
    """
    values = pixels_of(load(source, "image"))
    pixels = _to_uint8(channels_last(values, "image", tensor=is_tensor(source)))
    if pixels.shape[2] == 4:
        pixels = _over_white(pixels)
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return np.ascontiguousarray(pixels)


def load(source: object, noun: str) -> "Image.Image | Array":
    """The source as an upright PIL image, or as an array if it is one or a tensor. noun: what messages call it."""
    if isinstance(source, str | os.PathLike):
        return _open(Path(os.path.expanduser(os.fspath(source))), noun)
    if isinstance(source, Image.Image):
        try:
            source.load()
        except Exception as error:  # PIL reads late: here shows a file that is damaged, or closed already
            raise ImageError(
                f"cannot decode the {noun} from PIL ({error}). Pass its path, or open it again."
            ) from error
        return _upright(source)
    if is_tensor(source):
        tensor = source.detach().cpu()  # type: ignore[attr-defined]
        # NumPy has no bfloat16
        return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    if isinstance(source, np.ndarray):
        return source
    raise ImageError(
        f"cannot read the {noun} from {type(source).__name__!r}. Pass a path, a PIL image, a NumPy array or a tensor."
    )


def is_tensor(source: object) -> bool:
    """Whether it is a torch tensor; without torch loaded, nothing is."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.Tensor)


def _open(path: Path, noun: str) -> Image.Image:
    start = f"cannot read the {noun} {path}:"
    try:
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise ImageError(f"{start} the file is empty (0 bytes). Copy or export it again.")
            return _upright(_decoded(file))
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"{start} there is no such file. Check the path.") from error
    except IsADirectoryError as error:
        raise ImageError(f"{start} it is a folder. Name one file in it.") from error
    except PermissionError as error:
        raise ImageError(f"{start} no permission to read it. Check the owner and rights of the file.") from error
    except UnidentifiedImageError as error:
        message = f"{start} its content is no image of a known format. Convert it to JPEG or PNG."
        raise ImageError(message) from error
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{start} PIL refuses it ({str(error).rstrip('.')}). Scale it down, or, if you trust the file, raise "
            f"PIL.Image.MAX_IMAGE_PIXELS yourself."
        ) from error
    except MemoryError as error:
        raise ImageError(f"{start} not enough memory to decode it. Scale it down first.") from error
    except Exception as error:  # the decoders of a dozen formats raise anything when the file is damaged
        raise ImageError(f"{start} the file is damaged ({error}). Copy or export it again.") from error


def _decoded(file: IO[bytes]) -> Image.Image:
    """The image with its pixels read. What PIL warns of, such as damaged metadata, does not spoil them."""
    try:
        return _opened(file)
    except Warning:  # where warnings are errors; PIL also warns of every photo above 89 megapixels
        with _quiet, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _opened(file)


def _opened(file: IO[bytes]) -> Image.Image:
    file.seek(0)
    image = Image.open(file)
    image.load()
    return image


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a damaged EXIF block does not spoil the pixels
        return image
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def pixels_of(loaded: "Image.Image | Array") -> Array:
    """The values as an array; a PIL image of a mode that means nothing to NumPy becomes RGB or RGBA."""
    if isinstance(loaded, np.ndarray):
        return loaded
    if loaded.mode.startswith("I"):  # grey in 16 bits, which some formats give as 32
        values = np.array(loaded)
        return values.astype(np.uint16) if values.size and values.min() >= 0 and values.max() <= 65535 else values
    if loaded.mode == "F":
        return np.array(loaded)
    if loaded.mode == "1":
        return np.array(loaded.convert("L"))
    if loaded.has_transparency_data and loaded.mode != "RGBA":
        return np.array(loaded.convert("RGBA"))
    if loaded.mode not in ("L", "RGB", "RGBA"):
        return np.array(loaded.convert("RGB"))
    return np.array(loaded)  # not np.asarray: that is read-only, and torch warns of it


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


def check_finite(array: Shaped[Array, "h w c"], noun: str) -> None:
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
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
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
    if low < 0 or high > 255:
        raise ImageError(
            f"the image is {array.dtype} with values from {low} to {high}, and integers must lie in 0 to 255. "
            f"Scale it to uint8; only uint16 may use 0 to 65535."
        )
    return array.astype(np.uint8)


def _over_white(rgba: UInt8[Array, "h w 4"]) -> UInt8[Array, "h w 3"]:
    colour, alpha = rgba[..., :3], rgba[..., 3:]
    if alpha.min() == 255:
        return colour
    weight = alpha.astype(np.uint32)
    return ((colour * weight + 255 * (255 - weight) + 127) // 255).astype(np.uint8)
