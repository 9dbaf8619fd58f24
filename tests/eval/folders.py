"""Tiny folders in the benchmarks' public layouts."""

import json
import pickle
from pathlib import Path

import numpy as np
from PIL import Image

PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0] + 252 * [64, 0, 0]


def photo(path: Path, *, size_hw: tuple[int, int] = (6, 8), grey: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size_hw, 3), grey, np.uint8)).save(path)


def labels(path: Path, rows: list[str], *, palette: bool = True, times: int = 1) -> None:
    """A mask file of digits, as a palette image or (`palette=False`) as grey levels, digit x times."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.array([[min(int(digit) * times, 255) for digit in row] for row in rows], np.uint8))
    if palette:
        image.putpalette(PALETTE)
    image.save(path)


def block(x0: int, y0: int, x1: int, y1: int, *, size_hw: tuple[int, int] = (6, 8), digit: str = "1") -> list[str]:
    height, width = size_hw
    return [
        "".join(digit if x0 <= column < x1 and y0 <= row < y1 else "0" for column in range(width))
        for row in range(height)
    ]


def pickled(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value))


def written(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


def perseg(root: Path, objects: dict[str, int]) -> Path:
    """Objects with so many photos each; in photo k the object is a 2 x 2 block that starts k columns from the left."""
    for name, count in objects.items():
        for number in range(count):
            photo(root / "Images" / name / f"{number:02d}.jpg")
            labels(root / "Annotations" / name / f"{number:02d}.png", block(number, 1, number + 2, 3))
    return root


def davis(root: Path, videos: dict[str, int], *, rows: list[str] | None = None, year: int = 2016) -> Path:
    for name, frames in videos.items():
        for frame in range(frames):
            photo(root / "JPEGImages" / "480p" / name / f"{frame:05d}.jpg")
            path = root / "Annotations" / "480p" / name / f"{frame:05d}.png"
            labels(path, rows or block(2, 1, 5, 4), palette=year == 2017, times=1 if year == 2017 else 255)
    return root
