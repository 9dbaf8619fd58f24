"""Losses have the values that a hand works out, and fall where the model does what it is trained for."""

import math

import pytest
import torch

from training.objectives import (
    LocationLoss,
    Strangers,
    identity_loss,
    iou,
    mask_losses,
    segmentation_loss,
    target_features,
)

AT_ZERO = 2.5 * math.log(2) + 1 / 3  # the loss of all-zero logits on one pixel of two, worked out below


def rows(*values: str) -> torch.Tensor:
    """A plane of 0 and 1, `#` for 1."""
    return torch.tensor([[float(mark == "#") for mark in row] for row in values])


# --- masks


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
    assert predicted.grad.tolist() == [[-0.5] * 4]  # 2 * (0 - 1) / 4
    assert logits.grad.abs().max() < 1e-6


# --- location: two views a photo, 4 x 4 cells, partners 0-1 and 2-3

VIEWS = (("##..", "##..", "....", "...."), ("....", "....", "..##", "..##"))


def two_photos() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One object a photo, at other places in its views: cover (4 1 4 4), weight, partner."""
    cover = torch.stack([rows(*view) for view in VIEWS * 2])[:, None]
    return cover, torch.ones(4, 4, 4), torch.tensor([1, 0, 3, 2])


def painted(cover: torch.Tensor, objects: list[list[float]], ground: list[float]) -> torch.Tensor:
    """Features that are one vector on each image's object and another elsewhere."""
    there = torch.tensor(objects)[:, :, None, None]
    return cover * there + (1 - cover) * torch.tensor(ground)[None, :, None, None]


NO_TWIN = torch.zeros(4, dtype=torch.bool)
A, B, GROUND = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]


def test_the_mean_feature_is_that_of_the_cells_covered_by_half():
    features = torch.tensor([[[1.0, 2.0], [4.0, 8.0]]])[None]
    cover = torch.tensor(
        [
            [[1.0, 0.5], [0.4, 0.0]],  # (1 + 2) / 2
            [[0.0, 0.2], [0.1, 0.05]],  # thinner than a cell: those covered by half as much as the most covered one
            [[0.0, 0.0], [0.0, 0.0]],  # nothing
        ]
    )[None]
    torch.testing.assert_close(target_features(features, cover), torch.tensor([[[1.5], [3.0], [0.0]]]))


def test_location_is_cheap_where_objects_stand_out_and_dear_where_all_is_alike():
    cover, weight, partner = two_photos()
    loss = LocationLoss()
    apart, found = loss(painted(cover, [A, A, B, B], GROUND), cover, weight, partner, NO_TWIN)
    confused, _ = loss(painted(cover, [A, A, A, A], GROUND), cover, weight, partner, NO_TWIN)
    alike, _ = loss(painted(cover, [A, A, A, A], A), cover, weight, partner, NO_TWIN)
    assert apart < confused < alike
    assert found.item() == 1


def test_the_location_loss_has_the_value_of_its_formula():
    cover, weight, partner = two_photos()
    value, _ = LocationLoss()(painted(cover, [A, A, B, B], GROUND), cover, weight, partner, NO_TWIN)
    on, off = math.exp(2.3) - 4, -4.0  # logits at cosine 1 and 0, by the initial scale and offset

    def softplus(x: float) -> float:
        return math.log1p(math.exp(x))

    # candidates of the peak: 4 cells of the object, 12 of its ground, and 2 * 16 of the other photo
    peak = math.log(4 * math.exp(on) + 44 * math.exp(off)) - math.log(4 * math.exp(on))
    assert value.item() == pytest.approx(softplus(-on) + softplus(off) + 0.5 * softplus(off) + 0.5 * peak, rel=1e-5)


def test_the_peak_may_be_asked_to_lie_well_inside():
    square = torch.zeros(1, 1, 6, 6)
    square[..., 1:4, 1:4] = 1
    thin = torch.zeros(1, 1, 6, 6)
    thin[..., 5, :] = 1
    both = LocationLoss()._inner_cells(torch.cat([square, thin], 1))[0] & torch.cat([square, thin], 1)[0].bool()
    assert both[0].nonzero().tolist() == [[2, 2]]  # around the others at most six of nine cells are the object's
    assert both[1].nonzero().tolist() == [[5, column] for column in range(1, 5)]

    cover = square.repeat(2, 1, 1, 1)
    weight, partner = torch.ones(2, 6, 6), torch.tensor([1, 0])
    losses = {}
    for place, (y, x) in {"middle": (2, 2), "corner": (1, 1)}.items():
        features = painted(cover, [A, A], GROUND)
        others = [(i, j) for i in (1, 2, 3) for j in (1, 2, 3) if (i, j) != (y, x)]
        for number, (i, j) in enumerate(others):  # off to either side of their mean, which is this cell
            features[:, 1, i, j] = 0.5 * (-1) ** number
        losses[place] = LocationLoss()(features, cover, weight, partner, NO_TWIN[:2], inner=True)[0]
        assert losses[place] > LocationLoss()(features, cover, weight, partner, NO_TWIN[:2])[0]
    assert losses["middle"] < losses["corner"]


