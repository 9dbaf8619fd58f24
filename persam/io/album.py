"""An album as a stream of photos that are read one at a time, from a folder, a pattern, a list or anything iterable."""

import glob
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from persam.errors import ImageError, InputWarning
from persam.io.image_files import GET_HEIF, check_no_address, heif_is_here, is_open_file
from persam.io.images import is_tensor, read_image

Array = np.ndarray[Any, Any]

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif",
    ".jp2", ".ppm", ".pgm", ".pnm",
)  # fmt: skip
HEIF_SUFFIXES = (".heic", ".heif", ".hif")  # with pillow-heif


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


def iter_targets(targets: object, *, recursive: bool = False) -> Iterator[Target]:
    """The photos of an album one after the other; nothing is read before `Target.read` is called.

    Args:
        targets: a single image as for `read_image`; a folder (its images, not those of folders within, in natural
            order: 2 before 10); a pattern such as "album/*.jpg" or "album/**/*.jpg"; a batch with four dimensions;
            or a list or any other iterable of these, which is drawn from one at a time. A `Target` among them stays as
            it is. What a folder holds besides is counted in a warning (InputWarning).
        recursive: whether the images of folders within a folder belong to it.

    Returns:
        Names are the stem of the file, in folders within after their path (sub/in), or image_0001 and so on by
        position for photos from memory. A name that was given before, in upper or lower case, gets _2, _3, ...

    Raises:
        ImageError: a folder or a pattern that finds no image, or something that is no image.
    """
    return _named(_sources(targets, recursive))


def one_target(image: object) -> Target:
    """The photo that is given where one is asked for.

    Raises:
        ImageError: there are several, or none.
    """
    [target, *more] = iter_targets(image)
    if more:
        raise ImageError(f"one photo is asked for, and {1 + len(more)} were given. Name one of them.")
    return target


@dataclass(frozen=True)
class _File:
    """A photo's path, and its folder within the folder that was searched."""

    path: Path
    within: str = ""


def _sources(targets: object, recursive: bool) -> Iterable[object]:
    if isinstance(targets, str | os.PathLike):
        return _paths(os.path.expanduser(os.fspath(targets)), recursive)
    if isinstance(targets, Image.Image) or is_open_file(targets):
        return [targets]
    if isinstance(targets, np.ndarray) or is_tensor(targets):
        return targets if targets.ndim == 4 else [targets]  # type: ignore[attr-defined, return-value]
    if isinstance(targets, Iterable) and not isinstance(targets, bytes | Mapping):
        return _flattened(targets, recursive)
    raise ImageError(
        f"cannot read images from {type(targets).__name__!r}. Pass an image, a folder, a pattern such as "
        f'"album/*.jpg", or a list of images.'
    )


def _flattened(targets: Iterable[object], recursive: bool) -> Iterator[object]:
    for item in targets:
        known = isinstance(item, str | os.PathLike | np.ndarray) or is_tensor(item)
        # anything else is an image, or says that it is none when it is read
        yield from _sources(item, recursive) if known else [item]


def _paths(text: str, recursive: bool) -> list[_File]:
    """The file itself, the images of a folder, or those that a pattern finds."""
    check_no_address(text, "image")
    if os.path.isdir(text):
        return _folder(text, recursive)
    if any(sign in text for sign in "*?[") and not os.path.exists(text):
        matches = [Path(match) for match in glob.iglob(_pattern(text), recursive=True)]
        suffix = Path(text).suffix  # a pattern that names a suffix means it, known or not
        found = [path for path in matches if _is_image_file(path) or (path.suffix == suffix and path.is_file())]
        if not found:
            raise ImageError(
                f"no image matches {text}: {len(matches)} files or folders do. Check the pattern and the suffix."
            )
        return [_File(path) for path in sorted(found, key=_natural)]
    return [_File(Path(text))]


def _pattern(text: str) -> str:
    """The pattern with the folders that are there taken by their name, as in "photos [2024]/*.jpg"."""
    before, after = "", text
    while (cut := after.find(os.sep)) >= 0 and os.path.isdir(before + after[: cut + 1]):
        before, after = before + after[: cut + 1], after[cut + 1 :]
    return glob.escape(before) + after


def _folder(text: str, recursive: bool) -> list[_File]:
    files: list[_File] = []
    left_out: Counter[str] = Counter()
    waiting = [Path(text)]
    seen = {os.path.realpath(text)}  # a link to a folder above would lead round in circles
    while waiting:
        folder = waiting.pop(0)
        try:
            inside = sorted(folder.iterdir(), key=_natural)
        except OSError as error:
            raise ImageError(f"cannot list the folder {folder}: {error.strerror}. Check its rights.") from error
        within = folder.relative_to(text).as_posix()
        for path in inside:
            if path.name.startswith("."):
                continue
            if path.is_dir():
                if not recursive:
                    left_out["subfolder"] += 1
                elif os.path.realpath(path) not in seen:
                    seen.add(os.path.realpath(path))
                    waiting.append(path)
            elif _is_image_file(path):
                files.append(_File(path, "" if within == "." else within))
            else:
                left_out[_why_not(path)] += 1
    said = _said(left_out)
    if not files:
        raise ImageError(
            f"no images in the folder {text}: looked for {', '.join(IMAGE_SUFFIXES)}{f'; {said}' if said else ''}. "
            f'To search the folders in it too, say --recursive, or write "{os.path.join(text, "**", "*.jpg")}".'
        )
    if said:
        warnings.warn(f"{text}: {said}.", InputWarning, stacklevel=2)
    return files


def _why_not(path: Path) -> str:
    if path.is_symlink() and not path.exists():
        return "dangling link"
    return path.suffix.lower() if path.suffix else "file without a suffix"


def _said(left_out: "Counter[str]") -> str:
    """What a folder holds besides its photos, with counts, and what to do about it."""
    advice = {"subfolder": " (--recursive)"} | dict.fromkeys(HEIF_SUFFIXES, f" ({GET_HEIF})")
    parts = []
    for what, count in left_out.most_common():
        many = "s" if count > 1 and what in ("subfolder", "dangling link") else ""
        parts.append(f"{count} {what}{many}{advice.get(what, '')}")
    return f"skipped {left_out.total()}: {', '.join(parts)}" if parts else ""


def _is_image_file(path: Path) -> bool:
    suffix = path.suffix.lower()
    return path.is_file() and (suffix in IMAGE_SUFFIXES or (suffix in HEIF_SUFFIXES and heif_is_here()))


def _natural(path: Path) -> tuple[list[str | int], str]:
    """Sort key by which img2 comes before img10; the path itself decides between A1 and a01."""
    parts = re.split(r"(\d+)", str(path).casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], str(path)


def _named(sources: Iterable[object]) -> Iterator[Target]:
    taken: set[str] = set()
    for position, source in enumerate(sources, start=1):
        if isinstance(source, Target):
            yield source
            continue
        file = source if isinstance(source, _File) else None
        path = file.path if file else None
        stem = (f"{file.within}/{file.path.stem}" if file.within else file.path.stem) if file else ""
        stem = stem or f"image_{position:04d}"
        name, again = stem, 1
        while name.casefold() in taken:  # some file systems do not tell cases apart
            again += 1
            name = f"{stem}_{again}"
        taken.add(name.casefold())
        yield Target(name, path, partial(read_image, path or source))
