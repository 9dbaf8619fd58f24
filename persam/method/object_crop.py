"""The crop in which what was found is seen again: refined (`method.crop_refine`), and verified (`method.verify`).

One encoding serves both. What the light was says nothing about the object, so that the crop is seen as in white light
and brightly (`method.light`). Of a reference there are further views: turned, and with as few pixels as from afar.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from persam.geometry import box_of, no_larger
from persam.method.light import evenly_lit
from persam.sam.backbone import Backbone
from persam.sam.crop import Crop
from persam.types import ImageEmbedding

Array = np.ndarray[Any, Any]
MARGIN = 1.6  # side of the crop over the longer side of the mask's box; 2.0 costs the album a point
AT_ONCE = 8  # crops that are encoded and held together, 30 MB each with nano: of fifty the encoder is no faster
INPUT_SIZE = 576  # of the crop, where the backbone lets us choose; 512 costs the album a point
AFAR = 48  # pixels of an object's longer side, seen from afar


@dataclass(frozen=True)
class View:
    """What is done to a crop before it is encoded.

    turn: by how many quarters it is turned, counterclockwise. afar: whether it loses what an object of `AFAR` pixels
    does not show.
    """

    turn: int = 0
    afar: bool = False

    def of(self, pixels: UInt8[Array, "h w 3"], crop: Crop) -> UInt8[Array, "_ _ 3"]:
        """The pixels of a crop in this view."""
        if self.afar:
            small = no_larger(pixels, round(AFAR * MARGIN * crop.fill))
            pixels = np.asarray(cv2.resize(small, pixels.shape[1::-1], interpolation=cv2.INTER_LINEAR))
        return np.rot90(pixels, self.turn).copy()


AS_IT_IS = View()
REFERENCE_VIEWS = (AS_IT_IS, View(turn=1), View(turn=2), View(turn=3), View(afar=True))


@dataclass(frozen=True, eq=False)
class ObjectCrop:
    """Where the crop lies in its image, and its embedding, a batch of one, which is of a view of it."""

    crop: Crop
    embedding: ImageEmbedding
    view: View = AS_IT_IS

    @property
    def object_px(self) -> float:
        """The longer side, in pixels of the image, of the box that the crop is around."""
        x0, y0, x1, y1 = self.crop.window_xyxy
        return max(x1 - x0, y1 - y0) / self.crop.fill / MARGIN


def encode_objects(
    backbone: Backbone, objects: Sequence[tuple[UInt8[Array, "_ _ 3"], Bool[Array, "_ _"]]], *, view: View = AS_IT_IS
) -> list[ObjectCrop | None]:
    """A view of a crop for each image and mask over it; None for an empty mask. All are encoded as one batch."""
    boxes = [box_of(mask) for _, mask in objects]
    crops = [
        None if box is None else Crop.around(box, (mask.shape[0], mask.shape[1]), margin=MARGIN)
        for box, (_, mask) in zip(boxes, objects, strict=True)
    ]
    shown = [(*one, crop) for one, crop in zip(objects, crops, strict=True) if crop is not None]
    if not shown:
        return [None] * len(objects)
    pixels = [view.of(evenly_lit(rgb, mask, crop.slices), crop) for rgb, mask, crop in shown]
    embeddings = iter(closer(backbone).encode(pixels, fills=[crop.fill for _, _, crop in shown]))
    return [None if crop is None else ObjectCrop(crop, next(embeddings), view) for crop in crops]


def closer(backbone: Backbone) -> Backbone:
    """What encodes crops, and decodes in them."""
    return backbone.at_input(INPUT_SIZE)
