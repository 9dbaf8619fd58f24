"""A mask as an array of booleans, from whatever a person has, and several objects' masks from one source.

`io.mask_values` says what values mean, `io.mask_shapes` what outlines and run lengths do.
"""

import math
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped
from PIL import Image

from persam.errors import ImageError, InputWarning, MaskError
from persam.io.image_files import check_no_address, orientation_of
from persam.io.images import channels_last, check_finite, load, pixels_of
from persam.io.mask_labels import MOST_LABELS, Label, Marked
from persam.io.mask_shapes import marked_in_json, marked_in_text
from persam.io.mask_values import is_stack, marked_in, marked_in_stack

Array = np.ndarray[Any, Any]
TEXT_SUFFIXES = (".json", ".txt", ".xml")
MOST_TEXT = 256 << 20  # bytes
HEADER_BYTES = 1 << 16  # of a NumPy file at most
SHOWN = 6  # labels in a message


@dataclass(frozen=True)
class Mask:
    """A mask with what has to be said about it, wherever a mask goes.

    source: as for `read_mask`.
    label: which of several labels, colours ("c80000") or categories ("cat") is the object.
    invert: whether the source marks the background.
    alpha: whether transparency is the mask, whatever the colours say.
    """

    source: Any
    label: Label | None = None
    invert: bool = False
    alpha: bool = False


def read_mask(
    source: object, image_hw: tuple[int, int], *, image_name: str = "the photo", photo: object = None
) -> Bool[Array, "h w"]:
    """True where the object is: what the source marks, whatever its container.

    Warns (InputWarning) of a mask that looks inverted, and of one that is not turned as the photo is.

    Args:
        source: a picture as for `persam.io.images.read_image`, whose values may have any range from 0 up; a NumPy
            file; a LabelMe, COCO, CVAT, Label Studio or YOLO file, or COCO's run lengths; or a Mask with any of these.
        image_hw: size of the photo that the mask belongs to.
        image_name: what messages call that photo.
        photo: its file, whose EXIF turn is compared with the mask's.

    Raises:
        MaskError: the mask cannot be read, has another size than the photo, is empty or full, is no mask but a photo,
            or holds several objects and does not say which.
    """
    asked = source if isinstance(source, Mask) else Mask(source)
    marked = _marked(asked.source, image_hw, image_name)
    mask = _chosen(marked, asked)
    if mask.all():
        raise MaskError(
            f"the mask is full: every pixel of {image_hw[1]}x{image_hw[0]} is set. It should be 0 outside the object; "
            f"check that it is not inverted, and not the photo itself."
        )
    _warn(asked, mask, image_name, photo)
    return mask


def read_labels(
    source: object, image_hw: tuple[int, int], *, image_name: str = "the photo"
) -> dict[Label, Bool[Array, "h w"]]:
    """Every object's mask from one source, by label, in order.

    Args:
        source: as for `read_mask`: a map of labels as DAVIS-2017 and VOC draw it (0 is background, 255 undecided where
            there are other labels), colours, a stack of masks, shapes.
        image_hw: size of the photo that it belongs to.
        image_name: what messages call that photo.

    Raises:
        MaskError: as for `read_mask`, but for several objects.
    """
    marked = _marked(source, image_hw, image_name)
    if marked.kind == "colours" and np.any(list(marked.objects.values()), axis=0).all():
        raise MaskError(f"every pixel of the mask is an object: {_listed(marked.objects)}. Make the background black.")
    return dict(marked.objects)


def object_name(label: Label) -> str:
    """What results call the object of a label: a category's own name, else "object 3"."""
    named = isinstance(label, str) and not _is_colour(label)
    return str(label) if named else f"object {label}"


