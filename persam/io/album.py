"""An album as a stream of photos that are read one at a time, from a folder, a pattern, a list or anything iterable."""

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from persam.errors import ImageError
from persam.io.images import is_tensor, read_image

Array = np.ndarray[Any, Any]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".ppm", ".pgm")


@dataclass(frozen=True)
class Target:
    """One photo of an album, not yet read.

    name: unique in its album, fit for a file name (without suffix).
    source: the path of the photo, or None for one that came from memory.
    read: gives the photo as RGB; from disk every time when it has a path, so that an album never fills the memory.
    """

    name: str
    source: Path | None
    read: Callable[[], UInt8[Array, "h w 3"]]


def iter_targets(targets: object) -> Iterator[Target]:
    """The photos of an album one after the other; nothing is read before `Target.read` is called.

    Args:
        targets: a single image as for `read_image`; a folder (its images, not those of folders within, in natural
            order: 2 before 10); a pattern such as "album/*.jpg" or "album/**/*.jpg"; a batch with four dimensions;
            or a list or any other iterable of these, which is drawn from one at a time.

    Returns:
        Names are the stem of the file, or image_0001 and so on by position for photos from memory. A name that was
        given before, in upper or lower case, gets _2, _3, ...

    Raises:
        ImageError: a folder or a pattern that finds no image, or something that is no image.
    """
    return _named(_sources(targets))


def _sources(targets: object) -> Iterable[object]:
    if isinstance(targets, str | os.PathLike):
        return _paths(os.path.expanduser(os.fspath(targets)))
    if isinstance(targets, Image.Image):
        return [targets]
    if isinstance(targets, np.ndarray) or is_tensor(targets):
        return targets if targets.ndim == 4 else [targets]  # type: ignore[attr-defined, return-value]
    if isinstance(targets, Iterable) and not isinstance(targets, bytes | Mapping):
        return _flattened(targets)
    raise ImageError(
        f"cannot read images from {type(targets).__name__!r}. Pass an image, a folder, a pattern such as "
        f'"album/*.jpg", or a list of images.'
    )


def _flattened(targets: Iterable[object]) -> Iterator[object]:
    for item in targets:
        known = isinstance(item, str | os.PathLike | np.ndarray) or is_tensor(item)
        # anything else is an image, or says that it is none when it is read
        yield from _sources(item) if known else [item]


def _paths(text: str) -> list[Path]:
    """The file itself, the images of a folder, or those that a pattern finds."""
    if os.path.isdir(text):
        try:
            inside = list(Path(text).iterdir())
        except OSError as error:
            raise ImageError(f"cannot list the folder {text}: {error.strerror}. Check its rights.") from error
        found = [path for path in inside if _is_image_file(path) and not path.name.startswith(".")]
        if not found:
            raise ImageError(
                f"no images in the folder {text}: looked for {', '.join(IMAGE_SUFFIXES)}. "
                f'To search the folders in it too, write "{os.path.join(text, "**", "*.jpg")}".'
            )
    elif any(sign in text for sign in "*?[") and not os.path.exists(text):
        matches = [Path(match) for match in glob.iglob(text, recursive=True)]
        suffix = Path(text).suffix  # a pattern that names a suffix means it, known or not
        found = [path for path in matches if _is_image_file(path) or (path.suffix == suffix and path.is_file())]
        if not found:
            raise ImageError(
                f"no image matches {text}: {len(matches)} files or folders do. Check the pattern and the suffix."
            )
    else:
        return [Path(text)]
    return sorted(found, key=_natural)


def _is_image_file(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def _natural(path: Path) -> tuple[list[str | int], str]:
    """Sort key by which img2 comes before img10; the path itself decides between A1 and a01."""
    parts = re.split(r"(\d+)", str(path).casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], str(path)


def _named(sources: Iterable[object]) -> Iterator[Target]:
    taken: set[str] = set()
    for position, source in enumerate(sources, start=1):
        path = source if isinstance(source, Path) else None
        stem = path.stem if path else f"image_{position:04d}"
        name, again = stem, 1
        while name.casefold() in taken:  # some file systems do not tell cases apart
            again += 1
            name = f"{stem}_{again}"
        taken.add(name.casefold())
        yield Target(name, path, partial(read_image, source))
