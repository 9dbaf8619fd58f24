"""The masked loss: what it ignores, what it equals, and what it refuses."""

import math

import pytest
import torch
import torch.nn.functional as F

from persam.dreambooth.loss import MASKED_LOSSES, ONETRAINER, PAPER, MaskedLoss, masked_mse
from persam.errors import DreamBoothError

LATENTS = [(2, 4, 8, 8), (1, 16, 6, 10)]  # a UNet's, and a transformer's (SD 3, Flux) of a wide photo


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def top_left(batch: int, height: int, width: int, rows: int, columns: int) -> torch.Tensor:
    """Masks of so many pixels, set in the first rows and columns."""
    mask = torch.zeros(batch, 1, height, width)
    mask[:, :, :rows, :columns] = 1
    return mask


# ---- what the numbers are


def test_the_mean_of_what_the_mask_shows():
    """Two latents of a single channel: errors 1 and 3, squared 1 and 9; the mask shows the second."""
    pred, target = torch.tensor([[[[1.0, 3.0]]]]), torch.zeros(1, 1, 1, 2)
    mask = torch.tensor([[[[0.0, 1.0]]]])
    assert masked_mse(pred, target, mask).tolist() == [9.0]
    assert masked_mse(pred, target, mask, normalize="none").tolist() == [4.5]  # (0 + 9) / 2 latents


def test_a_latent_that_the_object_covers_in_part_counts_in_part():
    """Each latent is 2 x 2 pixels; of the first one pixel is set, of the second all: weights 1/4 and 1."""
    pred, target = torch.tensor([[[[2.0, 1.0]]]]), torch.zeros(1, 1, 1, 2)
    mask = torch.tensor([[[[1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]]]])
    assert masked_mse(pred, target, mask).tolist() == pytest.approx([(0.25 * 4 + 1) / 1.25])
    assert masked_mse(pred, target, mask, normalize="none").tolist() == [(0.25 * 4 + 1) / 2]


def test_a_floor_lets_the_background_count_a_little():
    pred, target = torch.tensor([[[[1.0, 3.0]]]]), torch.zeros(1, 1, 1, 2)
    mask = torch.tensor([[[[1.0, 0.0]]]])
    assert masked_mse(pred, target, mask, floor=0.1).tolist() == pytest.approx([(1 + 0.1 * 9) / 1.1])
    assert masked_mse(pred, target, mask, floor=1.0).tolist() == [5.0]  # no mask any more: (1 + 9) / 2


def test_dilation_grows_the_mask_by_whole_latents():
    mask = torch.zeros(1, 1, 40, 40)
    mask[:, :, 16:24, 16:24] = 1  # one latent of 5 x 5: the middle one
    for grown, side in ((0, 1), (1, 3), (2, 5)):
        pred = torch.zeros(1, 4, 5, 5, requires_grad=True)
        masked_mse(pred, torch.ones(1, 4, 5, 5), mask, dilate=grown).sum().backward()
        assert int((pred.grad[0, 0] != 0).sum()) == side * side


def test_a_weighting_multiplies_the_squared_error_before_the_mean():
    pred, target = torch.tensor([[[[1.0, 3.0]]], [[[1.0, 3.0]]]]), torch.zeros(2, 1, 1, 2)
    mask = torch.tensor([[[[0.0, 1.0]]]]).repeat(2, 1, 1, 1)
    weighting = torch.tensor([2.0, 0.5]).view(2, 1, 1, 1)  # SD 3's: one a sample
    assert masked_mse(pred, target, mask, weighting=weighting).tolist() == [18.0, 4.5]


@pytest.mark.parametrize("shape", LATENTS)
@pytest.mark.parametrize("normalize", ["area", "none"])
def test_a_full_mask_gives_the_plain_loss(shape, normalize):
    pred, target = drawn(*shape), drawn(*shape, seed=1)
    plain = F.mse_loss(pred, target, reduction="none").mean((1, 2, 3))
    full = torch.ones(shape[0], 1, shape[2] * 8, shape[3] * 8)
    torch.testing.assert_close(masked_mse(pred, target, full, normalize=normalize), plain)  # summed in another order


# ---- what has no influence


@pytest.mark.parametrize("shape", LATENTS)
@pytest.mark.parametrize("normalize", ["area", "none"])
def test_the_gradient_is_exactly_zero_outside_and_not_inside(shape, normalize):
    batch, _, height, width = shape
    pred = drawn(*shape).requires_grad_()
    mask = top_left(batch, 8 * height, 8 * width, 20, 8 * width)  # 2.5 rows of latents
    masked_mse(pred, drawn(*shape, seed=1), mask, normalize=normalize).sum().backward()
    assert torch.equal(pred.grad[:, :, 3:], torch.zeros_like(pred.grad[:, :, 3:]))
    assert bool((pred.grad[:, :, :3] != 0).all())


@pytest.mark.parametrize("other", [5.0, math.inf, math.nan])
def test_the_target_outside_has_no_influence_whatever_it_is(other):
    pred, target = drawn(1, 4, 8, 8).requires_grad_(), drawn(1, 4, 8, 8, seed=1)
    mask = top_left(1, 64, 64, 32, 64)
    first = masked_mse(pred, target, mask)
    changed = target.clone()
    changed[:, :, 4:] = other
    second = masked_mse(pred, changed, mask)
    assert torch.equal(first, second)
    second.sum().backward()
    assert bool(torch.isfinite(pred.grad).all())


