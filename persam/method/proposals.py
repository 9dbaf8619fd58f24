"""Proposals: everything that SAM takes for a thing in an image, without a reference; one of them can be made one.

SAM's automatic masks (Kirillov et al., ICCV 2023, section 5 and appendix B): a grid of points is decoded in batches,
and of the masks that are sure and stable the best of each set of nearly equal ones stand.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from persam.geometry import Frame, no_larger, within
from persam.io.again import ReadAgain
from persam.io.album import Target
from persam.io.results import ImageResult
from persam.io.segmentation import Segmentation
from persam.method.components import different, keep_component, without_holes
from persam.sam.backbone import Backbone
from persam.sam.crop import Crop, encode_crops
from persam.types import ImageEmbedding, Prompt

Array = np.ndarray[Any, Any]
POINTS = 16  # along the longer side of an image
AT_ONCE = 32  # prompts that are decoded as one batch
MOST = 100  # proposals of an image
PREDICTED, STABLE = 0.3, 0.3  # predicted IoU and stability below which a mask is none; the better ones come first
OFFSET = 1.0  # of the logits: a stable mask is the same with its border so much further in and out
ALIKE = 0.8  # IoU from which on two masks are one
SPECK = 0.02  # of a mask's area: holes up to that are filled
COMPARED = 256  # longer side, in pixels, at which masks are compared
SMALLEST = 10  # pixels of a mask at that size
CROP, CROPS = 0.6, 2  # side of a crop over the image's, and how many there are along it


@dataclass(frozen=True, eq=False)
class Proposal:
    """A mask, as logits over the padded square at 4x the grid of the image, or of a crop of it.

    score: predicted IoU times stability, 0..1. point_xy: the place in the original image that was asked.
    frame: of the image or the crop. crop: None for the whole image.
    """

    logits: Float[Tensor, "h w"]
    score: float
    point_xy: tuple[float, float]
    frame: Frame
    crop: Crop | None = None

    def mask(self, image_hw: tuple[int, int]) -> Bool[Array, "h w"]:
        """Over the original image."""
        inside = (self.frame.upscale(self.logits[None, None])[0, 0] > 0).cpu().numpy()
        if self.crop is None:
            return inside
        whole = np.zeros(image_hw, bool)
        whole[self.crop.slices] = inside
        return whole


def propose(
    backbone: Backbone,
    embedding: ImageEmbedding,
    *,
    rgb: UInt8[Array, "h w 3"] | None = None,
    points: int | None = None,
) -> list[Proposal]:
    """The different masks of an image, the best first; at most a hundred, and as many more of its crops.

    Args:
        backbone: decodes the points.
        embedding: of the image, a batch of one.
        rgb: the image, if overlapping crops of it shall be encoded too, for what is small. What only these show follows
            after what the whole image shows.
        points: along its longer side, 16 by default; in a crop, which shows half of it, half as many.
    """
    image_hw = embedding.frame.original_hw
    [whole, *crops] = looked_at(backbone, embedding, rgb, points=points or POINTS)
    found = _different([], whole, image_hw)
    return found + _different(found, [one for own in crops for one in own], image_hw)


def looked_at(
    backbone: Backbone, embedding: ImageEmbedding, rgb: UInt8[Array, "h w 3"] | None, *, points: int
) -> list[list[Proposal]]:
    """What is sure and stable in the image and, if its pixels are given, in each of its crops; some of it twice."""
    image_hw = embedding.frame.original_hw
    whole = _offered(backbone, embedding, points)
    if rgb is None:
        return [whole]
    crops = list(_crops(image_hw))
    shown = encode_crops(backbone, [(rgb, crop) for crop in crops])
    closer = [
        [one for one in _offered(backbone, own, max(1, points // 2), crop) if not _is_cut(one, image_hw)]
        for crop, own in zip(crops, shown, strict=True)
    ]
    return [whole, *closer]


def result_of(
    target: Target, rgb: UInt8[Array, "h w 3"], proposals: Sequence[Proposal], max_side: int | None = None
) -> ImageResult:
    """The proposals as a result, over the image or a smaller copy of it."""
    shown = rgb if max_side is None else no_larger(rgb, max_side)
    size_hw, image_hw = (shown.shape[0], shown.shape[1]), (rgb.shape[0], rgb.shape[1])
    found = []
    for number, one in enumerate(proposals, start=1):
        mask = one.mask(image_hw)
        if size_hw != image_hw:
            mask = cv2.resize(mask.astype(np.uint8) * np.uint8(255), size_hw[::-1], interpolation=cv2.INTER_AREA) > 127
        segmentation = Segmentation.of_mask(f"proposal {number}", mask, score=one.score, present=bool(mask.any()))
        point = (np.array([one.point_xy]) + 0.5) * (size_hw[1] / image_hw[1], size_hw[0] / image_hw[0]) - 0.5
        labels = np.ones(1, np.float32)
        found.append(replace(segmentation, points_xy=point.astype(np.float32), labels=labels))
    read: Callable[[], UInt8[Array, "h w 3"]] = partial(np.array, shown)
    if shown is rgb:
        read = ReadAgain.of(target.source, rgb) if target.source else target.read
    return ImageResult(target.name, size_hw, tuple(found), read, source=target.source)


def _offered(backbone: Backbone, embedding: ImageEmbedding, points: int, crop: Crop | None = None) -> list[Proposal]:
    """What is sure and stable at the points of a grid, in any order."""
    frame = embedding.frame
    places = _grid(frame.original_hw, points)
    x0, y0 = (0, 0) if crop is None else crop.window_xyxy[:2]
    offered = []
    for some in places.split(AT_ONCE):
        answer = backbone.decode(embedding, Prompt(some[:, None], torch.ones(len(some), 1)))
        logits = frame.valid(answer.logits[:, 1:])
        inner, outer = ((logits > level).count_nonzero((2, 3)) for level in (OFFSET, -OFFSET))
        stability = inner / outer.clamp(min=1)
        predicted = answer.predicted_iou[:, 1:].clamp(0, 1)
        for row, which in ((predicted >= PREDICTED) & (stability >= STABLE)).nonzero().tolist():
            own = keep_component(answer.logits[row, 1 + which], some[row], frame)
            own = without_holes(own, frame, least=SPECK)
            (x, y), score = some[row].tolist(), float(predicted[row, which] * stability[row, which])
            offered.append(Proposal(own, score, (x0 + x, y0 + y), frame, crop))
    return offered


def _grid(image_hw: tuple[int, int], points: int) -> Float[Tensor, "n 2"]:
    """Places in pixels, equally far from each other and half as far from the border."""
    height, width = image_hw
    step = max(image_hw) / points
    rows, columns = (max(1, round(side / step)) for side in image_hw)
    ys, xs = (torch.arange(count) + 0.5 for count in (rows, columns))
    y, x = torch.meshgrid(ys * height / rows - 0.5, xs * width / columns - 0.5, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=1)


def _is_cut(one: Proposal, image_hw: tuple[int, int]) -> bool:
    """Whether a mask reaches its crop's edge where the image goes on."""
    assert one.crop is not None
    mask, (x0, y0, x1, y1) = one.frame.valid(one.logits) > 0, one.crop.window_xyxy
    edges = ((x0 > 0, mask[:, 0]), (y0 > 0, mask[0]), (x1 < image_hw[1], mask[:, -1]), (y1 < image_hw[0], mask[-1]))
    return any(goes_on and bool(edge.any()) for goes_on, edge in edges)


