"""The photos and masks of the training archives; their format is in the README beside this file."""

import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np

from training.masks import is_group, is_upon, large_enough
from training.mix import SOURCE_SHARES, SOURCES, THINGS


@dataclass(frozen=True)
class Photo:
    """One line of an `index.jsonl`.

    group: equal for photos with the same physical things. same: for each mask the thing's number in its group.
    """

    id: str
    source: str
    height: int
    width: int
    masks: int
    ignore: bool
    group: str | None = None
    same: list[int | None] = field(default_factory=list)
    archive: int = 0

    @property
    def number(self) -> int:
        """A number of its own for every photo, or one for all photos of the same things."""
        return zlib.crc32((self.group or self.id).encode())

    @property
    def held_out(self) -> bool:
        """One photo in twenty never enters training, nor another photo of its things; it depends on the id alone."""
        return self.number % 20 == 0


def common(one: Photo, other: Photo) -> list[tuple[int, int]]:
    """For each thing that both photos show, the numbers of its masks."""
    places = {thing: i for i, thing in enumerate(other.same) if thing is not None}
    return [(i, places[thing]) for i, thing in enumerate(one.same) if thing in places]


class Photos:
    """The photos for training, or those held out, read from the archives as they are needed.

    Raises:
        ValueError: there are none.
    """

    def __init__(self, archives: Sequence[Path], *, held_out: bool):
        self._zips = [zipfile.ZipFile(archive) for archive in archives]
        photos = [
            Photo(**json.loads(line), archive=number)
            for number, archive in enumerate(self._zips)
            for line in archive.read("index.jsonl").decode().splitlines()
        ]
        self.photos = [photo for photo in photos if photo.masks and photo.held_out == held_out]
        if not any(photo.source in SOURCES for photo in self.photos):
            names = ", ".join(map(str, archives))
            raise ValueError(
                f"{names} has no {'held-out' if held_out else 'training'} photo with a mask among its {len(photos)}. "
                f"Add photos (one id in twenty is held out), or give their source, one of {', '.join(SOURCES)}."
            )
        self._by_source = {s: [p for p in self.photos if p.source == s] for s in SOURCES}

    def draw(self, rng: np.random.Generator, sources: Mapping[str, float] = SOURCE_SHARES) -> Photo:
        """A photo of the sources that the archives have, each source as often as its share says."""
        shares = np.array([share if self._by_source[source] else 0.0 for source, share in sources.items()])
        source = list(sources)[rng.choice(len(shares), p=shares / shares.sum())]
        return self._by_source[source][rng.integers(len(self._by_source[source]))]

    def rgb(self, photo: Photo) -> np.ndarray:
        return self._read(photo, f"images/{photo.id}.jpg", cv2.IMREAD_COLOR)[..., ::-1]

    def masks(self, photo: Photo) -> tuple[np.ndarray, np.ndarray]:
        """Masks (n h w) and the ignored pixels (h w), both uint8 0 or 1."""
        plane = self._read(photo, f"masks/{photo.id}.png", cv2.IMREAD_GRAYSCALE)
        stacked = (plane > 0).reshape(-1, photo.height, photo.width).astype(np.uint8)
        ignore = stacked[photo.masks] if photo.ignore else np.zeros_like(stacked[0])
        return stacked[: photo.masks], ignore

    @cached_property
    def joined(self) -> list[tuple[Photo, list[tuple[int, int]]]]:
        """Photos with two things of which one is upon the other, and the numbers of their masks."""
        found = []
        for photo in self.photos:
            if photo.source in THINGS and photo.masks > 1:
                masks, _ = self.masks(photo)
                single = [i for i in large_enough(masks).tolist() if not is_group(masks, i)]
                pairs = [(i, j) for i, j in combinations(single, 2) if is_upon(masks[i], masks[j])]
                found += [(photo, pairs)] if pairs else []
        return found

    @cached_property
    def pairs(self) -> list[tuple[Photo, Photo]]:
        """Any two photos of the same things."""
        groups: dict[str, list[Photo]] = {}
        for photo in self.photos:
            if photo.group:
                groups.setdefault(photo.group, []).append(photo)
        return [pair for photos in groups.values() for pair in combinations(photos, 2) if common(*pair)]

    def _read(self, photo: Photo, name: str, mode: int) -> np.ndarray:
        archive = self._zips[photo.archive]
        image = cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), mode)
        if image is None:
            raise ValueError(f"{name} in {archive.filename} is damaged: it does not decode. Make the archive again.")
        return image
