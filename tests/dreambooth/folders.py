"""Training folders made in a test: photos of one rectangle each, with their masks."""

from pathlib import Path

import numpy as np
from PIL import Image

from persam.dreambooth.pairs import Pair
from tests.colour import mask, photo


def write_pair(folder: Path, name: str, *, at_xyxy=(10, 20, 29, 39), hw=(64, 64)) -> Pair:
    """A red rectangle on grey, and where it is."""
    pair = Pair(folder / "images" / f"{name}.png", folder / "masks" / f"{name}.png")
    for path, picture in (
        (pair.image, photo(at_xyxy=at_xyxy, hw=hw)),
        (pair.mask, mask(at_xyxy=at_xyxy, hw=hw).astype(np.uint8) * 255),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    return pair
