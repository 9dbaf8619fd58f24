"""The crop in which what was found is seen again: refined (`method.crop_refine`), and verified (`method.verify`).

One encoding serves both. What the light was says nothing about the object, so that the crop is seen as in white light
and brightly (`method.light`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from persam.geometry import box_of
from persam.method.light import evenly_lit
from persam.sam.backbone import Backbone
from persam.sam.crop import Crop
from persam.types import ImageEmbedding

Array = np.ndarray[Any, Any]
MARGIN = 1.6  # side of the crop over the longer side of the mask's box; 2.0 costs the album a point
AT_ONCE = 8  # crops that are encoded and held together, 30 MB each with nano: of fifty the encoder is no faster
INPUT_SIZE = 576  # of the crop, where the backbone lets us choose; 512 costs the album a point


@dataclass(frozen=True, eq=False)
class ObjectCrop:
    """Where the crop lies in its image, and its embedding, a batch of one.

    turn: by how many quarters the crop was turned, counterclockwise, before it was encoded.
    """

    crop: Crop
    embedding: ImageEmbedding
    turn: int = 0


def encode_objects(
    backbone: Backbone, objects: Sequence[tuple[UInt8[Array, "_ _ 3"], Bool[Array, "_ _"]]], *, turn: int = 0
) -> list[ObjectCrop | None]:
    """A crop for each image and mask over it; None for an empty mask. All are encoded as one batch.

    turn: quarters by which the crops are turned first, counterclockwise.
    """
    boxes = [box_of(mask) for _, mask in objects]
    crops = [
        None if box is None else Crop.around(box, (mask.shape[0], mask.shape[1]), margin=MARGIN)
        for box, (_, mask) in zip(boxes, objects, strict=True)
    ]
    shown = [(*one, crop) for one, crop in zip(objects, crops, strict=True) if crop is not None]
    if not shown:
        return [None] * len(objects)
    pixels = [np.rot90(evenly_lit(rgb, mask, crop.slices), turn).copy() for rgb, mask, crop in shown]
    embeddings = iter(closer(backbone).encode(pixels, fills=[crop.fill for _, _, crop in shown]))
    return [None if crop is None else ObjectCrop(crop, next(embeddings), turn) for crop in crops]


def closer(backbone: Backbone) -> Backbone:
    """What encodes crops, and decodes in them."""
    return backbone.at_input(INPUT_SIZE)
