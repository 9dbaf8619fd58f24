"""Crop refinement of a tracked mask: decoded again in a crop around it, by what was found and by what motion carried.

As `method.crop_refine`, with what a video adds: the carried mask is one more prompt, and the mean of the best masks is
steadier from frame to frame than the best one.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from persam.geometry import box_of, longer_side
from persam.method.components import OUTSIDE
from persam.method.crop_refine import SAME, SMALL, iou_with, mask_prompt
from persam.method.edges import follow_edges
from persam.method.object_crop import MARGIN
from persam.sam.backbone import Backbone
from persam.sam.crop import Crop, encode_crops
from persam.types import Decoded, Prompt

Array = np.ndarray[Any, Any]
INPUT_SIZE = 576  # of the crop, where the backbone lets us choose; 512 costs half a point of J&F
BEST = 3  # masks that are averaged
MOTION = 0.25  # weight of agreement with the carried mask, beside predicted IoU and agreement with the found one


def refine_track(
    backbone: Backbone,
    rgb: UInt8[Array, "h w 3"],
    found: Decoded,
    point_xy: Float[Tensor, "2"],
    carried: Float32[Array, "h w"],
) -> Decoded:
    """The mask over the frame after refinement; as it was where it is empty, or where its crop shows something else.

    Args:
        backbone: encodes the crop.
        rgb: the frame.
        found: a mask over the frame.
        point_xy: inside the object, in pixels of the frame.
        carried: logits of the mask that motion carries into the frame.
    """
    box = box_of(found.logits > 0)
    if box is None:
        return found
    crop = Crop.around(box, (rgb.shape[0], rgb.shape[1]), margin=MARGIN)
    network = backbone.at_input(INPUT_SIZE)
    embedding = encode_crops(network, [(rgb, crop)])
    frame = embedding.frame
    moved = torch.from_numpy(carried[crop.slices].copy()).to(found.logits.device)
    before, moved = (mask_prompt(logits, frame) for logits in (found.logits[crop.slices], moved))
    corner = point_xy.new_tensor(crop.window_xyxy[:2])
    point, inside = (point_xy - corner)[None, None], point_xy.new_ones(1, 1)
    box_xyxy = (point.new_tensor(box) - corner.repeat(2))[None]
    shown = [logits[None, None] for logits in (before, moved) if (logits > 0).any()]
    answers = [network.decode(embedding, Prompt(point, inside, box_xyxy, logits)) for logits in (*shown, None)]
    masks = torch.cat([one.logits[0, 1:] for one in answers])
    scores = torch.cat([one.predicted_iou[0, 1:] for one in answers])
    taken, then, now = (frame.valid(logits) > 0 for logits in (masks, before, moved))
    best = (scores + iou_with(taken, then) + MOTION * iou_with(taken, now)).topk(BEST).indices
    mean = frame.upscale(masks[best].mean(0)[None, None])[0, 0]
    if iou_with(mean[None] > 0, found.logits[crop.slices] > 0)[0] < SAME:
        return found
    refined = torch.full_like(found.logits, OUTSIDE)
    refined[crop.slices] = mean
    if longer_side(box) > SMALL * max(found.logits.shape):
        refined = (found.logits + refined) / 2
    return Decoded(follow_edges(refined, rgb), scores[best].mean())
