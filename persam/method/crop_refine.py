"""Crop refinement: each mask is decoded again in a crop around it, where the object has the size it was trained at.

A small object is seen with more pixels, and the second mask stands; of a large one nothing more is seen, and both masks
count. What the crop shows must be the same thing: a mask that departs too far from the first is not taken.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from persam.geometry import Frame, box_of, longer_side
from persam.method.decode import OUTSIDE, keep_component
from persam.sam.backbone import Backbone
from persam.sam.crop import Crop, encode_crops
from persam.types import Candidates, Decoded, ImageEmbedding, Prompt

Array = np.ndarray[Any, Any]
Box = tuple[int, int, int, int]
MARGIN = 1.6  # side of the crop over the longer side of the mask's box; 2.0 costs the album a point
SMALL = 0.4  # of the image's longer side: a larger object has nearly as many pixels in the image as in the crop
SAME = 0.5  # IoU with the first mask below which the crop shows something else


def refine_in_crops(
    backbone: Backbone,
    rgb: UInt8[Array, "h w 3"],
    masks: Sequence[Decoded],
    points_xy: Sequence[Float[Tensor, "2"]],
) -> list[Decoded]:
    """The masks after refinement; one stays as it was where it is empty, or where its crop shows something else.

    Args:
        backbone: encodes the crops as one batch, and decodes them as one.
        rgb: the image.
        masks: over the image.
        points_xy: for each mask, its positive point in pixels of the image.
    """
    boxes = [box_of(one.logits > 0) for one in masks]
    crops = [None if box is None else Crop.around(box, (rgb.shape[0], rgb.shape[1]), margin=MARGIN) for box in boxes]
    seen = [(m, c, b, p) for m, c, b, p in zip(masks, crops, boxes, points_xy, strict=True) if c and b]
    if not seen:
        return list(masks)
    embedding = encode_crops(backbone, [(rgb, crop) for _, crop, _, _ in seen])
    prompts = [_prompt_of(*one, embedding.frames[row]) for row, one in enumerate(seen)]
    candidates = backbone.decode(embedding, _joined(prompts))
    refined = iter(
        _choose(mask, crop, box, candidates, embedding, row, prompts[row])
        for row, (mask, crop, box, _) in enumerate(seen)
    )
    return [mask if crop is None else next(refined) for mask, crop in zip(masks, crops, strict=True)]


def _prompt_of(mask: Decoded, crop: Crop, box: Box, point_xy: Float[Tensor, "2"], frame: Frame) -> Prompt:
    """Point, box and the mask before, in the crop's pixels."""
    corner = point_xy.new_tensor(crop.window_xyxy[:2])
    point = point_xy - corner
    return Prompt(
        points_xy=point[None, None],
        labels=point.new_ones(1, 1),
        box_xyxy=(point.new_tensor(box) - corner.repeat(2))[None],
        mask_logits=mask_prompt(mask.logits[crop.slices], frame)[None, None],
    )


def mask_prompt(logits: Float[Tensor, "h w"], frame: Frame) -> Float[Tensor, "m m"]:
    """Logits over the crop as a mask prompt over its padded square, at 4x the grid."""
    side = 4 * frame.grid_side
    height, width = (max(1, round(extent * side / frame.input_size)) for extent in frame.input_hw)
    small = F.interpolate(logits[None, None], (height, width), mode="bilinear", align_corners=False, antialias=True)
    return F.pad(small, (0, side - width, 0, side - height), value=OUTSIDE)[0, 0]


def _joined(prompts: Sequence[Prompt]) -> Prompt:
    columns = ([getattr(one, name) for one in prompts] for name in ("points_xy", "labels", "box_xyxy", "mask_logits"))
    return Prompt(*(torch.cat(column) for column in columns))


def _choose(
    mask: Decoded, crop: Crop, box: Box, candidates: Candidates, embedding: ImageEmbedding, row: int, prompt: Prompt
) -> Decoded:
    """The best of whole, part and subpart by predicted IoU and agreement with the mask before."""
    frame, before = embedding.frames[row], mask.logits[crop.slices]
    assert prompt.points_xy is not None
    three = torch.stack([keep_component(one, prompt.points_xy[0, 0], frame) for one in candidates.logits[row, 1:]])
    full, scores = frame.upscale(three[None])[0], candidates.predicted_iou[row, 1:]
    agreement = iou_with(full > 0, before > 0)
    best = int((scores + agreement).argmax())
    if agreement[best] < SAME:
        return mask
    refined = torch.full_like(mask.logits, OUTSIDE)
    refined[crop.slices] = full[best]
    if longer_side(box) <= SMALL * max(mask.logits.shape):
        return Decoded(refined, scores[best])
    return Decoded((mask.logits + refined) / 2, (mask.score + scores[best]) / 2)


def iou_with(masks: Tensor, other: Tensor) -> Float[Tensor, "n"]:
    shared = (masks & other).sum((1, 2))
    return shared / (masks | other).sum((1, 2)).clamp(min=1)
