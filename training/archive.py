"""The photos and masks of `train.zip`; its format is in the README beside this file."""

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np

from training.masks import is_group, is_upon, large_enough
from training.mix import SOURCE_SHARES, THINGS


@dataclass(frozen=True)
class Photo:
    """One line of `index.jsonl`."""

    id: str
    source: str
    height: int
    width: int
    masks: int
    ignore: bool

    @property
    def held_out(self) -> bool:
        """One photo in twenty never enters training; the choice depends on its id alone."""
        return zlib.crc32(self.id.encode()) % 20 == 0


class Photos:
    """The photos for training, or those held out, read from the archive as they are needed.

    Raises:
        ValueError: there are none.
    """

    def __init__(self, archive: Path, *, held_out: bool):
        self._zip = zipfile.ZipFile(archive)
        lines = self._zip.read("index.jsonl").decode().splitlines()
        photos = [Photo(**json.loads(line)) for line in lines]
        self.photos = [photo for photo in photos if photo.masks and photo.held_out == held_out]
        if not any(photo.source in SOURCE_SHARES for photo in self.photos):
            raise ValueError(
                f"{archive} has no {'held-out' if held_out else 'training'} photo with a mask among its {len(photos)}. "
                f"Add photos (one id in twenty is held out), or give their source, one of {', '.join(SOURCE_SHARES)}."
            )
        self._by_source = {s: [p for p in self.photos if p.source == s] for s in SOURCE_SHARES}

    def draw(self, rng: np.random.Generator, sources: Mapping[str, float] = SOURCE_SHARES) -> Photo:
        """A photo of the sources that the archive has, each source as often as its share says."""
        shares = np.array([share if self._by_source[source] else 0.0 for source, share in sources.items()])
        source = list(sources)[rng.choice(len(shares), p=shares / shares.sum())]
        return self._by_source[source][rng.integers(len(self._by_source[source]))]

    def rgb(self, photo: Photo) -> np.ndarray:
        return self._read(f"images/{photo.id}.jpg", cv2.IMREAD_COLOR)[..., ::-1]

    def masks(self, photo: Photo) -> tuple[np.ndarray, np.ndarray]:
        """Masks (n h w) and the ignored pixels (h w), both uint8 0 or 1."""
        plane = self._read(f"masks/{photo.id}.png", cv2.IMREAD_GRAYSCALE)
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

    def _read(self, name: str, mode: int) -> np.ndarray:
        image = cv2.imdecode(np.frombuffer(self._zip.read(name), np.uint8), mode)
        if image is None:
            raise ValueError(f"{name} in {self._zip.filename} is damaged: it does not decode. Make the archive again.")
        return image
