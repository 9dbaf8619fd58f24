"""What the tracked object looks like against this very video: a linear model of its patches, learned as it goes.

Ridge regression on patch features, as the target models of FRTM (Robinson et al., CVPR 2020) but in closed form: the
first frame is pinned, later frames fade, and what was beside the object counts against whatever looks like it. It is a
matrix and a vector, however long the video.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

RIDGE = 0.1  # times the mean variance
FADE = 0.85  # weight of the past at every update
BIAS = 0.3  # value of the constant feature


@dataclass(frozen=True)
class TargetModel:
    """Normal equations of the pinned frame and, fading, of later ones; weight: how much of the latter there is."""

    pinned: "Equations"
    recent: "Equations | None"
    weight: float
    solution: Float[Tensor, "c"]

    @staticmethod
    def of(features: Float[Tensor, "n c"], cover: Float[Tensor, "n"]) -> "TargetModel":
        """Of the frame that stays.

        Args:
            features: of the frame's patches, unit length.
            cover: the share of each patch that the object covers.
        """
        pinned = Equations.of(features, cover)
        return TargetModel(pinned, None, 0.0, pinned.solved())

    def updated(self, features: Float[Tensor, "n c"], cover: Float[Tensor, "n"]) -> "TargetModel":
        """With a later frame."""
        later = Equations.of(features, cover).times(1 - FADE)
        recent = later if self.recent is None else self.recent.times(FADE).plus(later)
        weight = FADE * self.weight + 1 - FADE
        solution = self.pinned.plus(recent).times(1 / (1 + weight)).solved()
        return replace(self, recent=recent, weight=weight, solution=solution)

    def __call__(self, features: Float[Tensor, "n c"]) -> Float[Tensor, "n"]:
        """About 1 for patches of the object, about -1 for others."""
        return _with_bias(features) @ self.solution


@dataclass(frozen=True)
class Equations:
    """Weighted second moments of features, and of features with the answer (1 object, -1 not)."""

    moments: Float[Tensor, "c c"]
    answers: Float[Tensor, "c"]

    @staticmethod
    def of(features: Float[Tensor, "n c"], cover: Float[Tensor, "n"]) -> "Equations":
        """Object and background weigh the same."""
        inside = cover >= min(0.5, 0.75 * float(cover.max()))
        share = torch.where(inside, 0.5 / inside.sum().clamp(min=1), 0.5 / (~inside).sum().clamp(min=1))
        rows = _with_bias(features)
        weighted = rows * share[:, None]
        return Equations(rows.T @ weighted, weighted.T @ (2 * cover - 1))

    def times(self, factor: float) -> "Equations":
        return Equations(factor * self.moments, factor * self.answers)

    def plus(self, other: "Equations") -> "Equations":
        return Equations(self.moments + other.moments, self.answers + other.answers)

    def solved(self) -> Float[Tensor, "c"]:
        ridge = RIDGE * self.moments.diagonal().mean().clamp(min=1e-9)
        return torch.linalg.solve(
            self.moments + ridge * torch.eye(len(self.answers), device=ridge.device), self.answers
        )


def _with_bias(features: Float[Tensor, "n c"]) -> Float[Tensor, "n c1"]:
    return torch.cat([features, features.new_full((len(features), 1), BIAS)], 1)
