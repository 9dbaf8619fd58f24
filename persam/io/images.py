"""A photo or a mask as an array, from whatever a person has: a file, a PIL image, a NumPy array, a tensor.

What an array means, for photos:
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
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Shaped, UInt8
from PIL import Image, UnidentifiedImageError

from persam.errors import ImageError, MaskError

Array = np.ndarray[Any, Any]

MAX_PIXELS = 400_000_000
"""Files above this are refused unread: twenty times a common photo, and about 3 GB while it is decoded."""

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
_opening = threading.Lock()


def read_image(source: object) -> UInt8[Array, "h w 3"]:
    """The photo as RGB, upright by its EXIF tag.

    Args:
        source: a path (`~` is the home folder), a PIL image, a NumPy array or a torch tensor on any device; see the
            top of this file for what their values mean.

    Returns:
        Values 0 to 255. An array that already is RGB uint8 comes back as it is, not copied.

    Raises:
        ImageError: there is no such file, it is no image or damaged, or the values or the shape make no photo.
    """
    loaded = _load(source, "image")
    pixels = _to_uint8(_channels_last(_pixels_of(loaded), "image", tensor=is_tensor(source)))
    if pixels.shape[2] == 4:
        pixels = _over_white(pixels)
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return np.ascontiguousarray(pixels)


def read_mask(source: object, image_hw: tuple[int, int], *, image_name: str = "the photo") -> Bool[Array, "h w"]:
    """True where the object is.

    The rule: a pixel is object when its level is at least half of the mask's highest level. That holds for 0/1, 0/255
    and PerSeg's 128, and for the noise of JPEG and smoothed edges. The level is the alpha channel where that varies,
    else the brightest colour channel; in a palette file every colour but black counts as the highest level.

    Args:
        source: as for `read_image`; the values of an array may have any range from 0 up.
        image_hw: size of the photo that the mask belongs to.
        image_name: what messages call that photo.

    Raises:
        MaskError: the mask cannot be read, has another size than the photo, is empty or full, or is no mask of one
            object but a photo or a map of several labels.
    """
    try:
        loaded = _load(source, "mask")
        array = _pixels_of(loaded)
        if array.shape[1:] == tuple(image_hw):  # channels first, beyond doubt as the photo's size is known
            array = np.moveaxis(array, 0, -1)
        array = _channels_last(array, "mask", tensor=False)
        _check_finite(array, "mask")
    except ImageError as error:
        raise MaskError(str(error)) from error.__cause__
    if array.shape[:2] != tuple(image_hw):
        raise MaskError(_size_message(array.shape[:2], tuple(image_hw), image_name))
    levels = _levels_of(array, palette=isinstance(loaded, Image.Image) and loaded.mode in ("P", "PA"))
    _check_one_object(levels)
    return levels >= levels.max() / 2


VOID_LABEL = 255
MOST_LABELS = 64  # in one photo; more are the grey levels of something else


def read_labels(source: object, image_hw: tuple[int, int], *, image_name: str = "the photo") -> dict[int, Array]:
    """Several objects' masks from one map of labels, as DAVIS-2017 and VOC draw them: {label: bool (h, w)}, in order.

    Args:
        source: as for `read_image`, of one channel: a palette file's indices, or grey levels, or integers. 0 is
            background, 255 undecided.
        image_hw: size of the photo that the map belongs to.
        image_name: what messages call that photo.

    Raises:
        MaskError: the map cannot be read, has another size than the photo, or holds no label or far too many.
    """
    try:
        loaded = _load(source, "map of labels")
        palette = isinstance(loaded, Image.Image) and loaded.mode == "P"
        array = np.array(loaded) if palette else _pixels_of(loaded)
        array = _channels_last(array, "map of labels", tensor=is_tensor(source))
    except ImageError as error:
        raise MaskError(str(error)) from error.__cause__
    if array.shape[:2] != tuple(image_hw):
        raise MaskError(_size_message(array.shape[:2], tuple(image_hw), image_name))
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


def _load(source: object, noun: str) -> "Image.Image | Array":
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
            image = _open_unlimited(file)
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(
                    f"{start} it is {image.width}x{image.height}, more than {MAX_PIXELS // 1_000_000} megapixels. "
                    f"Scale it down first."
                )
            image.load()
            return _upright(image)
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
    except MemoryError as error:
        raise ImageError(f"{start} not enough memory to decode it. Scale it down first.") from error
    except Exception as error:  # the decoders of a dozen formats raise anything when the file is damaged
        raise ImageError(f"{start} the file is damaged ({error}). Copy or export it again.") from error


def _open_unlimited(file: Any) -> Image.Image:
    """The image with its header read. PIL's limit warns at 89 and fails at 179 megapixels; ours is checked after."""
    with _opening, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of metadata that is damaged: the pixels may be sound
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a damaged EXIF block does not spoil the pixels
        return image
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _pixels_of(loaded: "Image.Image | Array") -> Array:
    """The values as an array; a PIL image of a mode that NumPy has no meaning for becomes RGB or RGBA."""
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


def _channels_last(array: Array, noun: str, *, tensor: bool) -> Shaped[Array, "h w c"]:
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


def _check_finite(array: Shaped[Array, "h w c"], noun: str) -> None:
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
    _check_finite(array, "image")
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


def _size_message(mask_hw: tuple[int, ...], image_hw: tuple[int, ...], image_name: str) -> str:
    (mask_height, mask_width), (height, width) = mask_hw, image_hw
    message = f"the mask is {mask_width}x{mask_height} but {image_name} is {width}x{height} (width x height)."
    if mask_hw == image_hw[::-1]:
        return f"{message} One of them lies on its side: turn the mask as the photo is shown."
    return f"{message} Draw it on this photo, or resize it to {width}x{height} with nearest-neighbour sampling."
