"""Decoding a location prior to a mask: the first decode, then the cascaded post-refinement (paper, section 3.2)."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from persam.geometry import Frame, box_of, decoded_cover
from persam.method.concept import Concept
from persam.method.recipes import Recipe
from persam.method.scales import combine
from persam.sam.backbone import Backbone
from persam.sam.decoder import NO_GUIDANCE, Guidance
from persam.types import ImageEmbedding, LocationPrior, Prompt

ELSEWHERE = -4.0  # logit of mask parts that are not the object: surely outside, within the decoder's usual range


@dataclass(frozen=True)
class Step:
    """One decode: its masks, the one taken, and the box that was in its prompt.

    logits: of the mask taken, at 4x the grid. predicted_iou: of that mask, not yet brought into 0..1. best: its number.
    """

    logits: Float[Tensor, "h w"]
    predicted_iou: float
    best: int
    box_xyxy: tuple[int, int, int, int] | None = None


def prompt_of(prior: LocationPrior) -> Prompt:
    """The prior's points as one prompt."""
    return Prompt(points_xy=prior.points_xy[None], labels=prior.labels[None])


def first_decode(
    backbone: Backbone,
    embedding: ImageEmbedding,
    prior: LocationPrior,
    concept: Concept,
    *,
    alone: bool = True,
) -> Step:
    """The mask of the prior's points, with guidance and semantic prompt where the concept's recipe has them.

    alone: whether the photo holds the object once, as for `location.locate`.
    """
    recipe, scale_weights, guidance = concept.recipe, concept.scale_weights, NO_GUIDANCE
    semantic = recipe.semantic is True or (recipe.semantic == "instances" and not alone)
    if prior.attention is not None or semantic:
        guidance = Guidance(
            attention=None if prior.attention is None else prior.attention[None],
            semantic=concept.semantic[None] if semantic else None,
            placement=recipe.placement,
        )
    candidates = backbone.decode(embedding, prompt_of(prior), guidance)
    logits, scores = candidates.logits[0], candidates.predicted_iou[0]
    if recipe.first_mask == "single":
        return Step(logits[0], scores[0].item(), 0)
    if recipe.first_mask == "best" or scale_weights is None:
        return _choose(logits[1:], scores[1:], prior, embedding.frame, recipe)
    summed, score = combine(logits[1:], scale_weights), (scores[1:] * scale_weights).sum()
    if recipe.choice == "agreement":
        four = torch.cat([logits[1:], summed[None]])
        return _choose(four, torch.cat([scores[1:], score[None]]), prior, embedding.frame, recipe)
    if recipe.one_piece:
        summed = one_piece(summed, prior.points_xy[0], embedding.frame)
    return Step(summed, score.item(), int(scale_weights.argmax()))


def refine(
    backbone: Backbone, embedding: ImageEmbedding, prior: LocationPrior, first: Step, recipe: Recipe
) -> tuple[LocationPrior, list[Step]]:
    """The first step and every refinement after it, and the prior that the last of them used.

    Guidance and semantic prompt are not in the refinements.

    A refinement that comes out empty ends the cascade, where the published code crashes (ledger 10), and the mask
    before it stands.
    """
    steps = [first]
    for with_box in recipe.boxes:
        step = steps[-1]
        if recipe.one_piece:
            prior = onto_mask(prior, step.logits, embedding.frame)
        prompt = replace(prompt_of(prior), mask_logits=step.logits[None, None])
        box = None
        if with_box:
            box = box_of((mask_logits(step.logits, embedding.frame) > 0).cpu().numpy())
            if box is None:
                break
            prompt = replace(prompt, box_xyxy=prior.points_xy.new_tensor([list(map(float, box))]))
        candidates = backbone.decode(embedding, prompt)
        chosen = _choose(candidates.logits[0, 1:], candidates.predicted_iou[0, 1:], prior, embedding.frame, recipe)
        if not (embedding.frame.valid(chosen.logits) > 0).any():
            break
        steps.append(replace(chosen, box_xyxy=box))
    return prior, steps


def agreement(logits: Float[Tensor, "n h w"], posterior: Float[Tensor, "hv wv"], frame: Frame) -> Float[Tensor, "n"]:
    """Soft intersection over union of masks and the cells where the object is expected, 0 to 1."""
    cover = decoded_cover(logits, frame)
    return torch.minimum(cover, posterior).sum((1, 2)) / torch.maximum(cover, posterior).sum((1, 2)).clamp(min=1e-6)


def one_piece(logits: Float[Tensor, "h w"], point_xy: Float[Tensor, "2"], frame: Frame) -> Float[Tensor, "h w"]:
    """The mask's connected part that the point lies in or nearest to; the others are set well below zero."""
    import cv2

    mask = (logits > 0).cpu().numpy().astype(np.uint8)
    count, label = cv2.connectedComponents(mask, connectivity=8)
    if count <= 2:  # background and one part
        return logits
    ys, xs = mask.nonzero()
    x, y = _on_map(point_xy, logits, frame)
    nearest = ((xs - x) ** 2 + (ys - y) ** 2).argmin()
    elsewhere = (mask > 0) & (label != label[ys[nearest], xs[nearest]])
    return logits.masked_fill(torch.from_numpy(elsewhere).to(logits.device), ELSEWHERE)


def onto_mask(prior: LocationPrior, logits: Float[Tensor, "h w"], frame: Frame) -> LocationPrior:
    """The prior with its positive point on the mask: one that a thin object missed moves to the nearest pixel of it."""
    ys, xs = (frame.valid(logits) > 0).cpu().numpy().nonzero()
    if not len(ys):
        return prior
    x, y = _on_map(prior.points_xy[0], logits, frame)
    nearest = ((xs - x) ** 2 + (ys - y) ** 2).argmin()
    if max(abs(xs[nearest] - x), abs(ys[nearest] - y)) <= 0.5:
        return prior
    scale = frame.input_size / logits.shape[-1]
    moved = frame.to_original((prior.points_xy.new_tensor([xs[nearest], ys[nearest]]) + 0.5) * scale - 0.5)
    return replace(prior, points_xy=torch.cat([moved[None], prior.points_xy[1:]]))


def mask_logits(logits: Float[Tensor, "h w"], frame: Frame) -> Float[Tensor, "H W"]:
    """A mask's logits in the photo's own size: the object is where they are above zero."""
    with torch.inference_mode():
        return frame.upscale(logits[None, None])[0, 0]


def _choose(
    logits: Float[Tensor, "n h w"],
    predicted_iou: Float[Tensor, "n"],
    prior: LocationPrior,
    frame: Frame,
    recipe: Recipe,
) -> Step:
    if recipe.one_piece:
        logits = torch.stack([one_piece(one, prior.points_xy[0], frame) for one in logits])
    merit = predicted_iou
    if recipe.choice == "agreement" and prior.posterior is not None:
        merit = merit + agreement(logits, prior.posterior, frame)
    best = int(merit.argmax())
    return Step(logits[best], predicted_iou[best].item(), best)


def _on_map(point_xy: Float[Tensor, "2"], logits: Float[Tensor, "h w"], frame: Frame) -> tuple[float, float]:
    """A point of the photo in pixels of the decoder's map."""
    x, y = ((frame.to_input(point_xy) + 0.5) * (logits.shape[-1] / frame.input_size) - 0.5).tolist()
    return x, y
