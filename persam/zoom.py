"""A second look, closer: a small object is cut out of the photo and decoded again with more pixels to it.

The network sees a photo through an input of fixed size, and a mask to a quarter of that. A dog that is a tenth of a
wide photo has a dozen cells there; in a cut-out around it, it has a hundred. What the second look finds must be the
same thing: a mask that departs too far from the first is not taken.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from persam.backbones.base import Backbone
from persam.geometry import Frame, box_of, window_around
from persam.refine import ELSEWHERE, mask_logits, one_piece
from persam.types import Prompt

Array = np.ndarray[Any, Any]
MARGIN = 1.5  # side of the cut-out over the longer side of the mask's box
LARGEST = 0.6  # of the photo's longer side: a cut-out beyond it would show little more than the photo did
SAME = 0.5  # IoU with the first look below which the second one found something else


def look_closer(
    backbone: Backbone, rgb: UInt8[Array, "h w 3"], logits: Float[Tensor, "h w"], point_xy: Float[Tensor, "2"]
) -> Float[Tensor, "h w"] | None:
    """The mask's logits, decoded again from a cut-out; None where the object is large, or something else was found.

    Args:
        backbone: encodes the cut-out: the cost of a second photo.
        rgb: the photo.
        logits: of the first look, above zero on the object.
        point_xy: the positive point, in pixels of the photo.
    """
    box = box_of((logits > 0).cpu().numpy())
    if box is None or MARGIN * max(box[2] - box[0] + 1, box[3] - box[1] + 1) > LARGEST * max(logits.shape):
        return None
    x0, y0, x1, y1 = window_around(box, (logits.shape[0], logits.shape[1]), MARGIN)
    before = logits[y0:y1, x0:x1]
    embedding = backbone.encode(np.ascontiguousarray(rgb[y0:y1, x0:x1]))
    corner = point_xy.new_tensor([x0, y0])
    point = point_xy - corner
    prompt = Prompt(
        points_xy=point[None, None],
        labels=point.new_ones(1, 1),
        box_xyxy=point.new_tensor([list(map(float, box))]) - corner.repeat(2),
        mask_logits=_as_prompt(before, embedding.frame)[None, None],
    )
    candidates = backbone.decode(embedding, prompt)
    three = torch.stack([one_piece(one, point, embedding.frame) for one in candidates.logits[0, 1:]])
    full = torch.stack([mask_logits(one, embedding.frame) for one in three])
    alike = _iou(full > 0, before > 0)
    best = int((candidates.predicted_iou[0, 1:] + alike).argmax())
    if alike[best] < SAME:
        return None
    closer = torch.full_like(logits, ELSEWHERE)
    closer[y0:y1, x0:x1] = full[best]
    return closer


def _as_prompt(logits: Float[Tensor, "h w"], frame: Frame) -> Float[Tensor, "m m"]:
    """Logits over the cut-out as a mask prompt over its padded square, at 4x the grid."""
    side = 4 * frame.grid_side
    height, width = (max(1, round(extent * side / frame.input_size)) for extent in frame.input_hw)
    small = F.interpolate(logits[None, None], (height, width), mode="bilinear", align_corners=False, antialias=True)
    return F.pad(small, (0, side - width, 0, side - height), value=ELSEWHERE)[0, 0]


def _iou(masks: Tensor, other: Tensor) -> Float[Tensor, "n"]:
    shared = (masks & other).sum((1, 2))
    return shared / (masks | other).sum((1, 2)).clamp(min=1)
