"""PerSAM-F's fit beside the published procedure, which calls the decoder in every step: `persam bench tune`."""

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from persam.eval.shown import Shown
from persam.method import official
from persam.method.concept import Concept
from persam.method.recipes import OFFICIAL_PERSAM_F, PERSAM
from persam.method.scales import LEARNING_RATE, STEPS, dice_focal


@dataclass(frozen=True)
class TuneSpeed:
    """One reference, encoded beforehand.

    published_s: a thousand calls of the decoder, each with a step over every pixel. fit_s: the target feature, one call
    and the fit of `official_persam_f`. tune_s: the same of the recipe `persam`. times: published_s over fit_s. Losses
    are of the published fit's inputs, over all pixels, before and after. Weights are of part and subpart.
    """

    reference: str
    backbone: str
    height: int
    width: int
    steps: int
    published_s: float
    fit_s: float
    tune_s: float
    times: float
    first_loss: float
    published_loss: float
    fit_loss: float
    published_part: float
    published_subpart: float
    fit_part: float
    fit_subpart: float


def speeds(model: Any, shown: Sequence[Shown], *, steps: int = STEPS) -> Iterator[TuneSpeed]:
    """A measurement a reference: the published procedure, and ours.

    steps: of the published procedure and its schedule; a thousand, unless this is a trial.
    """
    for one in shown:
        concept = model.learn(one.rgb, one.mask, recipe="official_persam")
        ours = model.learn(one.rgb, one.mask, recipe=replace(PERSAM, verify=False))  # the fit needs no descriptor
        begun = time.perf_counter()
        tuned = official.learn(concept.references, OFFICIAL_PERSAM_F, name=one.name, backbone=model.backbone)
        fitted = time.perf_counter()
        model.tune(ours)
        ended = time.perf_counter()
        assert tuned.scale_weights is not None
        weights = published(model.backbone, tuned, steps)
        published_s = time.perf_counter() - ended
        even, theirs, found = (
            loss(model.backbone, tuned, given) for given in (torch.full((3,), 1 / 3), weights, tuned.scale_weights)
        )
        yield TuneSpeed(
            reference=one.name,
            backbone=model.backbone.name,
            height=one.mask.shape[0],
            width=one.mask.shape[1],
            steps=steps,
            published_s=published_s,
            fit_s=fitted - begun,
            tune_s=ended - fitted,
            times=published_s / (fitted - begun),
            first_loss=even,
            published_loss=theirs,
            fit_loss=found,
            published_part=float(weights[1]),
            published_subpart=float(weights[2]),
            fit_part=float(tuned.scale_weights[1]),
            fit_subpart=float(tuned.scale_weights[2]),
        )


def published(backbone: Any, concept: Concept, steps: int = STEPS) -> Float[Tensor, "3"]:
    """PerSAM-F's weights as its script fits them: each step calls the decoder, whose inputs never change."""
    two = torch.full((2,), 1 / 3, device=backbone.device, requires_grad=True)
    optimizer = torch.optim.AdamW([two], lr=LEARNING_RATE, eps=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in itertools.repeat(None, steps):
        masks, truth = _inputs(backbone, concept)
        fitted = dice_focal(torch.cat([1 - two.sum(0, keepdim=True), two]) @ masks, truth)
        optimizer.zero_grad()
        fitted.backward()
        optimizer.step()
        schedule.step()
    return torch.cat([1 - two.sum(0, keepdim=True), two]).detach()


def loss(backbone: Any, concept: Concept, weights: Float[Tensor, "3"]) -> float:
    """Dice + focal loss of these weights over all pixels of the reference."""
    masks, truth = _inputs(backbone, concept)
    return float(dice_focal(weights.to(masks.device) @ masks, truth))


def _inputs(backbone: Any, concept: Concept) -> tuple[Float[Tensor, "3 n"], Float[Tensor, "n"]]:
    """The decoder's three masks of the reference, and its truth, at its own size."""
    [reference] = concept.references
    embedding = reference.embedding
    three = backbone.decode(embedding, official.locate(concept, embedding).prompt).logits[:, 1:]
    masks = embedding.frame.upscale(three)[0].flatten(1).clone()  # no tensor of inference mode
    return masks, torch.from_numpy(reference.mask).float().flatten().to(masks.device)
