"""A find: one instance of a concept in one image, still on the device; and how finds share the image's pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from persam.geometry import box_of
from persam.io.again import ReadAgain
from persam.io.album import Target
from persam.io.results import ImageResult
from persam.io.segmentation import Segmentation
from persam.method.concept import Concept
from persam.types import Decoded, LocationPrior

Array = np.ndarray[Any, Any]
STEEP = 8.0  # logit from which on a pixel is simply inside or outside


@dataclass(frozen=True, eq=False)
class Extent:
    """The pixels of a mask, of which most images have few.

    inside: the mask within its box.
    """

    box_xyxy: tuple[int, int, int, int]
    inside: Bool[Tensor, "_ _"]
    area_px: int

    @staticmethod
    def of(mask: Bool[Tensor, "h w"]) -> "Extent | None":
        """None for an empty mask."""
        box = box_of(mask)
        if box is None:
            return None
        x0, y0, x1, y1 = box
        inside = mask[y0 : y1 + 1, x0 : x1 + 1].clone()
        return Extent(box, inside, int(inside.sum()))

    def shared_px(self, other: "Extent") -> int:
        """How many pixels both masks have."""
        corners = zip(self.box_xyxy, other.box_xyxy, strict=True)
        x0, y0, x1, y1 = (max(pair) if number < 2 else min(pair) for number, pair in enumerate(corners))
        if x0 > x1 or y0 > y1:
            return 0
        own, others = (
            one.inside[y0 - top : y1 + 1 - top, x0 - left : x1 + 1 - left]
            for one in (self, other)
            for left, top in [one.box_xyxy[:2]]
        )
        return int((own & others).sum())


@dataclass(frozen=True, eq=False)
class Find:
    """One instance of a concept.

    mask: over the original image. presence: 0..1; None where it was not judged. present: by presence, where judged, and
    the mask is not empty. evidence: the similarity that presence was told from, 0..1; None where it was not judged.
    """

    concept: Concept
    prior: LocationPrior
    mask: Decoded
    presence: float | None = None
    present: bool = True
    evidence: float | None = None

    @property
    def inside(self) -> Bool[Tensor, "h w"]:
        """Where the mask is."""
        return self.mask.logits > 0

    @cached_property
    def extent(self) -> Extent | None:
        """The same in its box; None where the mask is empty."""
        return Extent.of(self.inside)

    def segmentation(self, instance: int, hw: tuple[int, int] | None = None) -> Segmentation:
        """The find as a result, on the CPU.

        hw: size of the image that the result is of, where the find was made in a smaller copy.
        """
        score, found_hw = float(self.mask.score), tuple(self.mask.logits.shape)
        mask, points = self.inside.cpu().numpy(), self.prior.points_xy.cpu().numpy()
        if hw is not None and hw != found_hw:
            mask, ratio = _at_size(self.mask.logits, hw), np.array([hw[1] / found_hw[1], hw[0] / found_hw[0]])
            points = ((points + 0.5) * ratio - 0.5).astype(points.dtype)
        return Segmentation(
            concept=self.concept.name,
            instance=instance,
            mask=mask,
            score=min(1.0, max(0.0, score)),
            presence=self.presence,
            present=self.present,
            box_xyxy=box_of(mask),
            points_xy=points,
            labels=self.prior.labels.cpu().numpy(),
            similarity=self.prior.similarity.cpu().numpy(),
        )


def result_of(target: Target, rgb: UInt8[Array, "h w 3"], finds: Sequence[Find]) -> ImageResult:
    """The finds in a target, or in a smaller copy of it, numbered within their concepts, without overlap."""
    segmentations: list[Segmentation] = []
    size_hw = (rgb.shape[0], rgb.shape[1])
    for find in without_overlap(finds):
        before = sum(one.concept == find.concept.name for one in segmentations)
        segmentations.append(find.segmentation(before + 1, size_hw))
    read = ReadAgain.of(target.source, rgb) if target.source else target.read
    return ImageResult(target.name, size_hw, tuple(segmentations), read, source=target.source)


def without_overlap(finds: Sequence[Find]) -> list[Find]:
    """The finds with each pixel given to one of those that are present.

    Among instances of a concept the one found first has it, and one of which less than half is left is the same thing
    again, and dropped. Among concepts the surer logits have it.
    """
    kept: list[Find] = []
    for name in dict.fromkeys(find.concept.name for find in finds):
        kept += _instances([find for find in finds if find.concept.name == name])
    present = [find for find in kept if find.present]
    if len({find.concept.name for find in present}) < 2:
        return kept
    owner = torch.stack([find.mask.logits for find in present]).argmax(0)
    owners = {id(find): number for number, find in enumerate(present)}
    return [_only(find, owner == owners[id(find)]) if id(find) in owners else find for find in kept]


def _instances(finds: Sequence[Find]) -> list[Find]:
    kept: list[Find] = []
    free = torch.ones_like(finds[0].inside)
    for find in finds:
        own = find.inside & free
        if kept and find.present and 2 * own.sum() < find.inside.sum():
            continue
        kept.append(_only(find, free) if find.present else find)
        free &= ~own
    return kept


def _only(find: Find, where: Bool[Tensor, "h w"]) -> Find:
    if not (find.inside & ~where).any():
        return find
    logits = find.mask.logits.masked_fill(~where & find.inside, -1.0)
    return replace(find, mask=Decoded(logits, find.mask.score), present=find.present and bool((logits > 0).any()))


def _at_size(logits: Float[Tensor, "h w"], hw: tuple[int, int]) -> Bool[Array, "H W"]:
    """The mask in another size. The logits go there as bytes: of a photo of 100 megapixels floats would take 400 MB."""
    level = (logits.clamp(-STEEP, STEEP) * (127 / STEEP) + 128).round().byte().cpu().numpy()
    return np.asarray(cv2.resize(level, hw[::-1], interpolation=cv2.INTER_LINEAR) > 128)
