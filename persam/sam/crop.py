"""A square crop around an object, in which it has the same size wherever it is in the image and however large.

The network sees an image through an input of fixed size, and gives masks at a quarter of that. A dog that is a tenth of
a wide photo has a dozen patches there; in a crop around it, it has hundreds. In one crop its mask is decoded again
(`method.crop_refine`), in a tighter one it is verified (`method.verify`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from persam.geometry import longer_side
from persam.sam.backbone import Backbone
from persam.types import ImageEmbedding

Array = np.ndarray[Any, Any]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Crop:
    """Where a crop lies in its image.

    window_xyxy: in pixels, the last two exclusive. fill: the share of the square that the window takes, in the longer
    direction: at the image's edge the rest of the network's input stays empty.
    """

    window_xyxy: Box
    fill: float

    @staticmethod
    def around(box_xyxy: Box, hw: tuple[int, int], *, margin: float) -> "Crop":
        """A square around a box (inclusive), cut at the image's edges.

        margin: side of the square over the longer side of the box.
        """
        side = round(margin * longer_side(box_xyxy))
        x0, y0, x1, y1 = box_xyxy
        left, top = math.floor((x0 + x1 + 1 - side) / 2), math.floor((y0 + y1 + 1 - side) / 2)
        window = (max(0, left), max(0, top), min(hw[1], left + side), min(hw[0], top + side))
        return Crop(window, max(window[2] - window[0], window[3] - window[1]) / side)

    @property
    def slices(self) -> tuple[slice, slice]:
        """The part of an array over the image, h w, that lies in the crop."""
        x0, y0, x1, y1 = self.window_xyxy
        return slice(y0, y1), slice(x0, x1)


def encode_crops(backbone: Backbone, crops: Sequence[tuple[UInt8[Array, "_ _ 3"], Crop]]) -> ImageEmbedding:
    """Crops, each with its image, as one batch."""
    pixels = [np.ascontiguousarray(rgb[crop.slices]) for rgb, crop in crops]
    return backbone.encode(pixels, fills=[crop.fill for _, crop in crops])
