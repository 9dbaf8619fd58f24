"""Proposals: what they take, and whether the object of a reference is among them: `persam bench propose`."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from persam.eval.metrics import iou
from persam.eval.shown import Shown
from persam.model import PerSAM

FITS = 0.75  # IoU from which on a proposal is the object
LOOKED_AT = 20  # proposals that somebody may look through


@dataclass(frozen=True)
class ProposalCost:
    """One reference. rank: the number of the first proposal that fits its mask (IoU 0.75), None where none does.

    best_iou: of the best proposal. among_20: whether one of the first twenty fits. seconds: with encoding.
    """

    reference: str
    backbone: str
    height: int
    width: int
    crops: bool
    proposals: int
    rank: int | None
    among_20: bool
    best_iou: float
    seconds: float


def costs(model: PerSAM, shown: Sequence[Shown], *, crops: bool = False) -> Iterator[ProposalCost]:
    """A measurement a reference, after one photo that does not count."""
    for one in shown[:1]:
        model.propose(one.rgb, crops=crops)
    for one in shown:
        begun = time.perf_counter()
        result = model.propose(one.rgb, crops=crops)
        seconds = time.perf_counter() - begun
        fits = [iou(proposal.mask, one.mask) for proposal in result]
        rank = next((number for number, fit in enumerate(fits, start=1) if fit >= FITS), None)
        yield ProposalCost(
            reference=one.name,
            backbone=model.backbone.name,
            height=one.mask.shape[0],
            width=one.mask.shape[1],
            crops=crops,
            proposals=len(fits),
            rank=rank,
            among_20=rank is not None and rank <= LOOKED_AT,
            best_iou=max(fits, default=0.0),
            seconds=seconds,
        )
