"""A contact sheet of a training folder: each photo with its mask, and in red what was refused, and why."""

from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from persam.io import draw

Array = np.ndarray[Any, Any]
HEIGHT, COLUMNS, MOST = 220, 5, 500


class Sheet:
    """Takes photos one after the other, and keeps them small."""

    def __init__(self) -> None:
        self._pictures: list[UInt8[Array, "_ _ 3"]] = []
        self._captions: list[str] = []

    def add(
        self, name: str, rgb: UInt8[Array, "h w 3"] | None, mask: Bool[Array, "h w"] | None, refused: str | None = None
    ) -> None:
        """One more photo, of which a sheet has 500 at most. rgb: None for one that could not be read."""
        if len(self._pictures) == MOST:
            return
        picture = np.full((HEIGHT, HEIGHT, 3), 128, np.uint8) if rgb is None else rgb
        if mask is not None:
            picture = draw.overlay(picture, mask, colour=draw.AZURE if refused is None else draw.OUTSIDE)
        small = Image.fromarray(picture)
        small.thumbnail((2 * HEIGHT, HEIGHT), Image.Resampling.LANCZOS)
        picture = np.array(small)
        if refused is not None:
            picture = _crossed(picture)
        self._pictures.append(picture)
        self._captions.append(name if refused is None else f"{name}: {refused}")

    def drawn(self) -> UInt8[Array, "_ _ 3"]:
        """The sheet so far, of one photo at least."""
        return draw.side_by_side(self._pictures, height=HEIGHT, captions=self._captions, columns=COLUMNS)


def _crossed(picture: UInt8[Array, "h w 3"]) -> UInt8[Array, "h w 3"]:
    """Paler, framed and crossed out in red."""
    import cv2

    faded = picture // 2 + 110
    height, width = faded.shape[:2]
    line = max(2, min(height, width) // 60)
    for start, end in (((0, 0), (width - 1, height - 1)), ((0, height - 1), (width - 1, 0))):
        cv2.line(faded, start, end, draw.OUTSIDE, line, cv2.LINE_AA)
    cv2.rectangle(faded, (0, 0), (width - 1, height - 1), draw.OUTSIDE, 2 * line)
    return faded
