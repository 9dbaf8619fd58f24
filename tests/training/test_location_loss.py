"""The location loss has its formula's value, and falls where an object's mean feature locates it in the other view."""

import math

import pytest
import torch

from tests.training.features import GROUND, NO_TWIN, VIEWS, A, B, gradient, painted, rows, two_photos
from training.objectives import LocationLoss, target_features


def test_the_mean_feature_is_that_of_the_patches_covered_by_half():
    features = torch.tensor([[[1.0, 2.0], [4.0, 8.0]]])[None]
    cover = torch.tensor(
        [
            [[1.0, 0.5], [0.4, 0.0]],  # (1 + 2) / 2
            [[0.0, 0.2], [0.1, 0.05]],  # thinner than a patch: those covered by half as much as the most covered one
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

    # candidates of the peak: 4 patches of the object, 12 of its ground, and 2 * 16 of the other photo
    peak = math.log(4 * math.exp(on) + 44 * math.exp(off)) - math.log(4 * math.exp(on))
    assert value.item() == pytest.approx(softplus(-on) + softplus(off) + 0.5 * softplus(off) + 0.5 * peak, rel=1e-5)


def test_the_peak_may_be_asked_to_lie_well_inside():
    square = torch.zeros(1, 1, 6, 6)
    square[..., 1:4, 1:4] = 1
    thin = torch.zeros(1, 1, 6, 6)
    thin[..., 5, :] = 1
    both = LocationLoss()._inner_patches(torch.cat([square, thin], 1))[0] & torch.cat([square, thin], 1)[0].bool()
    assert both[0].nonzero().tolist() == [[2, 2]]  # around the others at most six of nine patches are the object's
    assert both[1].nonzero().tolist() == [[5, column] for column in range(1, 5)]

    cover = square.repeat(2, 1, 1, 1)
    weight, partner = torch.ones(2, 6, 6), torch.tensor([1, 0])
    losses = {}
    for place, (y, x) in {"middle": (2, 2), "corner": (1, 1)}.items():
        features = painted(cover, [A, A], GROUND)
        others = [(i, j) for i in (1, 2, 3) for j in (1, 2, 3) if (i, j) != (y, x)]
        for number, (i, j) in enumerate(others):  # off to either side of their mean, which is this patch
            features[:, 1, i, j] = 0.5 * (-1) ** number
        losses[place] = LocationLoss()(features, cover, weight, partner, NO_TWIN[:2], inner=True)[0]
        assert losses[place] > LocationLoss()(features, cover, weight, partner, NO_TWIN[:2])[0]
    assert losses["middle"] < losses["corner"]


def test_the_peak_share_counts_objects_whose_most_similar_patch_is_inside():
    cover, weight, partner = two_photos()
    features = painted(cover, [A, A, B, B], GROUND)
    features[1, :, 0, 0] = torch.tensor(A)  # in view 1, a patch off the object is as much the object as can be
    features[1, :, 2:, 2:] = torch.tensor([1.0, 0.5, 0.0])[:, None, None]
    # view 0 looks for A in view 1 and finds the wrong patch; 1 finds its own in 0; 2 and 3 find each other
    _, found = LocationLoss()(features, cover, weight, partner, NO_TWIN)
    assert found.item() == 0.75


def negatives(twin: torch.Tensor, *, images: int = 2) -> torch.Tensor:
    """How the loss pulls at each patch of view 1, given whether a view is a twin."""
    cover, weight, partner = two_photos()
    features = torch.randn(images, 3, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss, _ = LocationLoss()(features, cover[:images], weight[:images], partner[:images], twin)
    loss.backward()
    return gradient(features)[1].norm(dim=0)


def test_in_a_twin_view_nothing_outside_the_masks_is_wrong():
    inside = rows(*VIEWS[1]) > 0
    plain, twin = negatives(torch.tensor([False, False])), negatives(torch.tensor([False, True]))
    assert (plain > 0).all()
    assert (twin[inside] > 0).all()
    assert (twin[~inside] == 0).all()


def test_patches_that_do_not_count_are_no_negatives():
    cover, weight, partner = two_photos()
    weight[:, :2, 2:] = 0
    features = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss, _ = LocationLoss()(features, cover[:2], weight[:2], partner[:2], NO_TWIN[:2])
    loss.backward()
    assert (gradient(features)[:, :, :2, 2:] == 0).all()
    assert (gradient(features)[:, :, 2:, :2].norm(dim=1) > 0).all()


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
    assert not gradient(features).any()


def test_an_object_out_of_sight_in_one_view_neither_helps_nor_hurts():
    cover, weight, partner = two_photos()
    features = painted(cover, [A, A, B, B], GROUND)
    expected, _ = LocationLoss()(features, cover, weight, partner, NO_TWIN)
    with_hidden = torch.cat([cover, torch.zeros_like(cover)], dim=1)
    value, found = LocationLoss()(features, with_hidden, weight, partner, NO_TWIN)
    torch.testing.assert_close(value, expected)
    assert found.item() == 1