def _different(known: Sequence[Proposal], offered: Sequence[Proposal], image_hw: tuple[int, int]) -> list[Proposal]:
    """Of those offered, the best of each set of nearly equal masks, without what is known; the best first."""
    ranked = sorted(offered, key=lambda one: one.score, reverse=True)
    if not ranked:
        return []
    small_hw = within(image_hw, COMPARED)
    masks = torch.stack([_compared(one, image_hw, small_hw) for one in [*known, *ranked]])
    places = different(masks, least=SMALLEST, alike=ALIKE)
    return [ranked[place - len(known)] for place in places if place >= len(known)][:MOST]


def _compared(one: Proposal, image_hw: tuple[int, int], small_hw: tuple[int, int]) -> Bool[Tensor, "h w"]:
    """The mask over the image at a small size."""
    logits = one.frame.valid(one.logits)
    if one.crop is None:
        return F.interpolate(logits[None, None], small_hw, mode="bilinear", align_corners=False)[0, 0] > 0
    scale = small_hw[0] / image_hw[0], small_hw[1] / image_hw[1]
    x0, y0, x1, y1 = one.crop.window_xyxy
    top, bottom = round(y0 * scale[0]), max(round(y0 * scale[0]) + 1, round(y1 * scale[0]))
    left, right = round(x0 * scale[1]), max(round(x0 * scale[1]) + 1, round(x1 * scale[1]))
    whole = torch.zeros(small_hw, dtype=torch.bool, device=logits.device)
    size = (bottom - top, right - left)
    inside = F.interpolate(logits[None, None], size, mode="bilinear", align_corners=False)[0, 0] > 0
    part = whole[top:bottom, left:right]
    part[:] = inside[: part.shape[0], : part.shape[1]]
    return whole


def _crops(image_hw: tuple[int, int]) -> Iterator[Crop]:
    height, width = image_hw
    for row in range(CROPS):
        for column in range(CROPS):
            tall, wide = max(1, round(CROP * height)), max(1, round(CROP * width))
            top, left = (
                round(place / (CROPS - 1) * rest) for place, rest in ((row, height - tall), (column, width - wide))
            )
            yield Crop((left, top, left + wide, top + tall), 1.0)
