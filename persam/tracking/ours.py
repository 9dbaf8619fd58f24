"""Ours: motion carries each mask to the next frame, recognition corrects it, and says when the object is not there.

A frame is encoded once, however many objects. The mask of the frame before, moved by optical flow, is a prompt; so are
the places where the concept and the video's own target model see the object. Of all masks the decoder answers with, the
one that looks most like the object counts. What does not look like it is not followed: the object is then looked for in
the whole frame as in a photo, verification included, and keeps its number when it comes back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32, UInt8
from torch import Tensor

from persam.geometry import Frame, box_of, patch_cover
from persam.method.components import keep_component
from persam.method.concept import Concept
from persam.method.crop_refine import mask_prompt
from persam.method.decode import at_original
from persam.method.find import Find
from persam.method.location import confidence_map, peak_of, smooth
from persam.method.prototypes import Patches, log_ratio
from persam.model import PerSAM
from persam.tracking.motion import OUTSIDE, carry
from persam.tracking.refine import refine_track
from persam.tracking.target_model import TargetModel
from persam.types import Decoded, ImageEmbedding, LocationPrior, Prompt

Array = np.ndarray[Any, Any]
APPEARANCE, MOTION = 2.0, 0.5  # weights beside the predicted IoU in the choice of a mask
DISTANCE = 0.15  # log-odds that a patch loses for each patch that it is away from the carried mask
PLAUSIBLE = 0.3  # agreement with the appearance below which the object is taken for lost
SURE = 0.5  # agreement from which on a frame teaches the target model
UNLIKELY = -9.0  # log-odds of patches that are not asked
LEAST_COVER = 0.05  # from which on a patch belongs to the carried mask
LESSON = 3  # frames between two updates of the target model
SHARPNESS = 2.0  # of the target model in log-odds


@dataclass(frozen=True, eq=False)
class Seen:
    """A frame as all its objects share it.

    flow: back to the frame before; None for the first frame. features: of its patches, unit length.
    """

    rgb: UInt8[Array, "h w 3"]
    embedding: ImageEmbedding
    flow: Float32[Array, "hs ws 2"] | None
    features: Float[Tensor, "n c"]

    @staticmethod
    def of(rgb: UInt8[Array, "h w 3"], embedding: ImageEmbedding, flow: Float32[Array, "hs ws 2"] | None) -> "Seen":
        return Seen(rgb, embedding, flow, Patches.of_image(embedding).features)

    @property
    def frame(self) -> Frame:
        return self.embedding.frame


@dataclass(frozen=True, eq=False)
class Track:
    """One object on its way through the video.

    track_id: its number for life. target: None until it was seen. logits: of its mask in the frame before, over the
    frame; None where it was not there. presence: as verification judged it last. age: frames since it was anchored.
    """

    track_id: int
    concept: Concept
    target: TargetModel | None = None
    logits: Float32[Array, "h w"] | None = None
    presence: float | None = None
    age: int = 0


def anchored(track: Track, seen: Seen, mask: Bool[Array, "h w"]) -> Track:
    """The track with a mask that is known to be right: what was learned before of this very video is forgotten."""
    target = TargetModel.of(seen.features, _cover(mask, seen.frame).flatten().to(seen.features.device))
    logits = np.where(mask, -OUTSIDE, OUTSIDE).astype(np.float32)
    return replace(track, target=target, logits=logits, presence=None, age=0)


def without(track: Track, mask: Bool[Array, "h w"]) -> Track:
    """The track of another object, which does not have the pixels of the mask."""
    return track if track.logits is None else replace(track, logits=np.where(mask, OUTSIDE, track.logits))


def follow(model: PerSAM, seen: Seen, tracks: Sequence[Track], *, refined: int | None) -> list[Find]:
    """A find for each track, in order, as if each object were alone.

    refined: the place of the track whose turn it is to be refined in a crop; None for no one's.
    """
    finds = [_followed(model, seen, track, refine=place == refined) for place, track in enumerate(tracks)]
    lost = [track.concept for track, find in zip(tracks, finds, strict=True) if find is None]
    again = iter(model.find(seen.rgb, seen.embedding, lost) if lost else ())
    return [next(again) if find is None else find for find in finds]


def learned(model: PerSAM, track: Track, seen: Seen, find: Find) -> Track:
    """The track after a frame in which it was found so, or not."""
    age = track.age + 1
    if not find.present:
        return replace(track, logits=None, presence=find.presence, age=age)
    logits = find.mask.logits.clamp(OUTSIDE, -OUTSIDE).float().cpu().numpy()
    now = replace(track, logits=logits, presence=find.presence, age=age)
    cover = _cover(logits > 0, seen.frame).to(seen.features.device)
    if track.target is None:
        return replace(now, target=TargetModel.of(seen.features, cover.flatten()))
    if age % LESSON or track.logits is None or _agreement(cover, _posterior(model, track, seen)) < SURE:
        return now
    return replace(now, target=track.target.updated(seen.features, cover.flatten()))


def _followed(model: PerSAM, seen: Seen, track: Track, *, refine: bool) -> Find | None:
    """Where the object has moved to; None where it was not in the frame before, or nothing there looks like it."""
    if track.logits is None or track.target is None or seen.flow is None:
        return None
    carried, frame = carry(track.logits, seen.flow), seen.frame
    posterior = _posterior(model, track, seen)
    moved = mask_prompt(torch.from_numpy(carried).to(posterior.device), frame)
    prior, asked = _prompts(seen, track, carried > 0, moved, posterior)
    answers = [model.backbone.decode(seen.embedding, prompt) for prompt in asked]
    points = [prompt.points_xy[0, 0] for prompt in asked if prompt.points_xy is not None]
    masks = torch.stack(
        [
            keep_component(one, point, frame)
            for answer, point in zip(answers, points, strict=True)
            for one in answer.logits[0, 1:]
        ]
    )
    scores = torch.cat([answer.predicted_iou[0, 1:] for answer in answers])
    looks, moves = _at_masks(_padded(posterior, frame), masks), _at_masks(moved.sigmoid(), masks)
    inside = frame.valid(masks).sigmoid()
    agreement = _soft_iou(inside, frame.valid(looks))
    best = int((scores + APPEARANCE * agreement + MOTION * _soft_iou(inside, frame.valid(moves))).argmax())
    if agreement[best] < PLAUSIBLE:
        return None
    found, point = at_original(Decoded(masks[best], scores[best]), frame), points[best // 3]
    if refine:
        found = refine_track(model.backbone, seen.rgb, found, point, carried)
    return Find(track.concept, prior, found, track.presence, present=bool((found.logits > 0).any()))


def _prompts(
    seen: Seen,
    track: Track,
    mask: Bool[Array, "h w"],
    moved: Float[Tensor, "m m"],
    posterior: Float[Tensor, "hv wv"],
) -> tuple[LocationPrior, list[Prompt]]:
    """What the decoder is asked: by the carried mask with its box and without, and by what the object looks like.

    mask: the carried one. moved: its logits as a mask prompt.
    """
    frame = seen.frame
    log_odds = posterior.logit(eps=1e-4)
    near = log_odds
    asked = []
    if mask.any():
        cover = _cover(mask, frame).to(posterior.device)
        held = log_odds.masked_fill(cover < 0.5 * cover.max(), UNLIKELY)
        point = _peak(held, frame)[None, None]
        inside, box = point.new_ones(1, 1), point.new_tensor([box_of(mask)])
        logits = moved[None, None]
        asked = [
            Prompt(point, inside, box, logits),
            Prompt(point, inside, None, logits),
        ]
        near = log_odds - DISTANCE * _distance(cover > LEAST_COVER)
    points = torch.stack([_peak(near, frame), _peak(-log_odds, frame)])
    similarity = frame.valid(confidence_map(track.concept.feature, seen.embedding))
    prior = LocationPrior(similarity, points, points.new_tensor([1.0, 0.0]))
    return prior, [*asked, prior.prompt]


def _posterior(model: PerSAM, track: Track, seen: Seen) -> Float[Tensor, "hv wv"]:
    """How likely each patch shows the object, 0 to 1: what the concept says and what this video has taught, in equal
    parts of the log-odds.
    """
    assert track.target is not None
    assert track.concept.prototypes is not None
    ratio = log_ratio(track.concept.prototypes, seen.embedding, model.calibration)
    taught = SHARPNESS * track.target(seen.features).view(ratio.shape)
    return (0.5 * model.calibration.slope * ratio + taught).sigmoid()


def _cover(mask: Bool[Array, "h w"], frame: Frame) -> Float[Tensor, "hv wv"]:
    return frame.valid(patch_cover(mask, frame))


def _agreement(cover: Float[Tensor, "hv wv"], posterior: Float[Tensor, "hv wv"]) -> float:
    return float(_soft_iou(cover[None], posterior)[0])


def _soft_iou(masks: Float[Tensor, "n h w"], other: Float[Tensor, "h w"]) -> Float[Tensor, "n"]:
    return torch.minimum(masks, other).sum((1, 2)) / torch.maximum(masks, other).sum((1, 2)).clamp(min=1)


def _padded(posterior: Float[Tensor, "hv wv"], frame: Frame) -> Float[Tensor, "g g"]:
    """The posterior over the padded square."""
    rows, columns = (frame.grid_side - side for side in posterior.shape)
    return F.pad(posterior, (0, columns, 0, rows))


def _at_masks(square: Float[Tensor, "m m"], masks: Float[Tensor, "n h w"]) -> Float[Tensor, "h w"]:
    """A map over the padded square, at the masks' resolution."""
    return F.interpolate(square[None, None], masks.shape[1:], mode="bilinear", align_corners=False)[0, 0]


def _distance(near: Bool[Tensor, "hv wv"]) -> Float[Tensor, "hv wv"]:
    """Of each patch to the nearest that is set, in patches."""
    import cv2

    far = (~near).cpu().numpy().astype(np.uint8)
    if not near.any():
        return torch.zeros_like(near, dtype=torch.float32)
    return torch.from_numpy(cv2.distanceTransform(far, cv2.DIST_L2, 3)).to(near.device)


def _peak(log_odds: Float[Tensor, "hv wv"], frame: Frame) -> Float[Tensor, "2"]:
    """The likeliest place, in pixels of the frame."""
    return frame.patches_to_original(log_odds.new_tensor(peak_of(smooth(log_odds))))
