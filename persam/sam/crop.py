"""A cut-out around an object, in which it has the same size wherever it is and however large.

The network sees a photo through an input of fixed size, and a mask to a quarter of that. A dog that is a tenth of a
wide photo has a dozen cells there; in a cut-out around it, it has hundreds. One that fills the photo may be shown
smaller instead. In one cut-out its mask is decoded again (`zoom`), in a closer one it is recognised (`portrait`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from persam.geometry import box_of, longer_side, window_around
from persam.sam.backbone import Backbone
from persam.types import ImageEmbedding

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class CloseUp:
    """The features of a cut-out, and where in the photo it was.

    window: x0, y0, x1, y1 in pixels, the last two exclusive. box_xyxy: of the mask in it, in the photo's pixels.
    """

    embedding: ImageEmbedding
    window: tuple[int, int, int, int]
    box_xyxy: tuple[int, int, int, int]

    @staticmethod
    def of(
        backbone: Backbone, rgb: UInt8[Array, "h w 3"], mask: Bool[Array, "h w"], *, margin: float
    ) -> "CloseUp | None":
        """Around the mask; None where it has no pixel. Encodes the cut-out.

        Args:
            backbone: encodes.
            rgb: the photo.
            mask: of the object in it.
            margin: side of the cut-out over the longer side of the mask's box. Where it would pass the photo's edge, it
                ends there, and leaves that part of the input empty.
        """
        box = box_of(mask)
        if box is None:
            return None
        side = round(margin * longer_side(box))
        x0, y0, x1, y1 = window = window_around(box, (mask.shape[0], mask.shape[1]), side)
        fill = max(x1 - x0, y1 - y0) / side
        return CloseUp(backbone.encode(np.ascontiguousarray(rgb[y0:y1, x0:x1]), fill=fill), window, box)

    @property
    def slices(self) -> tuple[slice, slice]:
        """What of an array over the photo, h w, lies in the cut-out."""
        x0, y0, x1, y1 = self.window
        return slice(y0, y1), slice(x0, x1)
