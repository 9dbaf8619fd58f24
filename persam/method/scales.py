"""PerSAM-F: which of whole, part and subpart the user meant (paper, section 3.3).

The decoder is frozen and its inputs do not change during the fit, so its three masks are constants: it is called once,
and not in each of the thousand steps as published. Ours fit pixels with nearly the same logits as one, with their mean
and their number; then the same thousand steps, from the loss's derivative written out, take a fraction of a second, and
end within 1e-3 of the same weights.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

STEPS = 1000  # of the image script; the video script's are in tracking/official.py
LEARNING_RATE = 1e-3
BETAS, EPSILON, WEIGHT_DECAY = (0.9, 0.999), 1e-4, 0.01  # of AdamW, as published
ALPHA = 0.25  # of the focal loss, whose gamma is 2
FINEST = 16  # levels that a logit is told apart by, for each 1
FAR = 16  # beyond this logit the levels widen with it: the loss hardly bends there
MOST = 8192  # groups of pixels a reference: levels are halved until there are no more

Array = np.ndarray[Any, Any]


def combine(values: Float[Tensor, "3 *hw"], weights: Float[Tensor, "3"]) -> Float[Tensor, "*hw"]:
    """The weighted sum of the three masks' logits, or of their scores."""
    return (values * weights.view(3, *[1] * (values.ndim - 1))).sum(0)


def fit_weights(
    masks: Sequence[Float[Tensor, "3 _ _"]],
    truths: Sequence[Float[Tensor, "_ _"]],
    *,
    steps: int | None = None,
    learning_rate: float | None = None,
    grouped: bool = True,
) -> Float[Tensor, "3"]:
    """The weights of the three masks, sum 1, that fit the references best: AdamW, cosine schedule.

    Args:
        masks: for every reference, the decoder's three masks as logits.
        truths: for every reference, the object's mask at the same size, 0 to 1.
        steps: of the fit and of its schedule; `STEPS` when None.
        learning_rate: of the first step; `LEARNING_RATE` when None.
        grouped: fit pixels with nearly the same logits as one; each as its own otherwise, as published.
    """
    steps = STEPS if steps is None else steps
    learning_rate = LEARNING_RATE if learning_rate is None else learning_rate
    references = [
        (_grouped if grouped else _each)(
            logits.detach().flatten(1).cpu().numpy(), truth.detach().flatten().cpu().numpy()
        )
        for logits, truth in zip(masks, truths, strict=True)
    ]
    two, mean, square = np.full(2, 1 / 3), np.zeros(2), np.zeros(2)
    for step in range(steps):
        rate = learning_rate * (1 + math.cos(math.pi * step / steps)) / 2
        gradient = np.mean([one.gradient(two) for one in references], 0)
        mean = BETAS[0] * mean + (1 - BETAS[0]) * gradient
        square = BETAS[1] * square + (1 - BETAS[1]) * gradient**2
        scale = np.sqrt(square / (1 - BETAS[1] ** (step + 1))) + EPSILON
        two = two * (1 - rate * WEIGHT_DECAY) - rate * mean / (1 - BETAS[0] ** (step + 1)) / scale
    return torch.tensor([1 - two.sum(), *two], dtype=torch.float32, device=masks[0].device)


def dice_focal(logits: Float[Tensor, "n"], truth: Float[Tensor, "n"]) -> Float[Tensor, ""]:
    """Dice + focal loss (alpha 0.25, gamma 2)."""
    probability = logits.sigmoid()
    dice = 1 - (2 * (probability * truth).sum() + 1) / (probability.sum() + truth.sum() + 1)
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    wrong = 1 - (probability * truth + (1 - probability) * (1 - truth))
    focal = ((ALPHA * truth + (1 - ALPHA) * (1 - truth)) * wrong.square() * entropy).mean()
    return dice + focal


@dataclass(frozen=True)
class _Groups:
    """A reference's pixels, those with nearly the same logits as one.

    first: of the whole, in each group. others: part and subpart, less the whole: what the two weights move.
    """

    first: Float[Array, "k"]
    others: Float[Array, "2 k"]
    truth: Float[Array, "k"]
    pixels: Float[Array, "k"]

    def gradient(self, two: Float[Array, "2"]) -> Float[Array, "2"]:
        """The derivative of `dice_focal`, over all pixels, by the two weights."""
        logits, truth, pixels = self.first + two @ self.others, self.truth, self.pixels
        small = np.exp(-np.abs(logits))
        probability = np.where(logits >= 0, 1, small) / (1 + small)
        slope = probability * (1 - probability)
        entropy = np.maximum(logits, 0) - logits * truth + np.log1p(small)
        overlap, both = pixels @ (probability * truth), pixels @ (probability + truth) + 1
        dice = ((2 * overlap + 1) / both - 2 * truth) / both * slope
        wrong = probability + truth - 2 * probability * truth
        focal = wrong * (2 * (1 - 2 * truth) * slope * entropy + wrong * (probability - truth))
        focal *= ALPHA * truth + (1 - ALPHA) * (1 - truth)
        return self.others @ (pixels * (dice + focal / pixels.sum()))


def _each(logits: Float[Array, "3 n"], truth: Float[Array, "n"]) -> _Groups:
    """Every pixel of one reference as a group of its own."""
    whole, part, subpart, share = np.vstack([logits, truth]).astype(np.float64)
    return _Groups(whole, np.stack([part - whole, subpart - whole]), share, np.ones(truth.size))


def _grouped(logits: Float[Array, "3 n"], truth: Float[Array, "n"]) -> _Groups:
    """The pixels of one reference, at most `MOST` groups of them."""
    values = np.vstack([logits, truth]).astype(np.float64)
    near = FAR * np.arcsinh(values[:3] / FAR)  # straight up to FAR, and then a logarithm
    levels: Int[Array, "4 k"] = np.rint(np.vstack([near, values[3:]]) * FINEST).astype(np.int64)
    sums: Array = values
    pixels: Array = np.ones(values.shape[1])
    while True:
        levels, group = _unique(levels)
        sums = np.stack([np.bincount(group, row) for row in sums])
        pixels = np.bincount(group, pixels)
        if len(pixels) <= MOST:
            whole, part, subpart, share = sums / pixels
            return _Groups(whole, np.stack([part - whole, subpart - whole]), share, pixels)
        levels //= 2


def _unique(levels: Int[Array, "4 n"]) -> tuple[Int[Array, "4 k"], Int[Array, "n"]]:
    """The different columns, and for each column which of them it is."""
    # none reaches 2 ** 15: float32 ends at 3e38
    packed = (levels[0] << 48) + (levels[1] << 32) + (levels[2] << 16) + levels[3]
    _, where, group = np.unique(packed, return_index=True, return_inverse=True)
    return levels[:, where], group
