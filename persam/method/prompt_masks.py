"""What a user points at, as a mask: the reference's own, or the one that the backbone makes of a prompt.

Everything but a mask and a polygon is a prompt for the backbone; its mask stays where the user pointed, and is refined
in a crop, as a find's is.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from persam.errors import MaskError
from persam.io.masks import read_mask
from persam.method.crop_refine import refine_mask
from persam.method.prompts import Box, Pointed, Points, Polygon, Proposed, Scribble, check_inside, parse_prompt
from persam.method.proposals import propose
from persam.sam.backbone import Backbone
from persam.types import ImageEmbedding, Prompt

Array = np.ndarray[Any, Any]
SCRIBBLE_POINTS = 8
BOX_MARGIN = 0.1  # of the box's longer side: how far the object may reach beyond a box drawn by hand
INSIDE = 0.5  # share of a mask that must lie within the box with its margin: else the decoder means something else
FILLED = 0.05  # share of the box that a mask must take


def reference_mask(
    marked: object,
    backbone: Backbone,
    embedding: ImageEmbedding,
    rgb: UInt8[Array, "h w 3"],
    *,
    image_name: str = "the photo",
    photo: object = None,
) -> Bool[Array, "h w"]:
    """The object's mask in a reference image.

    Args:
        marked: a mask as `io.masks.read_mask` takes it, or a prompt, or a prompt's text form.
        backbone: makes a mask of a prompt.
        embedding: of the reference image.
        rgb: its pixels, of which crops show more.
        image_name: what messages call that image.
        photo: its file, as for `io.masks.read_mask`.

    Raises:
        MaskError: the mask cannot be used; the prompt lies outside the image or is degenerate; nothing fits it.
    """
    prompt = parse_prompt(marked) if isinstance(marked, str) else marked
    if isinstance(prompt, Proposed):
        return _proposed(prompt.number, backbone, embedding, rgb)
    if isinstance(prompt, Box | Points | Polygon | Scribble):
        mask = mask_from_prompt(prompt, backbone, embedding)
        return mask if isinstance(prompt, Polygon) else _refined(mask, prompt, backbone, rgb)
    return read_mask(marked, embedding.frame.original_hw, image_name=image_name, photo=photo)


def _refined(
    mask: Bool[Array, "h w"], prompt: Box | Points | Scribble, backbone: Backbone, rgb: UInt8[Array, "h w 3"]
) -> Bool[Array, "h w"]:
    """The mask after refinement in a crop; as it was where that no longer fits the prompt."""
    refined = refine_mask(backbone, rgb, mask)
    if isinstance(prompt, Box):
        fitting = _in_box(prompt, [refined])
        return fitting if fitting.any() else mask
    inside, outside = _places(prompt)
    fitting = _at_points(inside, outside, [refined])
    return fitting if _held(fitting, inside) >= _held(mask, inside) else mask


def _proposed(
    number: int, backbone: Backbone, embedding: ImageEmbedding, rgb: UInt8[Array, "h w 3"]
) -> Bool[Array, "h w"]:
    """The mask of that number; crops are looked into only where the whole image does not have so many."""
    hw = embedding.frame.original_hw
    proposals = propose(backbone, embedding)
    if number > len(proposals):
        proposals = propose(backbone, embedding, rgb=rgb)
    if not 1 <= number <= len(proposals):
        raise MaskError(
            f"there is no proposal {number} in the {hw[1]}x{hw[0]} reference: there are {len(proposals)}. `persam "
            "propose PHOTO -o sheet.png` shows them."
        )
    return proposals[number - 1].mask(hw)


def mask_from_prompt(prompt: Pointed, backbone: Backbone, embedding: ImageEmbedding) -> Bool[Array, "h w"]:
    """The mask of what a prompt points at: within a little more than the box, or the components that hold a point.

    Raises:
        MaskError: the prompt lies outside the image or is degenerate, or nothing fits it.
    """
    hw = embedding.frame.original_hw
    check_inside(prompt, width=hw[1], height=hw[0])
    if isinstance(prompt, Polygon):
        mask = _filled(prompt, hw)
    elif isinstance(prompt, Box):
        mask = _in_box(prompt, _decoded(_box_prompt(prompt), backbone, embedding))
    else:
        inside, outside = _places(prompt)
        mask = _at_points(inside, outside, _decoded(_point_prompt(inside, outside), backbone, embedding))
    if not mask.any():
        raise MaskError(
            f"nothing fits {prompt} in the {hw[1]}x{hw[0]} reference. Mark the object more closely, or give a mask."
        )
    return mask


def _decoded(prompt: Prompt, backbone: Backbone, embedding: ImageEmbedding) -> list[Bool[Array, "h w"]]:
    """Whole, part and subpart, the best by predicted IoU first; decoded twice, the second time with the first mask."""
    candidates = backbone.decode(embedding, prompt)
    best = candidates.logits[0, 1 + int(candidates.predicted_iou[0, 1:].argmax())]
    again = Prompt(prompt.points_xy, prompt.labels, prompt.box_xyxy, mask_logits=best[None, None])
    candidates = backbone.decode(embedding, again)
    order = 1 + candidates.predicted_iou[0, 1:].argsort(descending=True)
    # one at a time: of a photo of 100 megapixels each takes 400 MB as logits
    return [(embedding.frame.upscale(candidates.logits[:, [number]])[0, 0] > 0).cpu().numpy() for number in order]


def _in_box(box: Box, masks: list[Bool[Array, "h w"]]) -> Bool[Array, "h w"]:
    """The best mask of which most lies in the box and its margin, cut to that; empty where there is none."""
    height, width = masks[0].shape
    margin = BOX_MARGIN * max(box.x1 - box.x0, box.y1 - box.y0)
    left, top = max(0, round(box.x0 - margin)), max(0, round(box.y0 - margin))
    right, bottom = min(width, round(box.x1 + margin) + 1), min(height, round(box.y1 + margin) + 1)
    allowed = np.zeros((height, width), bool)
    allowed[top:bottom, left:right] = True
    least = FILLED * (box.x1 - box.x0) * (box.y1 - box.y0)
    for mask in masks:
        inside = mask & allowed
        if inside.sum() >= max(1, least, INSIDE * mask.sum()):
            return inside
    return np.zeros((height, width), bool)


def _at_points(
    inside: list[tuple[float, float]], outside: list[tuple[float, float]], masks: list[Bool[Array, "h w"]]
) -> Bool[Array, "h w"]:
    """The components with a point inside of the mask that has most of these and fewest points outside."""
    import cv2

    best = max(masks, key=lambda mask: _held(mask, inside) - _held(mask, outside))  # among equals, the best predicted
    _, label = cv2.connectedComponents(best.astype(np.uint8), connectivity=8)
    wanted = {int(label[_pixel(place, best.shape)]) for place in inside} - {0}
    unwanted = {int(label[_pixel(place, best.shape)]) for place in outside}
    return np.isin(label, sorted(wanted - unwanted))


def _held(mask: Bool[Array, "h w"], places: list[tuple[float, float]]) -> int:
    return sum(bool(mask[_pixel(place, mask.shape)]) for place in places)


def _pixel(place_xy: tuple[float, float], hw: tuple[int, ...]) -> tuple[int, int]:
    x, y = place_xy
    return min(hw[0] - 1, int(y)), min(hw[1] - 1, int(x))


def _box_prompt(box: Box) -> Prompt:
    return Prompt(box_xyxy=torch.tensor([[box.x0, box.y0, box.x1, box.y1]], dtype=torch.float32))


def _point_prompt(inside: list[tuple[float, float]], outside: list[tuple[float, float]]) -> Prompt:
    points = torch.tensor([*inside, *outside], dtype=torch.float32)[None]
    return Prompt(points_xy=points, labels=torch.tensor([[1.0] * len(inside) + [0.0] * len(outside)]))


def _places(prompt: Points | Scribble) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Places inside and outside the object; of a long scribble a few, evenly along it."""
    if isinstance(prompt, Points):
        return list(prompt.inside_xy), list(prompt.outside_xy)
    count = len(prompt.line_xy)
    chosen = np.linspace(0, count - 1, min(SCRIBBLE_POINTS, count)).round().astype(int)
    return [prompt.line_xy[number] for number in chosen], []


def _filled(polygon: Polygon, hw: tuple[int, int]) -> Bool[Array, "h w"]:
    import cv2

    plane = np.zeros(hw, np.uint8)
    cv2.fillPoly(plane, [np.array(polygon.corners_xy).round().astype(np.int32)], 1)
    return plane > 0
