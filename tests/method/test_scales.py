"""PerSAM-F's two weights."""

import pytest
import torch

from persam.method import scales
from persam.method.scales import LEARNING_RATE, STEPS, combine, dice_focal, fit_weights


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


def published(masks, truths, steps=STEPS, learning_rate=LEARNING_RATE):
    """The fit as it was published: every step over every pixel, by PyTorch's optimiser and derivative."""
    two = torch.full((2,), 1 / 3, requires_grad=True)
    optimizer = torch.optim.AdamW([two], lr=learning_rate, eps=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        weights = torch.cat([1 - two.sum(0, keepdim=True), two])
        together = zip(masks, truths, strict=True)
        loss = torch.stack([dice_focal(weights @ one.flatten(1), truth.flatten()) for one, truth in together]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return torch.cat([1 - two.sum(0, keepdim=True), two]).detach()


def smooth(seed: int, side: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Three masks whose logits are all different, and a truth with undecided edges."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, side), torch.linspace(-1, 1, side), indexing="ij")
    wave = torch.stack([torch.sin((seed + i) * 3 * x + i * y) for i in range(3)])
    radii = torch.tensor([0.9, 0.6, 0.3]).view(3, 1, 1)
    return 20 * (radii - x.hypot(y)) + 3 * wave, (30 * (0.65 - x.hypot(y)) + 0.5).clamp(0, 1)


@pytest.mark.parametrize(
    ("steps", "learning_rate"), [pytest.param(STEPS, LEARNING_RATE, marks=pytest.mark.slow), (100, 1e-2)]
)
def test_the_weights_are_those_of_the_published_fit(steps, learning_rate):
    references = [smooth(1), smooth(2)]
    masks, truths = [masks for masks, _ in references], [truth for _, truth in references]
    expected = published(masks, truths, steps, learning_rate)
    found = fit_weights(masks, truths, steps=steps, learning_rate=learning_rate)
    assert (expected - 1 / 3).abs().max() > 0.1  # it went somewhere
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)  # nearly every pixel is a group of its own


def test_groups_of_pixels_move_the_weights_little():
    masks, truth = smooth(1, side=150)
    assert len(scales._grouped(masks.flatten(1).numpy(), truth.flatten().numpy()).pixels) < truth.numel() / 2
    expected = published([masks], [truth], 100, 1e-2)
    torch.testing.assert_close(
        fit_weights([masks], [truth], steps=100, learning_rate=1e-2), expected, rtol=0, atol=1e-3
    )


def test_pixels_in_groups_keep_their_number_and_their_sums():
    logits, truth = (one.flatten(-2).numpy() for one in smooth(1, side=120))
    groups = scales._grouped(logits, truth)
    assert 500 < len(groups.pixels) <= scales.MOST < truth.size
    assert groups.pixels.sum() == truth.size
    assert groups.pixels @ groups.truth == pytest.approx(truth.sum(), rel=1e-6)
    assert groups.pixels @ groups.first == pytest.approx(logits[0].sum(), rel=1e-5)
    assert groups.others @ groups.pixels == pytest.approx((logits[1:] - logits[0]).sum(1), rel=1e-5)


def test_logits_without_measure_are_grouped_too():
    logits = torch.tensor([[3e38, -3e38, 0.0], [1.0, -1.0, 0.0], [0.5, -0.5, 0.0]]).view(3, 1, 3)
    weights = fit_weights([logits], [torch.tensor([[1.0, 0.0, 1.0]])], steps=10)
    assert weights.isfinite().all()


def test_the_published_fit_ends_where_a_quick_one_does(request):
    logits, truths = squares()
    slow = fit_weights([logits], [truths[1]])
    request.getfixturevalue("quick_fit")
    # both end their cosine schedule near the optimum, which is flat: 0.1 either way moves no pixel
    torch.testing.assert_close(fit_weights([logits], [truths[1]]), slow, rtol=0, atol=0.1)


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
