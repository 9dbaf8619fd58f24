"""Decoding a location prior to a mask: the first decode, then the cascaded post-refinement (paper, section 3.2)."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from persam.backbones.base import Backbone
from persam.decoder import NO_GUIDANCE, Guidance
from persam.geometry import Frame, box_of
from persam.recipes import Recipe
from persam.scales import combine
from persam.types import ImageEmbedding, LocationPrior, Prompt


@dataclass(frozen=True)
class Step:
    """One decode: its masks, the one taken, and the box that was in its prompt.

    logits: of the mask taken, at 4x the grid. predicted_iou: of that mask, not yet brought into 0..1.
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
    semantic: Float[Tensor, "c"],
    scale_weights: Float[Tensor, "3"] | None,
    recipe: Recipe,
) -> Step:
    """The mask of the prior's points, with guidance and semantic prompt where the recipe has them."""
    guidance = NO_GUIDANCE
    if prior.attention is not None or recipe.semantic:
        guidance = Guidance(
            attention=None if prior.attention is None else prior.attention[None],
            semantic=semantic[None] if recipe.semantic else None,
            placement=recipe.placement,
        )
    candidates = backbone.decode(embedding, prompt_of(prior), guidance)
    logits, scores = candidates.logits[0], candidates.predicted_iou[0]
    if recipe.first_mask == "single":
        return Step(logits[0], scores[0].item(), 0)
    three, three_scores = logits[1:], scores[1:]
    if recipe.first_mask == "best" or scale_weights is None:
        best = int(three_scores.argmax())
        return Step(three[best], three_scores[best].item(), best)
    return Step(combine(three, scale_weights), (three_scores * scale_weights).sum().item(), int(scale_weights.argmax()))


def refine(
    backbone: Backbone, embedding: ImageEmbedding, prior: LocationPrior, first: Step, recipe: Recipe
) -> list[Step]:
    """The first step and every refinement after it; guidance and semantic prompt are not in these.

    A step whose mask is empty ends the cascade, where the published code crashes (ledger 10): there is nothing to put
    a box around, and the mask before it stands.
    """
    steps = [first]
    for with_box in recipe.boxes:
        step = steps[-1]
        prompt = replace(prompt_of(prior), mask_logits=step.logits[None, None])
        box = None
        if with_box:
            box = box_of((mask_logits(step.logits, embedding.frame) > 0).cpu().numpy())
            if box is None:
                break
            prompt = replace(prompt, box_xyxy=prior.points_xy.new_tensor([list(map(float, box))]))
        candidates = backbone.decode(embedding, prompt)
        three, scores = candidates.logits[0, 1:], candidates.predicted_iou[0, 1:]
        best = int(scores.argmax())
        steps.append(Step(three[best], scores[best].item(), best, box))
    return steps


def mask_logits(logits: Float[Tensor, "h w"], frame: Frame) -> Float[Tensor, "H W"]:
    """A mask's logits in the photo's own size: the object is where they are above zero."""
    with torch.inference_mode():
        return frame.upscale(logits[None, None])[0, 0]
