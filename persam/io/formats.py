"""Results as files that other tools read: a table of formats, one line and one function each.

A file appears whole or not at all, and takes the place of an older one.
"""

import io
import json
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from persam.errors import OutputError

Array = np.ndarray[Any, Any]
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@runtime_checkable
class Scored(Protocol):
    """A result with a mask and its score, such as `Segmentation`."""

    @property
    def mask(self) -> Bool[Array, "h w"]: ...

    @property
    def score(self) -> float: ...


@dataclass(frozen=True)
class Format:
    """A way to write a mask. encode: the bytes of the file, from the mask and its score, which may be unknown."""

    suffix: str
    encode: Callable[[Bool[Array, "h w"], float | None], bytes]
    about: str


def save(found: Scored, path: str | Path, *, format: str | None = None) -> Path:
    """The path of the file that now holds the result; see `write_mask`."""
    return write_mask(found.mask, path, format=format, score=found.score)


def write_mask(
    mask: Bool[Array, "h w"], path: str | Path, *, format: str | None = None, score: float | None = None
) -> Path:
    """The path of the file that now holds the mask.

    Args:
        mask: what to write; it may be empty.
        path: its folder is made when it is not there yet.
        format: a name of FORMATS; when not given, the first whose suffix the path has.
        score: how good the mask is, for the formats that tell.

    Raises:
        OutputError: an unknown format or suffix, or a place that cannot be written.
    """
    path = Path(path).expanduser()
    return write_bytes(_format_for(path, format).encode(mask, score), path)


def write_picture(picture: UInt8[Array, "h w c"], path: str | Path) -> Path:
    """The path of the file that now holds an RGB or RGBA picture: .png, .jpg or .webp.

    Raises:
        OutputError: another suffix, a transparent picture as .jpg, or a place that cannot be written.
    """
    path = Path(path).expanduser()
    suffix = path.suffix.lower()
    if suffix not in PICTURE_SUFFIXES:
        raise OutputError(f"cannot write a picture as {path}: choose one of {', '.join(PICTURE_SUFFIXES)}.")
    if picture.shape[2] == 4 and suffix in (".jpg", ".jpeg"):
        raise OutputError(f"cannot write {path}: JPEG has no transparency. Choose .png or .webp.")
    kind = {".png": "PNG", ".webp": "WEBP"}.get(suffix, "JPEG")
    try:
        data = _encoded(Image.fromarray(picture), kind, quality=92)
    except (OSError, ValueError) as error:  # JPEG and WebP end at 65,535 and 16,383 pixels a side
        size = f"{picture.shape[1]}x{picture.shape[0]}"
        raise OutputError(f"cannot write {size} pixels as {path} ({error}). Choose .png.") from error
    return write_bytes(data, path)


def write_bytes(data: bytes, path: str | Path) -> Path:
    """The path of the file that now holds the bytes: all of them, or the file that was there before.

    Raises:
        OutputError: the folder or the file cannot be written.
    """
    path = Path(path).expanduser()
    part = path.parent / f".{uuid.uuid4().hex}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(data)
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except (FileExistsError, NotADirectoryError) as error:
        raise OutputError(
            f"cannot write {path}: a part of {path.parent} is a file, where a folder should be. "
            f"Move that file, or choose another folder."
        ) from error
    except IsADirectoryError as error:
        raise OutputError(f"cannot write {path}: it is a folder. Name a file in it.") from error
    except PermissionError as error:
        raise OutputError(f"cannot write {path}: no permission to write there. Choose another folder.") from error
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"cannot write {path}: {reason}. Make room there, or choose another place.") from error
    return path


