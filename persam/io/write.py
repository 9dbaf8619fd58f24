"""Files that appear whole or not at all, and replace an older one: bytes, and pictures as PNG, JPEG or WebP."""

import errno
import io
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from persam.errors import DiskFullError, OutputError

Array = np.ndarray[Any, Any]
PICTURE_KINDS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
PART = ".part"  # of a file on its way; one is left behind where a process is killed
FULL = (errno.ENOSPC, errno.EDQUOT)
QUALITY = 92  # of JPEG and WebP, in percent


def write_bytes(data: bytes, path: str | Path) -> Path:
    """The path of the file that now holds the bytes: all of them, or the file that was there before.

    Raises:
        OutputError: the folder or the file cannot be written.
    """
    path = Path(path).expanduser()
    part = path.parent / f".{uuid.uuid4().hex}{PART}"
    with as_output_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(data)
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    return path


def write_picture(picture: UInt8[Array, "h w c"], path: str | Path) -> Path:
    """The path of the file that now holds an RGB or RGBA picture: .png, .jpg or .webp.

    Raises:
        OutputError: another suffix, a transparent picture as .jpg, or a place that cannot be written.
    """
    path = Path(path).expanduser()
    kind = picture_kind(path)
    if picture.shape[2] == 4 and kind == "JPEG":
        raise OutputError(f"cannot write {path}: JPEG has no transparency. Choose .png or .webp.")
    try:
        data = encode(Image.fromarray(picture), kind)
    except (OSError, ValueError) as error:  # JPEG and WebP end at 65,535 and 16,383 pixels a side
        size = f"{picture.shape[1]}x{picture.shape[0]}"
        raise OutputError(f"cannot write {size} pixels as {path} ({error}). Choose .png.") from error
    return write_bytes(data, path)


def picture_kind(path: Path) -> str:
    """PIL's name of the format that a picture's suffix asks for.

    Raises:
        OutputError: it asks for another one.
    """
    kind = PICTURE_KINDS.get(path.suffix.lower())
    if kind is None:
        raise OutputError(f"cannot write a picture as {path}: choose one of {', '.join(PICTURE_KINDS)}.")
    return kind


def encode(image: Image.Image, kind: str) -> bytes:
    """The bytes of the image's file. kind: PIL's name of the format, such as PNG."""
    file = io.BytesIO()
    image.save(file, kind, quality=QUALITY)
    return file.getvalue()


def is_part(name: str) -> bool:
    """Whether a file of this name was on its way when its process was killed."""
    return re.fullmatch(rf"\.[0-9a-f]{{32}}{re.escape(PART)}", name) is not None


def check_empty(folder: Path, *, why: str) -> None:
    """Raises OutputError when something is in the folder, or it is a file: nothing is ever written over.

    why: ends the message.
    """
    with as_output_error(folder):
        inside = next(folder.iterdir(), None) if folder.exists() else None
    if inside is not None:
        raise OutputError(
            f"{folder} is not empty: it holds {inside.name}. Choose a new folder, or empty this one: {why}."
        )


@contextmanager
def whole_folder(home: Path) -> Iterator[Path]:
    """A folder beside `home` that takes its place at the end, and is gone when that is not reached."""
    part = home.with_name(f".{home.name}.{uuid.uuid4().hex}.part")
    with as_output_error(home):
        part.mkdir(parents=True)
    try:
        yield part
        with as_output_error(home):
            if home.exists():
                home.rmdir()  # it was empty; where it is no more, nothing is lost
            os.rename(part, home)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


@contextmanager
def as_output_error(path: Path) -> Iterator[None]:
    """Raises what the system says about writing `path` again as an OutputError that says what to do."""
    try:
        yield
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
        kind = DiskFullError if error.errno in FULL else OutputError
        raise kind(
            f"cannot write {path}: {error.strerror or error}. Make room there, or choose another place."
        ) from error
