"""Crop refinement: each mask is decoded again in a crop around it, where the object has the size it was trained at.

A small object is seen with more pixels, and the second mask stands; of a large one nothing more is seen, and both masks
count. What the crop shows must be the same thing: a mask that departs too far from the first is not taken. What is
taken follows the edges of the photo (`method.edges`).
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from persam.geometry import ENOUGH, Frame, box_of, longer_side, no_larger
from persam.method.components import OUTSIDE, keep_component
from persam.method.edges import follow_edges
from persam.method.object_crop import ObjectCrop, closer, encode_objects
from persam.sam.backbone import Backbone
from persam.types import Candidates, Decoded, ImageEmbedding, Prompt

Array = np.ndarray[Any, Any]
Box = tuple[int, int, int, int]
SMALL = 0.4  # of the image's longer side: a larger object has nearly as many pixels in the image as in the crop
SAME = 0.5  # IoU with the first mask below which the crop shows something else


def refine_in_crops(
    backbone: Backbone,
    rgb: UInt8[Array, "h w 3"],
    masks: Sequence[Decoded],
    crops: Sequence[ObjectCrop | None],
    points_xy: Sequence[Float[Tensor, "2"]],
) -> list[Decoded]:
    """The masks after refinement; one stays as it was where it has no crop, or where that shows something else.

    Args:
        backbone: decodes in the crops, all at once.
        rgb: the image.
        masks: over it.
        crops: around each mask; None for an empty one.
        points_xy: for each mask, its positive point in pixels of the image.
    """
    seen = [
        (mask, crop, box, point)
        for mask, crop, point in zip(masks, crops, points_xy, strict=True)
        if crop is not None and (box := box_of(mask.logits > 0)) is not None
    ]
    if not seen:
        return list(masks)
    prompts = [_prompt_of(*one) for one in seen]
    embedding = ImageEmbedding.joined([crop.embedding for _, crop, _, _ in seen])
    candidates = closer(backbone).decode(embedding, _joined(prompts))
    refined = {
        id(mask): _choose(mask, rgb, crop, box, candidates, row, prompts[row])
        for row, (mask, crop, box, _) in enumerate(seen)
    }
    return [refined.get(id(mask), mask) for mask in masks]


def refine_mask(backbone: Backbone, rgb: UInt8[Array, "h w 3"], mask: Bool[Array, "h w"]) -> Bool[Array, "h w"]:
    """A mask that the backbone made of a user's prompt, refined as a find's is: in a crop, which costs an encoding.

    As in a search, in a smaller copy where the image is far larger than the network's input.
    """
    seen = no_larger(rgb, ENOUGH * backbone.input_size)
    small = _at_size(mask, (seen.shape[0], seen.shape[1]))
    logits = torch.from_numpy(np.where(small, -OUTSIDE, OUTSIDE).astype(np.float32)).to(backbone.device)
    crops, point = encode_objects(backbone, [(seen, small)]), logits.new_tensor(_deepest(small))
    (refined,) = refine_in_crops(backbone, seen, [Decoded(logits, logits.new_tensor(1.0))], crops, [point])
    return _at_size((refined.logits > 0).cpu().numpy(), (mask.shape[0], mask.shape[1]))


def _at_size(mask: Bool[Array, "h w"], hw: tuple[int, int]) -> Bool[Array, "H W"]:
    """The mask in another size, its edge where half of a pixel is covered; the same in its own."""
    if mask.shape == hw:
        return mask
    levels = cv2.resize(mask.astype(np.uint8) * 255, hw[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(levels > 127)


def _deepest(mask: Bool[Array, "h w"]) -> tuple[float, float]:
    """The pixel, x and y, that is furthest from the mask's outside."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1]
    y, x = divmod(int(depth.argmax()), mask.shape[1])
    return float(x), float(y)


def _prompt_of(mask: Decoded, seen: ObjectCrop, box: Box, point_xy: Float[Tensor, "2"]) -> Prompt:
    """Point, box and the mask before, in the crop's pixels."""
    corner = point_xy.new_tensor(seen.crop.window_xyxy[:2])
    point = point_xy - corner
    return Prompt(
        points_xy=point[None, None],
        labels=point.new_ones(1, 1),
        box_xyxy=(point.new_tensor(box) - corner.repeat(2))[None],
        mask_logits=mask_prompt(mask.logits[seen.crop.slices], seen.embedding.frame)[None, None],
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
    mask: Decoded,
    rgb: UInt8[Array, "h w 3"],
    seen: ObjectCrop,
    box: Box,
    candidates: Candidates,
    row: int,
    prompt: Prompt,
) -> Decoded:
    """The best of whole, part and subpart by predicted IoU and agreement with the mask before."""
    frame, where = seen.embedding.frame, seen.crop.slices
    before = mask.logits[where]
    assert prompt.points_xy is not None
    three = torch.stack([keep_component(one, prompt.points_xy[0, 0], frame) for one in candidates.logits[row, 1:]])
    full, scores = frame.upscale(three[None])[0], candidates.predicted_iou[row, 1:]
    agreement = iou_with(full > 0, before > 0)
    best = int((scores + agreement).argmax())
    if agreement[best] < SAME:
        return mask
    refined, score = torch.full_like(mask.logits, OUTSIDE), scores[best]
    refined[where] = full[best]
    if longer_side(box) > SMALL * max(mask.logits.shape):
        refined, score = (mask.logits + refined) / 2, (mask.score + score) / 2
    return Decoded(follow_edges(refined, rgb), score)


def iou_with(masks: Tensor, other: Tensor) -> Float[Tensor, "n"]:
    shared = (masks & other).sum((1, 2))
    return shared / (masks | other).sum((1, 2)).clamp(min=1)
