"""A picture out of a file or of PIL, upright, with its pixels read: what each format needs, and what is said where not.

Nothing of the process is changed: no opener is registered with PIL, and its limits and warnings stay as they are.
"""

import importlib.util
import io
import os
import re
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from PIL import Image, UnidentifiedImageError

from persam.errors import ImageError, InputWarning
from persam.io.image_values import depth_of, is_alpha

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
_BITS, _PHOTOMETRIC, _BANDS, _SAMPLES = 258, 262, 277, 339  # tags of TIFF
_quiet = threading.Lock()  # warning filters belong to the whole process
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
GET_HEIF = "pip install 'persam[heif]'"
MOST_FRAMES = 63  # after the first, of a mask: as many objects as one photo may have
FRAMED = ("GIF", "PNG", "TIFF", "WEBP")  # whose further pictures are frames or pages, not previews or depth


@dataclass(frozen=True)
class _Opened:
    """A file's first picture. count: frames or pages of its size; others: those after it, where they were asked for.

    band: whether a fourth channel was left out, as it is no transparency.
    """

    image: Image.Image
    count: int = 1
    others: tuple[Image.Image, ...] = ()
    band: bool = False


def open_image(source: Any, noun: str, *, frames: bool = False) -> "Image.Image | Array":
    """The picture of a path or of an open file, upright. noun: what messages call it.

    frames: whether several frames come as an array of them; else the first is read, and a warning says so.

    Raises:
        ImageError: there is no such file, it is no picture, damaged, too large, or of a kind that is not read.
    """
    named = f"the {noun} {_name(source)}"
    opened = _read(source, f"cannot read {named}:", frames)
    if opened.others:
        return np.stack([_pixels_of_frame(frame) for frame in (opened.image, *opened.others)])
    if opened.count > 1:
        text = f"{named} holds {opened.count} frames or pages: the first is used. Save the one you mean by itself"
        warnings.warn(f"{text}, or follow a clip with `persam track`.", InputWarning, stacklevel=2)
    if opened.band:
        band_warning(named)
    return upright(opened.image)


def is_open_file(source: object) -> bool:
    return hasattr(source, "read") and not isinstance(source, Image.Image)


def orientation_of(source: Any) -> int:
    """The EXIF turn of a file, 1 to 8; 1 where it has none or cannot be read."""
    try:
        with Image.open(os.path.expanduser(os.fspath(source))) as image:
            turn = int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # it is read in earnest elsewhere
        return 1
    return turn if turn in _UPRIGHT else 1


def upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a damaged EXIF block does not spoil the pixels
        return image
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def band_warning(named: str) -> None:
    warnings.warn(
        f"{named} has a fourth band that is no transparency, such as near infrared: it is left out.",
        InputWarning,
        stacklevel=3,
    )


