"""A photo that was searched, read once more: from where it lay, and refused if it is another one by now."""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from persam.errors import ImageError
from persam.io.images import read_image

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ReadAgain:
    """Gives the pixels of a file as they were.

    path: from the root, so that it leads there from every folder. checksum: of the pixels.
    """

    path: Path
    checksum: int

    @classmethod
    def of(cls, path: Path, rgb: UInt8[Array, "h w 3"]) -> "ReadAgain":
        return cls(path.absolute(), checksum(rgb))

    def __call__(self) -> UInt8[Array, "h w 3"]:
        """The pixels.

        Raises:
            ImageError: the file cannot be read, or shows something else than it did.
        """
        rgb = read_image(self.path)
        if checksum(rgb) != self.checksum:
            raise ImageError(
                f"the image {self.path} has changed since it was searched, and what was found does not fit it any "
                "more. Search it again."
            )
        return rgb


def checksum(rgb: UInt8[Array, "h w 3"]) -> int:
    """Of size and pixels, in a fraction of the time that reading them takes."""
    return zlib.crc32(np.ascontiguousarray(rgb).data, zlib.crc32(repr(rgb.shape).encode()))


@dataclass(frozen=True)
class Unreadable:
    """What reads an image that could not be searched: the error, once more."""

    error: Exception

    def __call__(self) -> UInt8[Array, "h w 3"]:
        raise self.error
