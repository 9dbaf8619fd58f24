"""A stand-in for a model that takes its time, so that a test can interfere while it works."""

import time
from typing import Any

from persam.model import PerSAM
from tests.colour import CALIBRATION, ColourBackbone

ENCODING_S = 0.1


class SlowColours(ColourBackbone):
    def encode(self, images: Any, **more: Any) -> Any:
        time.sleep(ENCODING_S)
        return super().encode(images, **more)


def slow_model() -> PerSAM:
    return PerSAM(SlowColours(), calibration=CALIBRATION)
