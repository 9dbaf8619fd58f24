"""A second look: an object's mask is decoded again in a cut-out, where it has the size that the network knows best.

A small object is seen with more pixels, and the second mask stands; of a large one nothing more is seen, and both looks
count. What the second one finds must be the same thing: a mask that departs too far from the first is not taken.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from persam.geometry import Frame, longer_side
from persam.method.refine import ELSEWHERE, mask_logits, one_piece
from persam.sam.backbone import Backbone
from persam.sam.crop import CloseUp
from persam.types import Prompt

Array = np.ndarray[Any, Any]
MARGIN = 2.0  # side of the cut-out over the longer side of the mask's box
SMALL = 0.4  # of the photo's longer side: a larger object has nearly as many pixels in the photo as in the cut-out
SAME = 0.5  # IoU with the first look below which the second one found something else


def look_again(
    backbone: Backbone, rgb: UInt8[Array, "h w 3"], logits: Float[Tensor, "h w"], point_xy: Float[Tensor, "2"]
) -> Float[Tensor, "h w"] | None:
    """The mask's logits after the second look; None where it found nothing, or something else.

    Args:
        backbone: encodes the cut-out: the cost of a second photo.
        rgb: the photo.
        logits: of the first look, above zero on the object.
        point_xy: the positive point, in pixels of the photo.
    """
    close = CloseUp.of(backbone, rgb, (logits > 0).cpu().numpy(), margin=MARGIN)
    if close is None:
        return None
    before, embedding, box = logits[close.slices], close.embedding, close.box_xyxy
    corner = point_xy.new_tensor(close.window[:2])
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
    again = torch.full_like(logits, ELSEWHERE)
    again[close.slices] = full[best]
    return again if longer_side(box) <= SMALL * max(logits.shape) else (logits + again) / 2


def _as_prompt(logits: Float[Tensor, "h w"], frame: Frame) -> Float[Tensor, "m m"]:
    """Logits over the cut-out as a mask prompt over its padded square, at 4x the grid."""
    side = 4 * frame.grid_side
    height, width = (max(1, round(extent * side / frame.input_size)) for extent in frame.input_hw)
    small = F.interpolate(logits[None, None], (height, width), mode="bilinear", align_corners=False, antialias=True)
    return F.pad(small, (0, side - width, 0, side - height), value=ELSEWHERE)[0, 0]


def _iou(masks: Tensor, other: Tensor) -> Float[Tensor, "n"]:
    shared = (masks & other).sum((1, 2))
    return shared / (masks | other).sum((1, 2)).clamp(min=1)
