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
@pytest.mark.usefixtures("quick_fit")
def test_the_fit_chooses_the_scale_the_user_meant(scale):
    logits, truths = squares()
    weights = fit_weights([logits], [truths[scale]])
    assert weights.sum().item() == pytest.approx(1, abs=1e-5)
    found = combine(logits, weights) > 0
    assert torch.equal(found, truths[scale] > 0)


def test_the_published_fit_ends_where_a_quick_one_does(request):
    logits, truths = squares()
    published = fit_weights([logits], [truths[1]])
    request.getfixturevalue("quick_fit")
    # both end their cosine schedule near the optimum, which is flat: 0.1 either way moves no pixel
    torch.testing.assert_close(fit_weights([logits], [truths[1]]), published, rtol=0, atol=0.1)


@pytest.mark.usefixtures("quick_fit")
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


def test_a_weighted_sum_of_masks_and_of_scores():
    weights = torch.tensor([0.5, 0.25, 0.25])
    masks = torch.stack([torch.full((2, 2), value) for value in (4.0, 2.0, -6.0)])
    assert torch.equal(combine(masks, weights), torch.full((2, 2), 1.0))
    assert combine(torch.tensor([1.0, 0.5, 0.0]), weights) == 0.625


@pytest.mark.usefixtures("quick_fit")
def test_it_fits_inside_inference_mode():
    logits, truths = squares()
    with torch.inference_mode():
        weights = fit_weights([logits], [truths[0]])
    assert torch.isfinite(weights).all()