def test_a_sample_does_not_depend_on_its_batch():
    pred, target = drawn(3, 4, 8, 8), drawn(3, 4, 8, 8, seed=1)
    mask = torch.cat([top_left(1, 64, 64, side, side) for side in (8, 30, 64)])
    together = masked_mse(pred, target, mask)
    alone = torch.cat([masked_mse(pred[[row]], target[[row]], mask[[row]]) for row in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=0)  # vectorised sums differ by rounding
    torch.testing.assert_close(masked_mse(pred[[2, 0]], target[[2, 0]], mask[[2, 0]]), together[[2, 0]])


# ---- what is predicted, and in which precision


def test_noise_velocity_and_flow_differ_in_the_target_alone():
    latents, noise, pred = drawn(1, 4, 8, 8), drawn(1, 4, 8, 8, seed=1), drawn(1, 4, 8, 8, seed=2)
    mask = top_left(1, 64, 64, 64, 32)
    signal, spread = 0.8, 0.6
    targets = {"epsilon": noise, "v": signal * noise - spread * latents, "flow": noise - latents}
    for target in targets.values():
        by_hand = (pred - target)[:, :, :, :4].square().mean()
        torch.testing.assert_close(masked_mse(pred, target, mask)[0], by_hand)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_single(dtype):
    """Squares of 300 overflow half precision, whose largest number is 65504."""
    pred = torch.full((1, 4, 8, 8), 300.0, dtype=dtype, requires_grad=True)
    loss = masked_mse(pred, torch.zeros_like(pred), top_left(1, 64, 64, 16, 64).to(dtype))
    assert loss.dtype == torch.float32
    assert loss.tolist() == [90000.0]
    loss.sum().backward()
    assert pred.grad.dtype == dtype
    assert float(pred.grad[0, 0, 0, 0]) == pytest.approx(2 * 300 / (4 * 2 * 8), rel=1e-2)  # the dtype's own rounding
    assert not pred.grad[:, :, 2:].any()


# ---- a run's settings


def test_the_presets_are_the_papers_and_onetrainers():
    assert MASKED_LOSSES == {"paper": PAPER, "onetrainer": ONETRAINER}
    assert (PAPER.floor, PAPER.unmasked) == (0.0, 0.0)
    assert (ONETRAINER.floor, ONETRAINER.unmasked, ONETRAINER.normalize) == (0.1, 0.1, "none")


def test_the_papers_setting_is_the_function_and_draws_nothing():
    pred, target, mask = drawn(2, 4, 8, 8), drawn(2, 4, 8, 8, seed=1), top_left(2, 64, 64, 24, 24)
    generator = torch.Generator().manual_seed(3)
    before = generator.get_state()
    assert torch.equal(PAPER(pred, target, mask, generator=generator), masked_mse(pred, target, mask))
    assert torch.equal(generator.get_state(), before)


def test_a_share_of_the_samples_is_unmasked_and_the_generator_says_which():
    samples = 2000
    pred = torch.zeros(samples, 1, 1, 2)
    pred[..., 1] = 1.0  # an error in the background alone: 0 where masked, 1/2 where not
    mask = torch.tensor([[[[1.0, 0.0]]]]).repeat(samples, 1, 1, 1)
    loss = MaskedLoss(unmasked=0.1)
    first, again = (
        loss(pred, torch.zeros_like(pred), mask, generator=torch.Generator().manual_seed(0)) for _ in range(2)
    )
    assert torch.equal(first, again)
    assert set(first.tolist()) == {0.0, 0.5}
    assert 0.08 < float((first > 0).float().mean()) < 0.12  # three standard deviations


def test_class_images_count_as_a_whole_by_a_mask_of_ones():
    pred, target, mask = drawn(2, 4, 8, 8), drawn(2, 4, 8, 8, seed=1), top_left(1, 64, 64, 24, 24)
    own, prior = PAPER(pred, target, torch.cat([mask, torch.ones_like(mask)]))
    torch.testing.assert_close(own, masked_mse(pred[:1], target[:1], mask)[0])
    torch.testing.assert_close(prior, F.mse_loss(pred[1], target[1]))


# ---- what is refused


def test_an_empty_mask_is_an_error_that_names_the_sample():
    mask = top_left(2, 64, 64, 8, 8)
    mask[1] = 0
    pred = drawn(2, 4, 8, 8)
    for loss in (masked_mse, PAPER, ONETRAINER, MaskedLoss(unmasked=1.0)):
        with pytest.raises(DreamBoothError, match="mask of sample 1 of 2 is empty"):
            loss(pred, pred, mask)


@pytest.mark.parametrize(
    ("value", "says"),
    [(255.0, "values from 0 to 255, and they must lie in 0 to 1"), (-1.0, "from -1 to 0"), (math.nan, "nan")],
)
def test_a_mask_beyond_0_to_1_is_an_error(value, says):
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = value
    with pytest.raises(DreamBoothError, match=says):
        masked_mse(drawn(1, 4, 8, 8), drawn(1, 4, 8, 8), mask)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"floor": 1.5}, "floor must lie in 0"),
        ({"floor": -0.1}, "floor must lie in 0"),
        ({"normalize": "batch"}, "cannot be normalised by 'batch': choose 'area' or 'none'"),
        ({"dilate": -1}, "cannot grow by -1 latents"),
        ({"unmasked": 2.0}, "share of unmasked samples must lie in 0 to 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, says):
    with pytest.raises(DreamBoothError, match=says):
        MaskedLoss(**settings)
