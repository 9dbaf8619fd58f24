"""A stand-in for a model that waits in the middle of an album, so that a test can interfere there."""

import os
import time
from pathlib import Path
from typing import Any

from persam.model import PerSAM
from tests.colour import CALIBRATION, ColourBackbone, photo

PHOTOS = 12  # of the red thing
SEEN_AFTER_S = 0.05


def numbered(number: int) -> Any:
    """The photo of this number: in each, the red thing is elsewhere."""
    return photo(at_xyxy=(2 + number, 20, 21 + number, 39))


class GatedColours(ColourBackbone):
    """At photos from the number `first` on, it waits until there is a file `open` in the folder.

    A process that waits leaves a file there, which is named by its id.
    """

    def __init__(self, gate: Path, first: int):
        super().__init__()
        self.gate = gate
        self.late = {numbered(number).tobytes() for number in range(first, PHOTOS)}

    def encode(self, images: Any, **more: Any) -> Any:
        if images[0].tobytes() in self.late and not (self.gate / "open").exists():
            (self.gate / str(os.getpid())).touch()
            while not (self.gate / "open").exists():
                time.sleep(SEEN_AFTER_S)
        return super().encode(images, **more)


def gated_model(gate: Path, *, first: int) -> PerSAM:
    gate.mkdir()
    return PerSAM(GatedColours(gate, first), calibration=CALIBRATION)
