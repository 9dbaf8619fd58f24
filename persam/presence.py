"""Whether the object is in the photo at all: evidence, and a threshold fitted for every backbone."""

import math
from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from persam.types import ImageEmbedding


@dataclass(frozen=True)
class Calibration:
    """Evidence to presence: a logistic curve that crosses one half at `threshold`, `spread` wide."""

    threshold: float
    spread: float

    def presence(self, evidence: float) -> float:
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, (evidence - self.threshold) / self.spread))))


# Fitted by `persam eval absence`; a backbone without a row here refuses nothing (its presence is the bare cosine).
CALIBRATIONS: dict[str, Calibration] = {}


def evidence(semantic: Float[Tensor, "c"], embedding: ImageEmbedding, logits: Float[Tensor, "h w"]) -> float:
    """Cosine between the mean feature of the found mask and of the reference's object, -1..1.

    The peak alone says little: in every photo some cell is the most similar one. Pooled over what the decoder took for
    the object, a wrong object differs. An empty mask is no evidence: -1.
    """
    side = embedding.features.shape[-1]
    cover = F.adaptive_avg_pool2d((logits > 0).float()[None, None], (side, side))[0, 0]
    cover = cover * (cover >= 0.5 * cover.max())
    inside = embedding.frame.valid(cover)
    if not inside.any():
        return -1.0
    features = embedding.frame.valid(embedding.features)
    pooled = (features * inside).sum((1, 2)) / inside.sum()
    return float(F.cosine_similarity(pooled, semantic, dim=0))


def presence(value: float, backbone: str) -> tuple[float, bool]:
    """Presence in 0..1, and whether it speaks for the object being there."""
    if backbone not in CALIBRATIONS:
        return max(0.0, value), value > -1.0
    probability = CALIBRATIONS[backbone].presence(value)
    return probability, probability >= 0.5
