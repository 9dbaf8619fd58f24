"""Whether the object is in the photo at all: evidence, and a curve fitted for every backbone.

The peak of the similarity says little: in every photo some cell is the most similar one. What the decoder took for the
object is asked instead whether each part of the object is found in it again (backward matching).
"""

import math
from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from persam.concept import Concept
from persam.prototypes import Cells, share_found
from persam.types import ImageEmbedding


@dataclass(frozen=True)
class Calibration:
    """Evidence to presence: a logistic curve that crosses one half at `threshold`, `spread` wide."""

    threshold: float
    spread: float

    def presence(self, evidence: float) -> float:
        """0 to 1."""
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, (evidence - self.threshold) / self.spread))))


# By backbone. `persam eval absence` gives the threshold of one that has no row yet, see `threshold_of`.
CALIBRATIONS: dict[str, Calibration] = {}


def evidence(concept: Concept, embedding: ImageEmbedding, logits: Float[Tensor, "h w"]) -> float:
    """How well the object's parts are found again in the cells of a mask, -1..1; an empty mask is no evidence: -1."""
    side = embedding.features.shape[-1]
    cover = F.adaptive_avg_pool2d((logits > 0).float()[None, None], (side, side))[0, 0]
    inside = embedding.frame.valid((cover > 0) & (cover >= 0.5 * cover.max()))
    return share_found(concept.prototypes, Cells.of(embedding, inside))


def presence(value: float, backbone: str) -> float:
    """Evidence as presence, 0..1: by the backbone's calibration, or the bare evidence where it has none."""
    if backbone in CALIBRATIONS:
        return CALIBRATIONS[backbone].presence(value)
    return min(1.0, max(0.0, value))


def threshold_of(backbone: str) -> float:
    """The presence from which on an object counts as there: one half; 0, which refuses nothing, without calibration."""
    return 0.5 if backbone in CALIBRATIONS else 0.0
