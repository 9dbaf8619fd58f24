"""The verification numbers of a calibration: by which of them finds of the very object stand out best.

Every object is looked for in every photo, its own and those of all others. What is found is cropped, described and
compared with the reference, for each candidate of `same_part` and `choice`; a crop is encoded once for all of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from persam.eval.scores import area_under_roc
from persam.method.calibration import Calibration
from persam.method.concept import Concept
from persam.method.object_crop import AS_IT_IS, REFERENCE_VIEWS, View, encode_objects
from persam.method.verify import IdentityDescriptor, descriptor_of, identity_similarity, views_together
from persam.model import PerSAM
from persam.sam.backbone import Backbone

Array = np.ndarray[Any, Any]

SAME_PART = (0.9, 0.95, 0.98, 0.99)
CHOICE = (0.01, 0.02, 0.03, 0.05, 0.1)
BETTER = 0.002  # of AUROC: candidates that are not this much better are not taken for better

Numbers = tuple[float, float]  # same_part and choice
Shown = tuple[UInt8[Array, "_ _ 3"], Bool[Array, "_ _"]]  # a photo and a mask
Described = dict[float, IdentityDescriptor | None]  # by same_part; None where the mask is empty


@dataclass(frozen=True)
class Photo:
    """A photo to search. holds: the concepts' names that it holds."""

    rgb: UInt8[Array, "h w 3"]
    holds: frozenset[str]


@dataclass(frozen=True)
class Comparison:
    """What was found of a concept in a photo. held: whether the photo holds it. evidence: 0..1, by numbers tried."""

    concept: str
    held: bool
    evidence: dict[Numbers, float]


def candidates(start: Calibration, *, fixed: bool) -> list[Numbers]:
    """The numbers to try, those of `start` first; only those when they are fixed."""
    own = (start.same_part, start.choice)
    return [own] if fixed else list(dict.fromkeys([own, *product(SAME_PART, CHOICE)]))


def compare(
    model: PerSAM, concepts: Sequence[Concept], photos: Iterable[Photo], numbers: Sequence[Numbers]
) -> list[Comparison]:
    """Every concept in every photo.

    Args:
        model: finds; with the location numbers that are to be used with these.
        concepts: with their references, and not verified: this does it instead.
        photos: drawn from one at a time.
        numbers: what to try.
    """
    calibrations = [replace(model.calibration, same_part=value) for value in dict.fromkeys(same for same, _ in numbers)]
    references = [(one.references[0].rgb, one.references[0].mask) for one in concepts]
    seen = [_described(model.backbone, references, calibrations, view=view) for view in REFERENCE_VIEWS]
    known = [
        {one.same_part: views_together([[view[one.same_part]] for view in own])[0] for one in calibrations}
        for own in zip(*seen, strict=True)
    ]
    comparisons = []
    for photo in photos:
        finds = model.find(photo.rgb, model.backbone.encode([photo.rgb]), concepts)
        masks = [(photo.rgb, find.inside.cpu().numpy()) for find in finds]
        found = _described(model.backbone, masks, calibrations)
        for concept, own, other in zip(concepts, known, found, strict=True):
            evidence = {one: _evidence(own, other, one) for one in numbers}
            comparisons.append(Comparison(concept.name, concept.name in photo.holds, evidence))
    return comparisons


def fit_verification(comparisons: Sequence[Comparison], start: Calibration) -> tuple[Calibration, float | None]:
    """The numbers by which what is held has more evidence than what is not, and their AUROC, which is None without
    photos of both kinds. Those of `start` stay where no others are clearly better.
    """
    held = [one.held for one in comparisons]

    def auroc(numbers: Numbers) -> float | None:
        return area_under_roc([one.evidence[numbers] for one in comparisons], held)

    own = (start.same_part, start.choice)
    before = auroc(own)
    if before is None:
        return start, None
    best = max(comparisons[0].evidence, key=lambda numbers: auroc(numbers) or 0.0)
    after = auroc(best)
    if after is None or after <= before + BETTER:
        return start, before
    return replace(start, same_part=best[0], choice=best[1]), after


def _described(
    backbone: Backbone, objects: Sequence[Shown], calibrations: Sequence[Calibration], *, view: View = AS_IT_IS
) -> list[Described]:
    """As `verify.describe`, for several values of `same_part` at the cost of one encoding."""
    crops = encode_objects(backbone, objects, view=view)
    return [
        {one.same_part: None if crop is None else descriptor_of(crop, mask, one) for one in calibrations}
        for crop, (_, mask) in zip(crops, objects, strict=True)
    ]


def _evidence(known: Described, found: Described, numbers: Numbers) -> float:
    same_part, choice = numbers
    reference = known[same_part]
    return 0.0 if reference is None else identity_similarity(reference, found[same_part], choice)
