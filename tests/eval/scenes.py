"""A tiny album in DAVIS's layout whose answers can be seen: a square of one colour that moves over grey ground."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.colour import BLUE, RED, mask, photo

# corners at multiples of 16, which JPEG's blocks of colour keep apart
PLACES = ((0, 16, 31, 47), (16, 16, 47, 47), (16, 0, 47, 31), (32, 0, 63, 31), (32, 32, 63, 63))


def davis(root: Path, colours=(("ant", RED), ("bee", BLUE))) -> Path:
    """A video of five frames for each colour; the album's targets are frames 2, 3 and 4."""
    for name, colour in colours:
        for number, place in enumerate(PLACES):
            paths = [root / kind / "480p" / name for kind in ("JPEGImages", "Annotations")]
            for folder in paths:
                folder.mkdir(parents=True, exist_ok=True)
            scene = Image.fromarray(photo(at_xyxy=place, colour=colour))
            scene.save(paths[0] / f"{number:05d}.jpg", quality=100, subsampling=0)
            truth = mask(at_xyxy=place).astype(np.uint8) * np.uint8(255)
            Image.fromarray(truth).save(paths[1] / f"{number:05d}.png")
    return root
