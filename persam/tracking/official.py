"""The published video recipes, straight through and without settings: PerSAM and PerSAM-F in a clip (section 4.2).

They compute what the authors' `persam_video.py` and `persam_video_f.py` compute, quirks included; tests/golden holds
their numbers. From frame to frame only the label map goes on. Numbers of the parity ledger (docs/method.md) stand
beside each quirk.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from persam.errors import ConceptError
from persam.geometry import Frame, box_of, official_patches
from persam.method.location import confidence_map
from persam.method.official import at_original, peaks, similarity_at_original
from persam.method.scales import combine, fit_weights
from persam.sam.backbone import Backbone
from persam.types import Decoded, ImageEmbedding, LocationPrior, Prompt

Array = np.ndarray[Any, Any]
Box = tuple[int, int, int, int]

GREY_LEVEL = 215  # of the first frame's masks (ledger 15)
MARGIN_PX = 10  # around the box of the mask before
STEPS, LEARNING_RATE = 800, 4e-4  # of PerSAM-F's fit; the image script's are in method/scales.py


@dataclass(frozen=True)
class Target:
    """An object as the first frame shows it.

    feature: of unit length. scale_weights: PerSAM-F's, of whole, part and subpart; None for PerSAM.
    """

    feature: Float[Tensor, "c"]
    scale_weights: Float[Tensor, "3"] | None = None


@dataclass(frozen=True)
class Step:
    """One decode of the cascade.

    logits: of whole, part and subpart, over the padded square at 4x the grid. predicted_iou: theirs. taken: the one
    that goes on; None where it is the weighted sum. mask: what goes on, at 4x the grid too. box_xyxy: what was in the
    prompt beside points and mask; None where there was none.
    """

    logits: Float[Tensor, "3 h w"]
    predicted_iou: Float[Tensor, "3"]
    taken: int | None
    mask: Decoded
    box_xyxy: Box | None


@dataclass(frozen=True)
class Slot:
    """One object in a frame, before it meets the others.

    prior: its points are the peaks, best first, and the centre of the grown box of the mask before; all are positive.
    steps: every decode. mask: of the last one, over the frame; empty where the object is lost.
    """

    prior: LocationPrior
    steps: tuple[Step, ...]
    mask: Decoded


@dataclass(frozen=True)
class Merged:
    """A frame. label_map: 0 is background; slot j wrote label j + 1. slots: one for each label of the map before."""

    label_map: UInt8[Array, "h w"]
    slots: tuple[Slot, ...]


def learn(
    backbone: Backbone, embedding: ImageEmbedding, masks: Sequence[Bool[Array, "h w"]], *, tune: bool
) -> list[Target]:
    """The objects of the first frame, encoded once for all of them.

    Args:
        backbone: made the embedding.
        embedding: of the first frame.
        masks: one an object, at the frame's size.
        tune: PerSAM-F's: with the weights of its three masks.

    Raises:
        ConceptError: an object covers no patch by the published rule.
    """
    # ledger 12: the published code encodes the frame again for every object
    targets = [Target(_feature(embedding, mask, number)) for number, mask in enumerate(masks, 1)]
    if not tune:
        return targets
    return [
        replace(target, scale_weights=_fitted_weights(backbone, embedding, target.feature, mask))
        for target, mask in zip(targets, masks, strict=True)
    ]


def step(
    backbone: Backbone, embedding: ImageEmbedding, targets: Sequence[Target], label_map: UInt8[Array, "h w"]
) -> Merged:
    """The next frame.

    ledger 11: the slots go to the labels that are present, in rising order. Once a label is lost, each later object
    meets the feature of the one before it, and its label is one less from then on. Nothing comes back, and from an
    empty map on all are empty.

    Args:
        backbone: made the embedding.
        embedding: of the frame.
        targets: in the order of their labels in the first frame.
        label_map: of the frame before; the given one for the second frame, with labels from 1.
    """
    labels = np.unique(label_map[label_map > 0])
    slots = tuple(
        _follow(backbone, embedding, target, label_map == label) for target, label in zip(targets, labels, strict=False)
    )
    ground = torch.zeros(1, *label_map.shape, device=embedding.device)
    owner = torch.cat([ground, *(slot.mask.logits[None] for slot in slots)]).argmax(0)  # of equals the first
    return Merged(owner.to(torch.uint8).cpu().numpy(), slots)


def _feature(embedding: ImageEmbedding, mask: Bool[Array, "h w"], number: int) -> Float[Tensor, "c"]:
    patches = official_patches(mask, embedding.frame, GREY_LEVEL)
    if not patches.any():  # ledger 13: the published code goes on with NaN
        raise ConceptError(
            f"object {number}, of {int(mask.sum())} pixels, covers no patch of the first frame by the published rule. "
            "Use the recipe 'persam_video', which takes the patches it covers most."
        )
    inside = embedding.features[0][:, patches.to(embedding.device)]
    target = inside.amax(1) / 2 + inside.mean(1) / 2  # ledger 5: the image script of PerSAM takes the mean
    return target / target.norm().clamp(min=1e-12)


def _fitted_weights(
    backbone: Backbone, embedding: ImageEmbedding, feature: Float[Tensor, "c"], mask: Bool[Array, "h w"]
) -> Float[Tensor, "3"]:
    """PerSAM-F's weights, fitted at the first frame's size to its own mask, prompted as in the frames after it."""
    box = _grown_box(mask)
    logits = backbone.decode(embedding, _prompt(_locate(embedding, feature, box, count=1), box)).logits[:, 1:]
    truth = torch.from_numpy(mask).float().to(logits.device)
    three = embedding.frame.upscale(logits)[0]
    return fit_weights([three], [truth], steps=STEPS, learning_rate=LEARNING_RATE, grouped=False)


def _follow(backbone: Backbone, embedding: ImageEmbedding, target: Target, before: Bool[Array, "h w"]) -> Slot:
    box = _grown_box(before)
    prior = _locate(embedding, target.feature, box, count=2 if target.scale_weights is None else 1)
    steps = _cascade(backbone, embedding, prior, box, target.scale_weights)
    last = steps[-1].mask
    return Slot(prior, steps, Decoded(at_original(last.logits, embedding.frame), last.score))


def _grown_box(mask: Bool[Array, "h w"]) -> Box:
    """Of a mask that is not empty; its high sides end one past the frame's last pixel at most, as published."""
    tight, (height, width) = box_of(mask), mask.shape
    assert tight is not None
    x0, y0, x1, y1 = tight
    return max(0, x0 - MARGIN_PX), max(0, y0 - MARGIN_PX), min(width, x1 + MARGIN_PX), min(height, y1 + MARGIN_PX)