def looks_inverted(mask: Bool[Array, "h w"]) -> bool:
    """Whether the background is probably what was marked: the border and its corners, more than the middle."""
    border = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]]).mean()
    corners = mask[[0, 0, -1, -1], [0, -1, 0, -1]]
    height, width = mask.shape
    middle = mask[height // 3 : height - height // 3, width // 3 : width - width // 3]
    if corners.all() and border > 0.5:
        return True
    return bool(corners.sum() >= 3 and border >= 1 / 3 and middle.size and middle.mean() < border)


def _chosen(marked: Marked, asked: Mask) -> Bool[Array, "h w"]:
    if asked.alpha and asked.label is None:
        if marked.alpha is None:
            raise MaskError("the mask has no alpha channel that varies: leave --alpha (alpha=True) away.")
        mask = marked.alpha
    elif asked.label is not None:
        everything = {**marked.objects, **marked.undecided, **marked.wholes}
        found = [mask for label, mask in everything.items() if _same(label, asked.label)]
        if not found:
            raise MaskError(
                f"the mask has no {asked.label!r}: it holds the {marked.kind} {_listed(everything)}. Name one of these."
            )
        mask = found[0]
    elif len(marked.objects) == 1:
        [mask] = marked.objects.values()
    else:
        first = next(iter(marked.objects))
        way = "alpha=True" if first == "alpha" else f"label={first!r}"
        undecided = f" (and {_listed(marked.undecided)}, taken as undecided)" if marked.undecided else ""
        raise MaskError(
            f"the mask holds {len(marked.objects)} {marked.kind}: {_listed(marked.objects)}{undecided}. Say which is "
            f"the object: --label {first} (persam.Mask(..., {way})), or take each as an object of its own: --each "
            f"(`learn_each`){_more(marked)}."
        )
    return ~mask if asked.invert else mask


def _more(marked: Marked) -> str:
    if "alpha" in marked.objects:
        return ", or by its transparency: --alpha (persam.Mask(..., alpha=True))"
    return f"; {marked.hint}" if marked.hint else ""


def _listed(objects: Mapping[Label, Bool[Array, "h w"]]) -> str:
    shown = [f"{label} ({int(mask.sum())} px)" for label, mask in list(objects.items())[:SHOWN]]
    return ", ".join(shown) + (", ..." if len(objects) > SHOWN else "")


def _same(label: Label, asked: Label) -> bool:
    return str(label) == str(asked) or str(label).casefold() == str(asked).lstrip("#").casefold()


def _is_colour(label: str) -> bool:
    return len(label) == 6 and all(sign in "0123456789abcdef" for sign in label)


def _marked(source: object, image_hw: tuple[int, int], image_name: str) -> Marked:
    image_hw = (int(image_hw[0]), int(image_hw[1]))
    with _as_mask_error():
        if isinstance(source, Mapping):
            marked = marked_in_json(source, image_hw, image_name=image_name)
        elif isinstance(source, str | os.PathLike):
            check_no_address(str(source), "mask")
            marked = _of_file(Path(os.path.expanduser(os.fspath(source))), source, image_hw, image_name)
        else:
            marked = _of_picture(source, image_hw, image_name)
    if len(marked.objects) > MOST_LABELS:
        raise MaskError(
            f"the mask holds {len(marked.objects)} {marked.kind}, {_listed(marked.objects)}: more like a photo than "
            f"objects. Number the objects 1, 2, 3 and leave the rest 0."
        )
    return marked


def _of_file(path: Path, source: object, image_hw: tuple[int, int], image_name: str) -> Marked:
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz"):
        return _of_picture(_numpy_file(path, image_hw), image_hw, image_name)
    if suffix not in TEXT_SUFFIXES:
        return _of_picture(source, image_hw, image_name)
    try:
        if path.stat().st_size > MOST_TEXT:
            raise MaskError(f"the mask {path} is too large to be one photo's. Give the annotation of this photo alone.")
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise MaskError(f"cannot read the mask {path}: {reason}. Check the path.") from error
    return marked_in_text(text, image_hw, image_name=image_name, suffix=suffix)


def _numpy_file(path: Path, image_hw: tuple[int, int]) -> Array:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            names = list(loaded.files)
            if "mask" not in names and len(names) != 1:
                raise MaskError(f"{path} holds the arrays {', '.join(names)}: one of them should be called 'mask'.")
            name = "mask" if "mask" in names else names[0]
            unpacked = loaded.zip.getinfo(f"{name}.npy").file_size
            if unpacked > HEADER_BYTES + MOST_LABELS * 8 * math.prod(image_hw):  # a megabyte may unpack to a gigabyte
                raise MaskError(
                    f"the mask {path} unpacks to {unpacked / 1e6:.0f} MB, which no mask of this photo does."
                )
            return np.asarray(loaded[name])
    except MaskError:
        raise
    except FileNotFoundError as error:
        raise MaskError(f"cannot read the mask {path}: there is no such file. Check the path.") from error
    except Exception as error:  # NumPy raises anything when the file is damaged
        raise MaskError(f"cannot read the mask {path}: it is no NumPy file of numbers ({error}).") from error


def _of_picture(source: object, image_hw: tuple[int, int], image_name: str) -> Marked:
    loaded = load(source, "mask", frames=True)
    if isinstance(loaded, Image.Image):
        indexed = np.array(loaded) if loaded.mode == "P" else None
        array = channels_last(pixels_of(loaded), "mask", tensor=False)
        check_finite(array, "mask")
        _check_size(array.shape[:2], image_hw, image_name)
        return marked_in(array, indexed)
    array = loaded
    while array.ndim > 3 and len(array) == 1:
        array = array[0]
    check_finite(array, "mask")
    planes = _planes(array, image_hw)
    if planes is not None and len(planes) > 1 and all(np.array_equal(plane, planes[0]) for plane in planes[1:]):
        array, planes = planes[0], None
    if planes is not None and planes.size and is_stack(planes):
        _check_size(planes.shape[1:], image_hw, image_name)
        if planes.dtype.kind not in "buif" or planes.min() < 0:
            raise MaskError("the masks of the stack have negative values. Threshold logits first: logits > 0.")
        return marked_in_stack(planes)
    if array.shape[1:] == image_hw:  # channels first, beyond doubt as the photo's size is known
        array = np.moveaxis(array, 0, -1)
    array = channels_last(array, "mask", tensor=False)
    _check_size(array.shape[:2], image_hw, image_name)
    return marked_in(array)


def _planes(array: Array, image_hw: tuple[int, int]) -> Shaped[Array, "n h w"] | None:
    """The array as a stack of planes, where that is how it lies."""
    if array.ndim != 3:
        return None
    if array.shape[1:] == image_hw:
        return array
    if array.shape[:2] == image_hw and array.shape[2] not in (1, 3, 4):
        return np.moveaxis(array, -1, 0)
    return None


def _warn(asked: Mask, mask: Bool[Array, "h w"], image_name: str, photo: object) -> None:
    named = str(asked.source) if isinstance(asked.source, str | os.PathLike) else "the mask"
    if looks_inverted(mask):
        again = "leave --invert away" if asked.invert else "say --invert (persam.Mask(..., invert=True))"
        _say(f"{named} marks the border and corners of {image_name}; is it inverted? If so, {again}.")
    if not isinstance(photo, str | os.PathLike) or not isinstance(asked.source, str | os.PathLike):
        return
    if Path(os.fspath(asked.source)).suffix.lower() in (*TEXT_SUFFIXES, ".npy", ".npz"):
        return
    turned, own = orientation_of(photo), orientation_of(asked.source)
    square = mask.shape[0] == mask.shape[1]
    if turned != own and (own != 1 or turned in (2, 3, 4) or square):  # else the sizes tell that it lies right
        _say(
            f"{image_name} is turned by its EXIF orientation {turned} and {named} by {own} (1 is none). If the mask "
            f"lies turned on the photo as viewers show it, save both upright."
        )


def _say(text: str) -> None:
    warnings.warn(text, InputWarning, stacklevel=2)


@contextmanager
def _as_mask_error() -> Iterator[None]:
    try:
        yield
    except ImageError as error:
        raise MaskError(str(error)) from error.__cause__


def _check_size(mask_hw: tuple[int, ...], image_hw: tuple[int, int], image_name: str) -> None:
    (mask_height, mask_width), (height, width) = mask_hw, image_hw
    message = f"the mask is {mask_width}x{mask_height} but {image_name} is {width}x{height} (width x height)."
    if (mask_height, mask_width) == (width, height) and height != width:
        raise MaskError(f"{message} One of them lies on its side: turn the mask as the photo is shown.")
    if (mask_height, mask_width) != (height, width):
        raise MaskError(
            f"{message} Draw it on this photo, or resize it to {width}x{height} with nearest-neighbour sampling."
        )
