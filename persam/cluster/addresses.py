"""Files by path or by address (s3://, gs://, ...): fsspec reads and lists what the system itself cannot."""

import io
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from persam.errors import ImageError, PerSAMError
from persam.io.album import HEIF_SUFFIXES, IMAGE_SUFFIXES, iter_targets
from persam.io.image_files import heif_is_here
from persam.io.images import read_image

Array = np.ndarray[Any, Any]
PLUGINS = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}


def is_address(text: str) -> bool:
    """Whether it is one for fsspec, such as s3://bucket/photo.jpg, and no path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) is not None


def file_system(address: str) -> tuple[Any, str]:
    """The fsspec file system of an address, and the path within it.

    Raises:
        PerSAMError: fsspec or its plug-in for this kind of address is not installed, or nothing has this kind.
    """
    kind = address.split("://")[0].lower()
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise PerSAMError(f"{address} is an address, which fsspec reads: pip install 'persam[ray]'.") from error
    try:
        system, path = url_to_fs(address)
    except ImportError as error:
        plugin = PLUGINS.get(kind)
        advice = f"pip install {plugin}, here and on every machine of the cluster" if plugin else str(error)
        raise PerSAMError(f"fsspec needs a plug-in for {kind}://: {advice}.") from error
    except ValueError as error:
        raise PerSAMError(f"nothing reads {address}: fsspec knows no {kind}:// ({error}).") from error
    return system, str(path)


def photos_of(words: object, *, recursive: bool = False) -> list[str]:
    """The photos that the words name, as absolute paths and as addresses; each once. None is read.

    Args:
        words: a path, folder, pattern or address, or any iterable of these. Folders and patterns are searched as by
            `persam.io.album.iter_targets`, those of an address alike.
        recursive: whether the images of folders within a folder belong to it.

    Raises:
        ImageError: a folder or a pattern that finds no image, or something that is neither path nor address.
        PerSAMError: a kind of address for which a package is missing, or a store that cannot be listed.
    """
    listed = [words] if isinstance(words, str | os.PathLike) else words
    if not isinstance(listed, Iterable):
        raise ImageError(f"photos for a cluster are paths and addresses, not {type(words).__name__!r}.")
    found: dict[str, None] = {}
    for word in listed:
        if not isinstance(word, str | os.PathLike):
            raise ImageError(f"photos for a cluster are paths and addresses, not {type(word).__name__!r}.")
        text = os.fspath(word)
        found |= dict.fromkeys(_at_address(text, recursive) if is_address(text) else _on_disk(text, recursive))
    return list(found)


def read_photo(photo: str) -> UInt8[Array, "h w 3"]:
    """The photo at a path or an address, as `persam.io.images.read_image` gives it.

    Raises:
        ImageError: there is none, it cannot be fetched, or it is no image.
    """
    if not is_address(photo):
        return read_image(Path(photo))
    try:
        system, path = file_system(photo)
        file = io.BytesIO(system.cat_file(path))
    except FileNotFoundError as error:
        raise ImageError(f"there is no image {photo}. Check the address.") from error
    except Exception as error:  # every store has errors of its own; one photo does not stop the others
        raise ImageError(f"cannot fetch the image {photo} ({type(error).__name__}: {error}).") from error
    file.name = photo  # what messages call it
    return read_image(file)


def _on_disk(text: str, recursive: bool) -> Iterator[str]:
    for target in iter_targets(text, recursive=recursive):
        yield os.path.abspath(str(target.source))


def _at_address(address: str, recursive: bool) -> list[str]:
    system, path = file_system(address)
    try:
        if any(sign in path for sign in "*?["):
            found = system.glob(path)
        elif system.isdir(path):
            found = system.find(path, maxdepth=None if recursive else 1)
        else:
            return [address]
    except Exception as error:
        raise PerSAMError(f"cannot list {address} ({type(error).__name__}: {error}). Check its rights.") from error
    suffixes = IMAGE_SUFFIXES + (HEIF_SUFFIXES if heif_is_here() else ())
    photos = [one for one in sorted(found) if Path(one).suffix.lower() in suffixes]
    if not photos:
        raise ImageError(f"no image at {address}: {len(found)} files are there. Check the address and the suffix.")
    return [system.unstrip_protocol(one) for one in photos]
