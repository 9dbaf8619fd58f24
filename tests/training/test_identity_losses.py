"""Identity and strangers: an object's features are its own, among those of this step and of earlier ones."""

import math

import pytest
import torch

from tests.training.features import GROUND, A, B, gradient, painted, rows, two_photos
from training.objectives import LocationLoss, Strangers, identity_loss

PHOTO = torch.tensor([7, 7, 9, 9])
THING = torch.ones(4, dtype=torch.bool)


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
    assert not gradient(features).any()


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
    assert not gradient(features).any()


def test_strangers_are_nobody_until_one_was_met():
    cover, _, partner = two_photos()
    strangers = Strangers(3)
    features = painted(cover, [A, A, B, B], GROUND).requires_grad_()
    loss = strangers(features, cover, partner, PHOTO, THING)
    loss.backward()
    assert loss.item() == 0
    assert not gradient(features).any()


def test_patches_like_a_stranger_cost_and_patches_of_one_s_own_do_not():
    cover, _, partner = two_photos()
    strangers = Strangers(3, count=8)
    strangers(painted(cover, [A, A, B, B], GROUND), cover, partner, PHOTO, THING)
    others = torch.tensor([1, 1, 2, 2])
    alike = strangers(painted(cover, [A, A, A, A], GROUND), cover, partner, others, THING)
    # each patch is its own (cosine 1) against the four met: two of A and two of B
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
    assert gradient(features).isfinite().all()
    assert gradient(features).any()
    assert all(gradient(parameter).isfinite() for parameter in location.parameters())
