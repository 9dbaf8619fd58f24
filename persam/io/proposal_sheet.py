"""A numbered sheet of what an image may show, to choose from by number."""

from typing import Any

import numpy as np
from jaxtyping import UInt8

from persam.geometry import no_larger
from persam.io import draw
from persam.io.results import ImageResult

Array = np.ndarray[Any, Any]
SIDE = 320  # of a picture on the sheet, in pixels
DIMMED = 0.35  # brightness of what is not meant


def numbered_sheet(result: ImageResult, *, columns: int = 5) -> UInt8[Array, "h w 3"]:
    """The image once for each segmentation, which is bright there, with its number from 1 and its score below.

    Raises:
        PerSAMError: the image cannot be read again.
    """
    rgb = result.read()
    pictures, captions = [], []
    for number, one in enumerate(result.segmentations, start=1):
        picture = (rgb * DIMMED).astype(np.uint8)
        picture[one.mask] = rgb[one.mask]
        picture = draw.overlay(picture, one.mask, fill=0.0, colour=draw.COLOURS[(number - 1) % len(draw.COLOURS)])
        pictures.append(no_larger(picture, SIDE))
        captions.append(f"{number}   score {one.score:.2f}")
    pictures = pictures or [no_larger(rgb, SIDE)]
    return draw.side_by_side(pictures, height=SIDE * 3 // 4, captions=captions, columns=columns)