def check_no_address(text: str, noun: str) -> None:
    """Raises ImageError for what is an address on the web and no path."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/", text)
    if found and not os.path.exists(text) and found[1].lower() in ("http", "https", "ftp", "s3", "gs", "file", "data"):
        whole = text if "://" in text else text.replace(":/", "://", 1)  # pathlib joins the slashes
        raise ImageError(f"cannot read the {noun} {whole}: it is an address, not a path. Download the file first.")


# --- reading


def _name(source: object) -> str:
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "in memory"


def _read(source: Any, start: str, frames: bool) -> _Opened:
    try:
        if not isinstance(source, str | os.PathLike):
            return _decoded(_whole(source, start), start, frames)
        check_no_address(os.fspath(source), start.split()[3])
        with Path(os.path.expanduser(os.fspath(source))).open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise ImageError(f"{start} the file is empty (0 bytes). Copy or export it again.")
            return _decoded(file, start, frames)
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


def _whole(file: Any, start: str) -> Any:
    """An open file from its beginning; one that cannot go back there is read at once."""
    if getattr(file, "closed", False):
        raise ImageError(f"{start} the file is closed. Pass its path, or open it again.")
    if not hasattr(file, "seek") or (hasattr(file, "seekable") and not file.seekable()):
        file = io.BytesIO(file.read())
    file.seek(0)
    head = file.read(1)
    if isinstance(head, str):
        raise ImageError(f"{start} the file is open as text. Open it with 'rb'.")
    if not head:
        raise ImageError(f"{start} the file is empty (0 bytes). Copy or export it again.")
    return file


def _decoded(file: Any, start: str, frames: bool) -> _Opened:
    """The image with its pixels read. What PIL warns of, such as damaged metadata, does not spoil them."""
    try:
        return _opened(file, start, frames)
    except Warning:  # where warnings are errors; PIL also warns of every photo above 89 megapixels
        with _quiet, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _opened(file, start, frames)


def _opened(file: Any, start: str, frames: bool) -> _Opened:
    file.seek(0)
    head = file.read(12)
    file.seek(0)
    if head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS:
        return _Opened(_heif(file, start))
    try:
        image: Image.Image = Image.open(file)
    except UnidentifiedImageError:
        if head[:4] in (b"II*\0", b"MM\0*"):
            raise ImageError(f"{start} it is {_kind_of_tiff(file)}. Save red, green and blue as one PNG.") from None
        raise
    deep = image.mode in ("RGB", "RGBA", "LA") and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
    others = _frames(image, MOST_FRAMES if frames else 1)
    count = getattr(image, "n_frames", 1) if others else 1
    image.load()
    bands = np.array(image)[..., 3] if image.format == "TIFF" and image.mode == "RGBA" else None
    if image.format == "TIFF" and image.mode.startswith("I;16") and image.tag_v2.get(_PHOTOMETRIC) == 0:  # type: ignore[attr-defined]
        values = np.array(image)
        image.paste(Image.fromarray(((1 << depth_of(values)) - 1 - values).astype(np.uint16)))
    if deep and max(high for _, high in image.getextrema()[:3]) < 64:  # type: ignore[misc]  # PIL keeps the high byte
        image, bands = _deep(file, image)
    band = bands is not None and not is_alpha(bands)
    if band:
        whole, image = image, Image.fromarray(np.ascontiguousarray(np.array(image)[..., :3]))
        image.info = whole.info
        image.getexif().update(whole.getexif())
    return _Opened(image, count, others if frames else (), band)


def _frames(image: Image.Image, most: int) -> tuple[Image.Image, ...]:
    """Frames or pages after the first, of its size, up to so many; none where other pictures are previews."""
    others = []
    if image.format in FRAMED and getattr(image, "n_frames", 1) > 1:
        size = image.size
        try:
            for number in range(1, min(image.n_frames, most + 1)):  # type: ignore[attr-defined]
                image.seek(number)
                if image.size == size:
                    others.append(image.copy())
        except Exception:  # what is damaged behind the first frame does not spoil it
            others = []
        image.seek(0)
    return tuple(others)


def _pixels_of_frame(image: Image.Image) -> Shaped[Array, "h w"]:
    image = upright(image)
    grey = image if image.mode in ("1", "L", "I", "I;16", "F") else image.convert("L")
    return np.array(grey.convert("L") if grey.mode == "1" else grey)


def _heif(file: Any, start: str) -> Image.Image:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise ImageError(f"{start} HEIC needs one more package: {GET_HEIF}.") from None
    image: Image.Image = HeifImageFile(file)  # upright already, as its format has a turn of its own
    image.load()
    return image


def heif_is_here() -> bool:
    """Whether the package is installed that reads HEIC."""
    return importlib.util.find_spec("pillow_heif") is not None


def _kind_of_tiff(file: Any) -> str:
    """What a TIFF that PIL does not read says of itself."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    try:
        file.seek(0)
        tags = ImageFileDirectory_v2(file.read(8))
        file.seek(tags.next)
        tags.load(file)
        bits, bands = tags.get(_BITS, (1,)), tags.get(_BANDS, 1)
        number = {1: "", 2: " signed", 3: " floating-point"}.get(tags.get(_SAMPLES, (1,))[0], "")
        return f"a TIFF of {bands} bands of {bits[0]}{number} bits, which is not read as a photo"
    except Exception:
        return "a TIFF that cannot be read"


def _deep(file: Any, image: Image.Image) -> tuple[Image.Image, "Array | None"]:
    """The same picture with all 16 bits looked at, and its fourth channel as stored.

    PIL reads the higher eight bits, which of 12 leaves four.
    """
    import cv2

    file.seek(0)
    values = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 3 or values.shape[:2] != image.size[::-1]:
        return image, None
    parts, bands = [_in_bytes(values[..., 2::-1])], None
    if image.mode == "RGBA" and values.shape[2] == 4:
        bands = values[..., 3]
        parts.append(_in_bytes(values[..., 3:]))
    shown = Image.fromarray(np.ascontiguousarray(np.concatenate(parts, axis=2)))
    image = image.convert(shown.mode)  # keeps what is known of the file
    image.paste(shown)
    return image, bands


def _in_bytes(values: Array) -> Array:
    top = (1 << depth_of(values)) - 1
    return ((values.astype(np.uint32) * 255 + top // 2) // top).astype(np.uint8)