def test_the_peak_share_counts_objects_whose_most_similar_cell_is_inside():
    cover, weight, partner = two_photos()
    features = painted(cover, [A, A, B, B], GROUND)
    features[1, :, 0, 0] = torch.tensor(A)  # in view 1, a cell off the object is as much the object as can be
    features[1, :, 2:, 2:] = torch.tensor([1.0, 0.5, 0.0])[:, None, None]
    # view 0 looks for A in view 1 and finds the wrong cell; 1 finds its own in 0; 2 and 3 find each other
    _, found = LocationLoss()(features, cover, weight, partner, NO_TWIN)
    assert found.item() == 0.75


def negatives(twin: torch.Tensor, *, images: int = 2) -> torch.Tensor:
    """How the loss pulls at each cell of view 1, given whether a view is a twin."""
    cover, weight, partner = two_photos()
    features = torch.randn(images, 3, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss, _ = LocationLoss()(features, cover[:images], weight[:images], partner[:images], twin)
    loss.backward()
    return features.grad[1].norm(dim=0)


def test_in_a_twin_view_nothing_outside_the_masks_is_wrong():
    inside = rows(*VIEWS[1]) > 0
    plain, twin = negatives(torch.tensor([False, False])), negatives(torch.tensor([False, True]))
    assert (plain > 0).all()
    assert (twin[inside] > 0).all()
    assert (twin[~inside] == 0).all()


def test_cells_that_do_not_count_are_no_negatives():
    cover, weight, partner = two_photos()
    weight[:, :2, 2:] = 0
    features = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss, _ = LocationLoss()(features, cover[:2], weight[:2], partner[:2], NO_TWIN[:2])
    loss.backward()
    assert (features.grad[:, :, :2, 2:] == 0).all()
    assert (features.grad[:, :, 2:, :2].norm(dim=1) > 0).all()


def test_other_photos_are_negatives_even_for_a_twin():
    assert (negatives(torch.tensor([False, True, False, False]), images=4) > 0).all()


def test_one_photo_alone_has_a_location_loss():
    cover, weight, partner = two_photos()
    features = painted(cover, [A, A, B, B], GROUND)[:2]
    value, found = LocationLoss()(features, cover[:2], weight[:2], partner[:2], NO_TWIN[:2])
    assert value.isfinite()
    assert found.item() == 1


def test_without_a_visible_object_the_location_loss_is_zero_and_can_be_trained_on():
    _, weight, partner = two_photos()
    features = torch.randn(4, 3, 4, 4, requires_grad=True)
    value, found = LocationLoss()(features, torch.full((4, 2, 4, 4), 0.3), weight, partner, NO_TWIN)
    value.backward()
    assert value.item() == 0
    assert found.isnan()
    assert not features.grad.any()


def test_an_object_out_of_sight_in_one_view_neither_helps_nor_hurts():
    cover, weight, partner = two_photos()
    features = painted(cover, [A, A, B, B], GROUND)
    expected, _ = LocationLoss()(features, cover, weight, partner, NO_TWIN)
    with_hidden = torch.cat([cover, torch.zeros_like(cover)], dim=1)
    value, found = LocationLoss()(features, with_hidden, weight, partner, NO_TWIN)
    torch.testing.assert_close(value, expected)
    assert found.item() == 1


# --- identity


def test_one_object_alike_and_others_apart_is_what_identity_asks():
    cover, _, partner = two_photos()
    apart = identity_loss(painted(cover, [A, A, B, B], GROUND), cover, partner)
    changed = identity_loss(painted(cover, [A, B, A, B], GROUND), cover, partner)
    confused = identity_loss(painted(cover, [A, A, A, A], GROUND), cover, partner)
    assert apart < confused < changed
    # same at cosine 1, different at 0, crossing one half at 0.6
    by_hand = math.log1p(math.exp(-12 * 0.4)) + math.log1p(math.exp(-12 * 0.6))
    assert apart.item() == pytest.approx(by_hand, rel=1e-4)


def test_things_side_by_side_in_one_photo_must_differ():
    cover = torch.stack([rows("#..#"), rows("#..#")])[:, None] * torch.stack([rows("##.."), rows("..##")])
    partner = torch.tensor([1, 0])
    alike = torch.ones(2, 3, 1, 4)
    different = torch.tensor([A, A, B, B]).T[None, :, None].repeat(2, 1, 1, 1)
    assert identity_loss(alike, cover, partner) > identity_loss(different, cover, partner) > 0


def test_a_whole_and_its_part_in_one_photo_count_neither_way():
    whole_and_part = torch.stack([rows("##.."), rows("#...")])[None].repeat(2, 1, 1, 1)
    features = torch.ones(2, 3, 1, 4, requires_grad=True)
    loss = identity_loss(features, whole_and_part, torch.tensor([1, 0]))
    loss.backward()
    assert loss.item() == 0  # no pair of different objects is left
    assert not features.grad.any()


def test_a_part_does_not_join_the_negatives_of_another_photo_s_pairs():
    cover, _, partner = two_photos()
    features = painted(cover, [A, A, B, B], GROUND)
    expected = identity_loss(features, cover, partner)
    part = cover.clone()
    part[0, 0, 1], part[1, 0, 3], part[2, 0, 1], part[3, 0, 3] = 0, 0, 0, 0
    torch.testing.assert_close(identity_loss(features, torch.cat([cover, part], 1), partner), expected)


def test_without_a_pair_in_sight_identity_is_zero_and_can_be_trained_on():
    features = torch.randn(4, 3, 4, 4, requires_grad=True)
    loss = identity_loss(features, torch.zeros(4, 2, 4, 4), torch.tensor([1, 0, 3, 2]))
    loss.backward()
    assert loss.item() == 0
    assert not features.grad.any()


# --- strangers

PHOTO = torch.tensor([7, 7, 9, 9])
THING = torch.ones(4, dtype=torch.bool)


def test_strangers_are_nobody_until_one_was_met():
    cover, _, partner = two_photos()
    strangers = Strangers(3)
    features = painted(cover, [A, A, B, B], GROUND).requires_grad_()
    loss = strangers(features, cover, partner, PHOTO, THING)
    loss.backward()
    assert loss.item() == 0
    assert not features.grad.any()


def test_cells_like_a_stranger_cost_and_cells_of_one_s_own_do_not():
    cover, _, partner = two_photos()
    strangers = Strangers(3, count=8)
    strangers(painted(cover, [A, A, B, B], GROUND), cover, partner, PHOTO, THING)
    others = torch.tensor([1, 1, 2, 2])
    alike = strangers(painted(cover, [A, A, A, A], GROUND), cover, partner, others, THING)
    # each cell is its own (cosine 1) against the four met: two of A and two of B
    assert alike.item() == pytest.approx(math.log(1 + (2 * math.exp(12) + 2) / math.exp(12)), rel=1e-4)
    c = [0.0, 0.0, 1.0]
    strangers = Strangers(3, count=8)
    strangers(painted(cover, [A, A, B, B], GROUND), cover, partner, PHOTO, THING)
    different = strangers(painted(cover, [c, c, c, c], [0.6, 0.8, 0.0]), cover, partner, others, THING)
    assert different < 0.01 < alike


def test_an_object_met_before_is_no_stranger_to_itself_and_regions_are_none_at_all():
    cover, _, partner = two_photos()
    strangers = Strangers(3)
    features = painted(cover, [A, A, B, B], GROUND)
    for _ in range(2):  # the same photos again
        loss = strangers(features[:2], cover[:2], partner[:2], PHOTO[:2], THING[:2])
    assert loss.item() == 0
    met = int(strangers.met)
    strangers(features, cover, partner, PHOTO, ~THING)
    assert int(strangers.met) == met


def test_the_oldest_strangers_are_forgotten():
    cover, _, partner = two_photos()
    strangers = Strangers(3, count=6)
    for number in range(4):
        strangers(painted(cover, [A, A, B, B], GROUND), cover, partner, PHOTO + 100 * number, THING)
    assert int(strangers.met) == 16
    assert set(strangers.photos.tolist()) == {209, 307, 309}


# --- together


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_gradients_are_finite_whatever_is_hidden(scale):
    generator = torch.Generator().manual_seed(1)
    features = (scale * torch.randn(6, 8, 4, 4, generator=generator)).requires_grad_()
    cover = (torch.rand(6, 3, 4, 4, generator=generator) > 0.6).float()
    cover[0, 1] = cover[3, 0] = cover[4] = 0
    cover[5, 2] = 1  # fills the view: no ground beside it
    weight = torch.ones(6, 4, 4)
    weight[2] = 0
    partner, twin = torch.arange(6) ^ 1, torch.tensor([True, False, False, False, False, True])
    location = LocationLoss()
    (location(features, cover, weight, partner, twin)[0] + identity_loss(features, cover, partner)).backward()
    assert features.grad.isfinite().all()
    assert features.grad.any()
    assert all(parameter.grad.isfinite() for parameter in location.parameters())
