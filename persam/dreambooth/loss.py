"""The masked loss (section 3.4): the photo's background gives no gradient. It needs torch alone, and fits any trainer.

It takes what a diffusion loss takes, whatever is predicted: noise, v, or the velocity of flow matching. Networks that
pack their latents into tokens (Flux) unpack them before the loss, so theirs are `b c h w` here too.

The photos of the class that prior preservation adds have no mask: all of them counts. Where one call takes both halves
of the batch, give those a mask of ones: `torch.cat([mask, torch.ones_like(mask)])`.

The background is still part of what the network sees: the weights of a masked run do depend on it. What is zero is the
gradient of the loss with respect to the prediction outside the mask.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from persam.errors import DreamBoothError


def masked_mse(
    pred: Float[Tensor, "b c h w"],
    target: Float[Tensor, "b c h w"],
    mask: Float[Tensor, "b 1 H W"],
    *,
    weighting: Float[Tensor, "..."] | None = None,
    floor: float = 0.0,
    normalize: str = "area",
    dilate: int = 0,
) -> Float[Tensor, "b"]:
    """The mean squared error of each sample where its mask is, in float32, before any weighting by SNR.

    Equal to `F.mse_loss(pred, target, reduction="none").mean((1, 2, 3))` where the mask is full. A sample's loss does
    not depend on what else is in the batch, so neither accumulation nor several GPUs change it.

    Args:
        pred: what the network predicts, in latents.
        target: what it should predict.
        mask: 0 to 1, of any size: it is pooled by area to the latents' grid. A latent that the object covers by a tenth
            counts a tenth.
        weighting: of the squared error, such as the one of SD 3's time steps; broadcast over `pred`.
        floor: the least weight of a latent: above 0 the background counts a little.
        normalize: `area` divides by the sum of the weights, so that a small object counts as much as a large one;
            `none` by the number of latents.
        dilate: by so many latents the mask grows, since a latent is made of its neighbours' pixels too.

    Raises:
        DreamBoothError: a mask is empty or not within 0 to 1, or a setting is out of range.
    """
    _check(mask, floor, normalize, dilate)
    weights = F.adaptive_avg_pool2d(mask.detach().float(), (pred.shape[2], pred.shape[3]))
    if dilate:
        weights = F.max_pool2d(weights, 2 * dilate + 1, stride=1, padding=dilate)
    weights = weights.clamp(min=floor)
    # Filled before it is squared: an overflow outside the mask stays outside, where 0 times infinity would be NaN.
    difference = (pred.float() - target.float()).masked_fill(weights == 0, 0.0)
    errors = difference.square() * weights
    if weighting is not None:
        errors = errors * weighting.float()
    share = weights.mean((1, 2, 3)) if normalize == "area" else 1.0
    return errors.mean((1, 2, 3)) / share


@dataclass(frozen=True)
class MaskedLoss:
    """`masked_mse` with the settings of a run, to be called once a step.

    floor, normalize, dilate: as `masked_mse` takes them.
    unmasked: the share of the samples, drawn anew in each step, in which the whole photo counts.

    Examples:
        >>> loss = MaskedLoss()(pred, target, mask).mean()  # doctest: +SKIP
    """

    floor: float = 0.0
    normalize: str = "area"
    dilate: int = 0
    unmasked: float = 0.0

    def __post_init__(self) -> None:
        _check_settings(self.floor, self.normalize, self.dilate)
        if not 0 <= self.unmasked <= 1:
            raise DreamBoothError(f"the share of unmasked samples must lie in 0 to 1, and {self.unmasked} was given.")

    def __call__(
        self,
        pred: Float[Tensor, "b c h w"],
        target: Float[Tensor, "b c h w"],
        mask: Float[Tensor, "b 1 H W"],
        *,
        weighting: Float[Tensor, "..."] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "b"]:
        """The loss of each sample in one step.

        generator: by which unmasked samples are drawn, on any device; torch's own when None. Without a share of them,
            nothing is drawn.
        """
        _check_mask(mask)  # an empty one is an error even where this step does without it
        if self.unmasked:
            device = None if generator is None else generator.device
            whole = torch.rand(len(mask), generator=generator, device=device) < self.unmasked
            mask = mask.masked_fill(whole.to(mask.device)[:, None, None, None], 1.0)
        return masked_mse(
            pred,
            target,
            mask,
            weighting=weighting,
            floor=self.floor,
            normalize=self.normalize,
            dilate=self.dilate,
        )


def _check(mask: Float[Tensor, "b 1 H W"], floor: float, normalize: str, dilate: int) -> None:
    _check_settings(floor, normalize, dilate)
    _check_mask(mask)


def _check_settings(floor: float, normalize: str, dilate: int) -> None:
    if not 0 <= floor <= 1:
        raise DreamBoothError(f"the floor must lie in 0 (background ignored) to 1 (no mask), and {floor} was given.")
    if normalize not in ("area", "none"):
        raise DreamBoothError(f"the loss cannot be normalised by {normalize!r}: choose 'area' or 'none'.")
    if dilate < 0:
        raise DreamBoothError(f"a mask cannot grow by {dilate} latents: give 0 or more.")


def _check_mask(mask: Float[Tensor, "b 1 H W"]) -> None:
    """One transfer from the device, whatever the batch."""
    planes = mask.detach().float().flatten(1)
    lowest, highest = torch.stack([planes.amin(1), planes.amax(1)]).tolist()
    for number, (low, high) in enumerate(zip(lowest, highest, strict=True)):
        if high == 0 and low == 0:
            raise DreamBoothError(
                f"the mask of sample {number} of {len(mask)} is empty, and there is nothing to learn in its photo. "
                f"Leave the photo out, or keep the object inside its crop."
            )
        if not (low >= 0 and high <= 1):  # NaN too
            raise DreamBoothError(
                f"the mask of sample {number} of {len(mask)} holds values from {low:.4g} to {high:.4g}, and they must "
                f"lie in 0 to 1. Divide by 255, or threshold logits."
            )


PAPER = MaskedLoss()
"""The paper's: background gradients are discarded, in every step."""
ONETRAINER = MaskedLoss(floor=0.1, unmasked=0.1, normalize="none")
"""What OneTrainer does by default: the background counts a tenth, and in a tenth of the steps all of the photo."""
MASKED_LOSSES = {"paper": PAPER, "onetrainer": ONETRAINER}
