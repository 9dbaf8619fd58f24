"""Tiny albums whose answers can be seen: a square of one colour that moves over grey ground."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.colour import BLUE, GREEN, RED, mask, photo

# corners at multiples of 16, which JPEG's blocks of colour keep apart
PLACES = ((0, 16, 31, 47), (16, 16, 47, 47), (16, 0, 47, 31), (32, 0, 63, 31), (32, 32, 63, 63))


def davis(root: Path, colours=(("ant", RED), ("bee", BLUE))) -> Path:
    """A video of five frames for each colour; the album's targets are frames 2, 3 and 4."""
    for name, colour in colours:
        for number, place in enumerate(PLACES):
            frame = f"480p/{name}/{number:05d}"
            _save(root / "JPEGImages" / f"{frame}.jpg", root / "Annotations" / f"{frame}.png", place, colour)
    return root


def perseg(root: Path, colours=(("cup", GREEN),)) -> Path:
    """Three photos for each colour, of which 00 is the reference."""
    for name, colour in colours:
        for number, place in enumerate(PLACES[:3]):
            of = f"{name}/{number:02d}"
            _save(root / "Images" / f"{of}.jpg", root / "Annotations" / f"{of}.png", place, colour)
    return root


def _save(scene: Path, truth: Path, place, colour) -> None:
    for path in (scene, truth):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo(at_xyxy=place, colour=colour)).save(scene, quality=100, subsampling=0)
    Image.fromarray(mask(at_xyxy=place).astype(np.uint8) * np.uint8(255)).save(truth)
