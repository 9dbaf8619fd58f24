"""A step trains what its stage asks for, and changes nothing when numbers are wrong."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from persam.sam import nano
from training import prompts
from training.archive import Photos
from training.curriculum import Stage, stage_at
from training.train import Parts, train_step

pytestmark = pytest.mark.slow  # seconds in all, and the quick loop has a minute


@pytest.fixture
def photos(archive: Path) -> Photos:
    return Photos([archive], held_out=False)


@pytest.fixture
def parts() -> Parts:
    return Parts.of(nano.build().train(), lr=1e-3)


def stage(course: str, progress: float) -> Stage:
    """Two scenes a step: objects to tell apart."""
    return replace(stage_at(course, progress), sizes={64: (1.0, 2)})


def test_a_loss_that_is_not_finite_stops_the_run_before_it_spoils_the_weights(parts, photos):
    parts.location.log_scale.data.fill_(float("inf"))
    before = {name: value.clone() for name, value in parts.model.state_dict().items()}
    with pytest.raises(FloatingPointError, match=r"the loss is (nan|inf) at input size 64"):
        train_step(parts, photos, np.random.default_rng(0), stage("first", 0.0))
    assert all(torch.equal(value, before[name]) for name, value in parts.model.state_dict().items())


def test_identity_enters_after_its_share_of_the_first_course(parts, photos):
    early = train_step(parts, photos, np.random.default_rng(1), stage("first", 0.2))
    late = train_step(parts, photos, np.random.default_rng(1), stage("first", 0.9))
    assert early["identity"] == early["strangers"] == 0
    assert late["identity"] > 0
    assert late["strangers"] == 0


def test_the_second_course_meets_the_objects_of_earlier_steps(parts, photos):
    first = train_step(parts, photos, np.random.default_rng(1), stage("second", 0.0))
    met = int(parts.strangers.met)
    later = [train_step(parts, photos, np.random.default_rng(seed), stage("second", 0.0)) for seed in range(2, 6)]
    assert first["strangers"] == 0  # the bank was empty
    assert met > 0
    assert max(numbers["strangers"] for numbers in later) > 0


def test_the_official_flow_goes_on_from_the_single_mask_in_three_rounds(parts, photos, monkeypatch):
    rounds = []
    ask = prompts.next_prompt

    def spy(kind, *args, from_single):
        rounds.append((kind, from_single))
        return ask(kind, *args, from_single=from_single)

    monkeypatch.setattr(prompts, "next_prompt", spy)
    asked = replace(stage("second", 0.0), prompts={"concept": 1.0}, official=1.0)
    train_step(parts, photos, np.random.default_rng(0), asked)
    assert rounds == [("same", True), ("predicted_box", False)] * 2  # two groups of views
    rounds.clear()
    train_step(parts, photos, np.random.default_rng(0), replace(asked, official=0.0))
    assert len(rounds) == 2
    assert not any(single for _, single in rounds)


@pytest.mark.slow
def test_the_model_learns_a_step_it_sees_again_and_again(parts, photos):
    steps = [train_step(parts, photos, np.random.default_rng(3), stage("first", 0.0)) for _ in range(8)]
    losses = [step["loss"] for step in steps]
    assert min(losses[-3:]) < 0.8 * losses[0]
