"""Instances: whole, part and subpart at every peak of the location map, and of those the ones that are the object.

The decoder cannot know whether one cup is meant, its saucer, or the row of four that touch: its own predicted IoU is
highest for the row. Verification can: in a tight crop the row has four of everything, and half a cup has half. So all
that the decoder offers is verified, and of masks that overlap the one most similar to the reference stands. (Not in the
paper, which finds one; its code paints the find black and encodes again.)
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from persam.geometry import Frame
from persam.method.calibration import Calibration
from persam.method.components import different, keep_component
from persam.method.concept import Concept
from persam.method.decode import at_original
from persam.method.find import Find
from persam.method.location import confidence_map, peak_of, smooth
from persam.method.prototypes import log_ratio
from persam.sam.backbone import Backbone
from persam.types import Candidates, Decoded, ImageEmbedding, LocationPrior, Prompt

FINER = 2  # input side for instances over the backbone's own: neighbours that share a patch there do not here
LIKELY = 0.2  # posterior of a patch below which nothing is looked for there
APART = 2  # patches around a peak within which there is no other
ROUND = 8  # peaks that are looked at together
ALIKE = 0.8  # IoU from which on two masks are one
SHARED = 0.2  # of the smaller of two masks: from there on they are not two instances
WITHIN = 0.8  # of a mask in another: from there on it lies in it
SURE = 0.1  # weight of predicted IoU beside similarity
SIMILAR = 0.3  # evidence over that of the best find, below which a find is something else


def finer(backbone: Backbone, embedding: ImageEmbedding) -> Backbone:
    """The backbone for an image's instances; itself where it has only one input size."""
    return backbone.at_input(FINER * embedding.frame.input_size)


def propose(
    backbone: Backbone, embedding: ImageEmbedding, concept: Concept, priors: Sequence[LocationPrior]
) -> list[Find]:
    """Every different mask that the decoder offers for these priors, over the original image."""
    frame = embedding.frame
    offered = _offered(backbone.decode(embedding, _joined(priors)), priors, frame)
    masks = torch.stack([frame.valid(logits) > 0 for logits, _, _ in offered])
    patch = (offered[0][0].shape[-1] / frame.grid_side) ** 2
    return [
        Find(concept, prior, at_original(Decoded(logits, score), frame))
        for logits, score, prior in (offered[place] for place in different(masks, least=patch, alike=ALIKE))
    ]


def outside(priors: Sequence[LocationPrior], finds: Sequence[Find]) -> list[LocationPrior]:
    """The priors whose point lies in none of the finds."""
    taken = [find.inside.cpu() for find in finds]
    points = [prior.points_xy[0].round().int().tolist() for prior in priors]
    return [prior for prior, (x, y) in zip(priors, points, strict=True) if not any(bool(mask[y, x]) for mask in taken)]


def peaks(embedding: ImageEmbedding, concept: Concept, calibration: Calibration) -> list[LocationPrior]:
    """A prior for every patch that is likelier than those around it: a point there, and one at the unlikeliest patch.

    The likeliest comes first.
    """
    assert concept.prototypes is not None
    frame = embedding.frame
    similarity = frame.valid(confidence_map(concept.feature, embedding))
    ratio = log_ratio(concept.prototypes, embedding, calibration)
    likely = smooth(ratio, reach=1)
    around = F.max_pool2d(likely[None, None], 2 * APART + 1, stride=1, padding=APART)[0, 0]
    places = ((likely >= around) & ((calibration.slope * ratio).sigmoid() >= LIKELY)).nonzero()
    places = places[likely[places[:, 0], places[:, 1]].argsort(descending=True, stable=True)]
    free = np.ones(likely.shape, bool)
    kept: list[Tensor] = []
    for place, (row, column) in zip(places, places.tolist(), strict=True):
        if free[row, column]:  # of a plateau every patch is as likely as those around it
            kept.append(place)
            free[max(0, row - APART) : row + APART + 1, max(0, column - APART) : column + APART + 1] = False
    nowhere = frame.patches_to_original(similarity.new_tensor(peak_of(-smooth(ratio))))
    labels = similarity.new_tensor([1.0, 0.0])
    return [
        LocationPrior(similarity, torch.stack([frame.patches_to_original(place.flip(0).float()), nowhere]), labels)
        for place in kept
    ]


def choose(alone: Find, finds: Sequence[Find]) -> list[Find]:
    """The instances: what is found alone, then the others, the most similar first, of those that share pixels the best.

    What is found alone stands against what it shares pixels with, unless two or more that are more similar lie in it:
    then it is a row of them.

    alone, finds: verified; of those the present ones count.
    """
    ranked = sorted((find for find in finds if find.present), key=_rank, reverse=True)
    if alone.present:
        others = _similar(ranked, [alone, *ranked])
        return _greedy([] if len(rivals(alone, others)) > 1 else [alone], others)
    return _greedy([], _similar(ranked, ranked))


def _similar(finds: Sequence[Find], among: Sequence[Find]) -> list[Find]:
    """The finds that are not far less similar to the reference than the most similar one among these."""
    best = max((find.evidence or 0.0 for find in among), default=0.0)
    return [find for find in finds if find.evidence is None or find.evidence >= SIMILAR * best]


def rivals(alone: Find, finds: Sequence[Find]) -> list[Find]:
    """Finds that lie in what is found alone and are more similar, each in pixels of its own, the most similar first."""
    better = [one for one in finds if one.present and _rank(one) > _rank(alone) and _share(one, alone) >= WITHIN]
    return _greedy([], sorted(better, key=_rank, reverse=True))


def _greedy(kept: list[Find], finds: Sequence[Find]) -> list[Find]:
    """Each in turn that shares little of the smaller with any before it."""
    for find in finds:
        if all(max(_share(find, other), _share(other, find)) < SHARED for other in kept):
            kept.append(find)
    return kept


def _share(find: Find, other: Find) -> float:
    """How much of a find lies in another, 0 to 1."""
    if find.extent is None or other.extent is None:
        return 0.0
    return find.extent.shared_px(other.extent) / find.extent.area_px


def _rank(find: Find) -> float:
    """Similarity to the reference, and predicted IoU: half of a plain thing is as similar as all of it."""
    return (find.evidence or 0.0) + SURE * float(find.mask.score)


def _joined(priors: Sequence[LocationPrior]) -> Prompt:
    return Prompt(torch.stack([one.points_xy for one in priors]), torch.stack([one.labels for one in priors]))


def _offered(
    candidates: Candidates, priors: Sequence[LocationPrior], frame: Frame
) -> list[tuple[Float[Tensor, "h w"], Float[Tensor, ""], LocationPrior]]:
    """Whole, part and subpart of each prior, the component at its point, the surest first."""
    offered = []
    for row, prior in enumerate(priors):
        for place in (1 + candidates.predicted_iou[row, 1:].argsort(descending=True, stable=True)).tolist():
            logits = keep_component(candidates.logits[row, place], prior.points_xy[0], frame)
            offered.append((logits, candidates.predicted_iou[row, place], prior))
    return offered
