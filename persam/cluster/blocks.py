"""Photos in blocks, and what is known of a block that is done."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from persam.errors import PerSAMError
from persam.io.names import shortened

BLOCK = 64  # photos: a lost worker costs at most so many again
MOST_STEM_BYTES = 100  # of a photo's stem in the names of its masks


@dataclass(frozen=True)
class Block:
    """Photos whose results are on disk.

    part: their Parquet file within the folder of results. photos: how many. found: in how many of them each concept is.
    errors: one for each photo that could not be searched. worker: host and process. began, ended: Unix time, seconds.
    """

    part: str
    photos: int
    found: dict[str, int]
    errors: tuple[str, ...]
    worker: str
    began: float
    ended: float


def blocks_of(photos: Sequence[str], size: int) -> list[list[str]]:
    """The photos in their order, so many at a time.

    Raises:
        PerSAMError: there is no photo, or the size is below 1.
    """
    if size < 1:
        raise PerSAMError(f"a block of {size} photos holds nothing: give 1 or more.")
    if not photos:
        raise PerSAMError("there is no photo to search: give at least one path or address.")
    return [list(photos[start : start + size]) for start in range(0, len(photos), size)]


def part_name(photos: Sequence[str]) -> str:
    """The same name for the same photos: a block that is done twice replaces itself."""
    return f"results/part-{_digest(photos)}.parquet"


def begun_name(photos: Sequence[str]) -> str:
    """The file that is there while a block is searched, and stays where its worker dies."""
    return f"results/_begun-{_digest(photos)}.json"


def mask_stem(photo: str) -> str:
    """What the names of a photo's masks begin with, and no other photo's: its stem, and a digest of where it is."""
    return f"{shortened(PurePosixPath(photo).stem, MOST_STEM_BYTES)}-{_digest([photo])}"


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogateescape")).hexdigest()[:16]
