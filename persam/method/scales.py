"""PerSAM-F: which of whole, part and subpart the user meant (paper, section 3.3).

The decoder is frozen and its inputs do not change during the fit, so its three masks are constants: it is called once.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

STEPS = 1000  # of the image script; the video script's are in tracking/official.py
LEARNING_RATE = 1e-3


def combine(values: Float[Tensor, "3 *hw"], weights: Float[Tensor, "3"]) -> Float[Tensor, "*hw"]:
    """The weighted sum of the three masks' logits, or of their scores."""
    return (values * weights.view(3, *[1] * (values.ndim - 1))).sum(0)


def fit_weights(
    masks: Sequence[Float[Tensor, "3 _ _"]],
    truths: Sequence[Float[Tensor, "_ _"]],
    *,
    steps: int | None = None,
    learning_rate: float | None = None,
) -> Float[Tensor, "3"]:
    """The weights of the three masks, sum 1, that fit the references best: AdamW, cosine schedule.

    Args:
        masks: for every reference, the decoder's three masks as logits.
        truths: for every reference, the object's mask at the same size, 0 to 1.
        steps: of the fit and of its schedule; `STEPS` when None.
        learning_rate: of the first step; `LEARNING_RATE` when None.
    """
    steps = STEPS if steps is None else steps
    learning_rate = LEARNING_RATE if learning_rate is None else learning_rate
    flat = [(logits.flatten(1), truth.flatten()) for logits, truth in zip(masks, truths, strict=True)]
    with torch.inference_mode(False), torch.enable_grad():
        flat = [(logits.clone(), truth.clone()) for logits, truth in flat]
        two = torch.full((2,), 1 / 3, device=flat[0][0].device, requires_grad=True)
        optimizer = torch.optim.AdamW([two], lr=learning_rate, eps=1e-4)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            loss = torch.stack([dice_focal(_three(two) @ logits, truth) for logits, truth in flat]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        return _three(two).detach()


def dice_focal(logits: Float[Tensor, "n"], truth: Float[Tensor, "n"]) -> Float[Tensor, ""]:
    """Dice + focal loss (alpha 0.25, gamma 2)."""
    probability = logits.sigmoid()
    dice = 1 - (2 * (probability * truth).sum() + 1) / (probability.sum() + truth.sum() + 1)
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    wrong = 1 - (probability * truth + (1 - probability) * (1 - truth))
    focal = ((0.25 * truth + 0.75 * (1 - truth)) * wrong.square() * entropy).mean()
    return dice + focal


def _three(two: Float[Tensor, "2"]) -> Float[Tensor, "3"]:
    return torch.cat([1 - two.sum(0, keepdim=True), two])