def _locate(embedding: ImageEmbedding, feature: Float[Tensor, "c"], box: Box, *, count: int) -> LocationPrior:
    """The peaks, which may be neighbours (ledger 16), and the centre of the box, all of them positive."""
    similarity, (x0, y0, x1, y1) = confidence_map(feature, embedding), box
    best = peaks(similarity_at_original(similarity, embedding.frame), count)
    points = torch.cat([best, best.new_tensor([[(x0 + x1) // 2, (y0 + y1) // 2]])])
    return LocationPrior(embedding.frame.valid(similarity), points, points.new_ones(len(points)))


def _cascade(
    backbone: Backbone, embedding: ImageEmbedding, prior: LocationPrior, box: Box, weights: Float[Tensor, "3"] | None
) -> tuple[Step, ...]:
    """Three decodes, without guidance or semantic prompt, of which the last may be empty.

    ledger 14: where the box of an empty mask is wanted, the published code crashes, and here the first mask stands.
    """
    frame = embedding.frame
    first, tight = _first(backbone, embedding, prior, box, weights), None
    if weights is not None:  # PerSAM's second decode has no box
        tight = _box_of(first.mask.logits, frame) or _last_resort(first, weights, frame)
        if tight is None:
            return (first,)
    second = _refined(backbone, embedding, prior, first, tight)
    tight = _box_of(second.mask.logits, frame)
    if tight is None:
        return (first,)
    return first, second, _refined(backbone, embedding, prior, second, tight)


def _first(
    backbone: Backbone, embedding: ImageEmbedding, prior: LocationPrior, box: Box, weights: Float[Tensor, "3"] | None
) -> Step:
    """PerSAM: the largest of three masks, or so. PerSAM-F: their weighted sum."""
    candidates = backbone.decode(embedding, _prompt(prior, box))
    logits, scores = candidates.logits[0, 1:], candidates.predicted_iou[0, 1:]
    if weights is not None:
        return Step(logits, scores, None, Decoded(combine(logits, weights), combine(scores, weights)), box)
    areas_px = (embedding.frame.upscale(logits[None])[0] > 0).flatten(1).sum(1).tolist()
    largest = max(range(3), key=lambda scale: areas_px[scale] % 256)  # ledger 8: areas held in eight bits
    return Step(logits, scores, largest, Decoded(logits[largest], scores[largest]), box)


def _refined(
    backbone: Backbone, embedding: ImageEmbedding, prior: LocationPrior, before: Step, box: Box | None
) -> Step:
    """The best of three masks by predicted IoU, prompted with points, the mask before and perhaps its box."""
    prompt = replace(_prompt(prior, box), mask_logits=before.mask.logits[None, None])
    candidates = backbone.decode(embedding, prompt)
    logits, scores = candidates.logits[0, 1:], candidates.predicted_iou[0, 1:]
    best = int(scores.argmax())
    return Step(logits, scores, best, Decoded(logits[best], scores[best]), box)


def _prompt(prior: LocationPrior, box: Box | None) -> Prompt:
    return prior.prompt if box is None else replace(prior.prompt, box_xyxy=prior.points_xy.new_tensor([box]))


def _box_of(logits: Float[Tensor, "h w"], frame: Frame) -> Box | None:
    return box_of(at_original(logits, frame) > 0)


def _last_resort(first: Step, weights: Float[Tensor, "3"], frame: Frame) -> Box | None:
    """Where the weighted sum is empty: the box of the best mask, by scores that all meet the first weight alone."""
    best = int((first.predicted_iou * weights[0]).argmax())  # below 0 it turns best into worst, as published
    return _box_of(first.logits[best], frame)
