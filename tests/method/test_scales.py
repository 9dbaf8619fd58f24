"""PerSAM-F's two weights."""

import pytest
import torch

from persam.method.scales import combine, dice_focal, fit_weights


def squares() -> tuple[torch.Tensor, torch.Tensor]:
    """Three nested squares of logits +-8 and the truths they stand for."""
    logits = torch.full((3, 32, 32), -8.0)
    for i, half in enumerate((14, 9, 4)):
        logits[i, 16 - half : 16 + half, 16 - half : 16 + half] = 8.0
    return logits, (logits > 0).float()


@pytest.mark.parametrize("scale", [0, 1, 2])
def test_the_fit_chooses_the_scale_the_user_meant(scale):
    logits, truths = squares()
    weights = fit_weights([logits], [truths[scale]])
    assert weights.sum().item() == pytest.approx(1, abs=1e-5)
    found = combine(logits, weights) > 0
    assert torch.equal(found, truths[scale] > 0)


def test_several_references_are_fitted_together():
    logits, truths = squares()
    flipped = logits.flip(1)
    weights = fit_weights([logits, flipped], [truths[1], truths[1].flip(1)])
    assert torch.equal(combine(logits, weights) > 0, truths[1] > 0)


def test_loss_of_a_perfect_mask_is_near_zero_and_of_its_opposite_near_the_top():
    truth = torch.tensor([1.0, 1.0, 0.0, 0.0])
    assert dice_focal(torch.tensor([30.0, 30.0, -30.0, -30.0]), truth) == pytest.approx(0, abs=1e-4)
    # Dice: 1 - (0 + 1) / (2 + 2 + 1) = 0.8; focal: half of the pixels weigh 0.25, half 0.75, each with entropy 30
    assert dice_focal(torch.tensor([-30.0, -30.0, 30.0, 30.0]), truth) == pytest.approx(0.8 + 15, abs=1e-3)


def test_it_fits_inside_inference_mode():
    logits, truths = squares()
    with torch.inference_mode():
        weights = fit_weights([logits], [truths[0]])
    assert torch.isfinite(weights).all()