def to_coco(
    mask: Bool[Array, "h w"],
    *,
    image_id: int = 0,
    category_id: int = 1,
    annotation_id: int | None = None,
    score: float | None = None,
) -> dict[str, Any]:
    """A COCO annotation, ready for JSON: compressed RLE, `bbox` as x, y, width, height, `area` in pixels.

    An empty mask has the box 0, 0, 0, 0. `id` and `score` are left out when they are not given.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    bbox = [0, 0, 0, 0]
    if len(rows):
        bbox = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
    annotation: dict[str, Any] = {} if annotation_id is None else {"id": annotation_id}
    annotation |= {
        "image_id": image_id,
        "category_id": category_id,
        "segmentation": {"size": list(mask.shape), "counts": compress(run_lengths(mask))},
        "bbox": [int(number) for number in bbox],
        "area": int(mask.sum()),
        "iscrowd": 0,
    }
    return annotation if score is None else annotation | {"score": float(score)}


def run_lengths(mask: Bool[Array, "h w"]) -> list[int]:
    """COCO's uncompressed RLE: lengths of runs down the columns, alternately outside and inside, outside first."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths: list[int] = np.diff([0, *changes.tolist(), flat.size]).tolist()
    return [0, *lengths] if flat[0] else lengths


def compress(counts: list[int]) -> str:
    """COCO's compressed RLE: from the fourth on, counts less the one two before, as 5-bit digits in ASCII from 48 on.

    The lowest digit comes first; 32 is added to a digit when more follow; bit 4 of the last one is the sign.
    """
    text = bytearray()
    for index, count in enumerate(counts):
        rest = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            digit = rest & 31
            rest >>= 5
            more = rest != (-1 if digit & 16 else 0)
            text.append(digit + 32 * more + 48)
    return text.decode("ascii")


def _png(mask: Bool[Array, "h w"], score: float | None) -> bytes:
    return _encoded(Image.fromarray(mask.astype(np.uint8) * np.uint8(255)), "PNG")


def _palette(mask: Bool[Array, "h w"], score: float | None) -> bytes:
    image = Image.fromarray(mask.astype(np.uint8))
    image.putpalette([0, 0, 0, 128, 0, 0])  # PerSeg's, DAVIS's and VOC's first colour
    return _encoded(image, "PNG")


def _npz(mask: Bool[Array, "h w"], score: float | None) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, mask=mask, score=np.float64(np.nan if score is None else score))
    return file.getvalue()


def _coco(mask: Bool[Array, "h w"], score: float | None) -> bytes:
    return json.dumps(to_coco(mask, score=score)).encode()


def _coco_counts(mask: Bool[Array, "h w"], score: float | None) -> bytes:
    annotation = to_coco(mask, score=score)
    return json.dumps(annotation | {"segmentation": {"size": list(mask.shape), "counts": run_lengths(mask)}}).encode()


def _yolo(mask: Bool[Array, "h w"], score: float | None) -> bytes:
    """A line for each connected part: class 0 and its outline through pixel centres, in shares of width and height.

    Nothing for an empty mask. A polygon has no holes: they are filled.
    """
    import cv2

    height, width = mask.shape
    parts, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    lines = []
    for part in parts:
        corners = part[:, 0]
        if len(corners) < 3:  # a single pixel or a straight line, and readers ask for three corners
            corners = corners[[0, -1, -1]]
        shares = (corners + 0.5) / (width, height)
        lines.append("0 " + " ".join(f"{share:.6f}" for share in shares.ravel()) + "\n")
    return "".join(lines).encode()


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _format_for(path: Path, name: str | None) -> Format:
    if name is not None:
        if name not in FORMATS:
            raise OutputError(f"there is no format {name!r}: choose one of {', '.join(FORMATS)}.")
        return FORMATS[name]
    for form in FORMATS.values():
        if form.suffix == path.suffix.lower():
            return form
    known = ", ".join(dict.fromkeys(form.suffix for form in FORMATS.values()))
    raise OutputError(f"cannot tell from {path} how to write a mask: choose one of {known}.")


FORMATS = {
    "png": Format(".png", _png, "255 inside the object, 0 outside, one channel"),
    "palette": Format(".png", _palette, "index 1 inside the object, shown as dark red: PerSeg's and DAVIS's way"),
    "npz": Format(".npz", _npz, "NumPy: `mask`, bool, and `score`"),
    "coco": Format(".json", _coco, "a COCO annotation with compressed RLE"),
    "coco_counts": Format(".json", _coco_counts, "a COCO annotation with RLE as a list of numbers"),
    "yolo": Format(".txt", _yolo, "YOLO segmentation labels of class 0, a line for each part; holes are filled"),
}
