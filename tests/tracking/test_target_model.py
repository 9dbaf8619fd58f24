"""The linear model of what the object looks like in this video."""

import torch
import torch.nn.functional as F

from persam.tracking.target_model import TargetModel

RED, GREEN, BLUE = torch.eye(3)


def patches(*colours):
    return torch.stack([F.normalize(colour, dim=0) for colour in colours])


def test_patches_of_the_object_score_high_and_others_low():
    model = TargetModel.of(patches(RED, GREEN, BLUE), torch.tensor([1.0, 0.0, 0.0]))
    red, green, blue = model(patches(RED, GREEN, BLUE)).tolist()
    assert red > 0.5
    assert green < -0.5
    assert blue < -0.5


def test_object_and_background_weigh_the_same_whatever_their_size():
    cover = torch.tensor([1.0] + 99 * [0.0])
    model = TargetModel.of(patches(RED, *99 * [GREEN]), cover)
    assert model(patches(RED))[0] > 0.5


def test_it_learns_a_new_side_and_keeps_the_first():
    model = TargetModel.of(patches(RED, GREEN), torch.tensor([1.0, 0.0]))
    before = model(patches(BLUE))[0]
    for _ in range(20):
        model = model.updated(patches(BLUE, GREEN), torch.tensor([1.0, 0.0]))
    assert model(patches(BLUE))[0] > before + 0.5
    assert model(patches(RED))[0] > 0.3


def test_a_look_alike_beside_the_object_counts_against_it():
    orange = F.normalize(RED + 0.5 * GREEN, dim=0)
    model = TargetModel.of(patches(RED, BLUE), torch.tensor([1.0, 0.0]))
    after = model.updated(patches(RED, orange, BLUE), torch.tensor([1.0, 0.0, 0.0]))
    assert after(patches(orange))[0] < model(patches(orange))[0]


def test_it_has_one_size_however_long_the_video():
    model = TargetModel.of(patches(RED, GREEN), torch.tensor([1.0, 0.0]))
    for _ in range(50):
        model = model.updated(patches(RED, GREEN), torch.tensor([1.0, 0.0]))
    assert model.recent.moments.shape == (4, 4)
    assert torch.isfinite(model.solution).all()


def test_a_frame_full_of_the_object_stays_finite():
    model = TargetModel.of(patches(RED, GREEN), torch.tensor([1.0, 1.0]))
    assert torch.isfinite(model(patches(RED, BLUE))).all()
