"""The losses of masks and of predicted IoU have the values that a hand works out."""

import math

import pytest
import torch

from tests.training.features import gradient, rows
from training.objectives import iou, mask_losses, segmentation_loss

AT_ZERO = 2.5 * math.log(2) + 1 / 3  # the loss of all-zero logits on one pixel of two, worked out below


def test_a_perfect_mask_costs_nothing():
    cover = rows("##..", "##..")[None]
    assert mask_losses(40 * cover[:, None] - 20, cover, torch.ones(1, 2, 4)).item() == pytest.approx(0, abs=1e-6)


def test_an_undecided_mask_costs_what_the_formulas_say():
    # p = 1/2, so |p - t| = 1/2 and the entropy is ln 2 at both pixels
    # focal: mean(1/4 * 1/4 ln 2, 3/4 * 1/4 ln 2) = ln 2 / 8, times 20; Dice: 1 - (2 * 1/2 + 1) / (1 + 1 + 1) = 1/3
    losses = mask_losses(torch.zeros(1, 1, 1, 2), rows("#.")[None], torch.ones(1, 1, 2))
    assert losses.shape == (1, 1)
    assert losses.item() == pytest.approx(AT_ZERO)


def test_pixels_that_do_not_count_cost_nothing():
    # focal: mean(1/16 ln 2, 0) * 20 = 0.625 ln 2; Dice: 1 - (1 + 1) / (1.5 + 1) = 0.2
    losses = mask_losses(torch.zeros(1, 1, 1, 2), rows("#.")[None], rows("#.")[None])
    assert losses.item() == pytest.approx(0.625 * math.log(2) + 0.2)
    wrong = torch.tensor([[[[20.0, 20.0]]]])
    assert mask_losses(wrong, rows("#.")[None], rows("#.")[None]).item() == pytest.approx(0, abs=1e-6)


def test_iou_counts_pixels_above_zero_that_count():
    logits = torch.tensor([[[1.0, 2.0, -1.0, 3.0]], [[-1.0, -1.0, -1.0, -1.0]]])[None]  # one prompt, two masks
    cover = torch.tensor([[[0.9, 0.4, 0.6, 1.0]]])
    everywhere = torch.ones(1, 1, 4)
    # found 0, 1, 3; true 0, 2, 3: two shared of four
    torch.testing.assert_close(iou(logits, cover, everywhere), torch.tensor([[0.5, 0.0]]))
    # without pixel 1: two shared of three
    torch.testing.assert_close(iou(logits, cover, rows("#.##")[None]), torch.tensor([[2 / 3, 0.0]]))


def test_iou_of_nothing_with_nothing_is_zero():
    assert iou(torch.full((1, 4, 2, 2), -1.0), torch.zeros(1, 2, 2), torch.ones(1, 2, 2)).tolist() == [[0.0] * 4]


def candidates(*perfect: bool) -> torch.Tensor:
    """Four masks of `#.`: perfect, or undecided."""
    return torch.stack([torch.tensor([[20.0, -20.0]]) if good else torch.zeros(1, 2) for good in perfect])[None]


@pytest.mark.parametrize("best", [1, 2, 3])
def test_the_best_of_the_three_masks_is_trained(best):
    logits = candidates(True, *(i == best for i in (1, 2, 3)))
    true_iou = iou(logits, rows("#.")[None], torch.ones(1, 1, 2))
    assert true_iou.tolist() == [[1.0, *(float(i == best) for i in (1, 2, 3))]]
    loss = segmentation_loss(logits, true_iou, rows("#.")[None], torch.ones(1, 1, 2))
    # the best is perfect, the other two share in 5 % of the mean
    assert loss.tolist() == pytest.approx([0.05 * 2 / 3 * AT_ZERO], abs=1e-6)


def test_the_single_mask_and_the_predicted_iou_count_as_well():
    logits = candidates(False, True, True, True)
    predicted = torch.tensor([[0.0, 1.0, 1.0, 0.5]])  # off by a half in one of four
    loss = segmentation_loss(logits, predicted, rows("#.")[None], torch.ones(1, 1, 2))
    assert loss.tolist() == pytest.approx([0.5 * AT_ZERO + 0.25 / 4], abs=1e-6)


def test_the_predicted_iou_is_trained_but_not_the_mask_towards_it():
    logits, predicted = candidates(True, True, True, True).requires_grad_(), torch.zeros(1, 4, requires_grad=True)
    segmentation_loss(logits, predicted, rows("#.")[None], torch.ones(1, 1, 2)).sum().backward()
    assert gradient(predicted).tolist() == [[-0.5] * 4]  # 2 * (0 - 1) / 4
    assert gradient(logits).abs().max() < 1e-6
