"""Which loss a run has and what its batches are made of; what they teach: test_training.py and test_background.py."""

from pathlib import Path

import torch

from persam.dreambooth.train.latents import Latent
from persam.dreambooth.train.loop import Data, batches, loss_of
from persam.dreambooth.train.options import TrainOptions


def options(**more) -> TrainOptions:
    return TrainOptions(pretrained_model_name_or_path="m", instance_data_dir=Path("rex"), **more)


def versions(count: int, prompt: str, covered: float) -> list[list[Latent]]:
    """Photos of one version, whose masks have the value `covered` everywhere."""
    return [
        [Latent(torch.zeros(2, 4, 4), torch.zeros(2, 4, 4), torch.full((1, 4, 4), covered), torch.zeros(6), prompt)]
        for _ in range(count)
    ]


def test_the_loss_is_the_presets_with_the_dilation_asked_for():
    assert (loss_of(options()).floor, loss_of(options()).normalize, loss_of(options()).dilate) == (0, "area", 0)
    assert loss_of(options(masking="onetrainer", mask_dilation=2)).floor == 0.1
    assert loss_of(options(masking="onetrainer", mask_dilation=2)).dilate == 2


def test_without_masking_it_is_the_plain_mean_whatever_the_dilation():
    said, target = torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    plain = (said - target).square().mean((1, 2, 3))
    for given in (options(masking="off"), options(masking="off", mask_dilation=3)):
        torch.testing.assert_close(loss_of(given)(said, target, torch.ones(3, 1, 8, 8)), plain)


def test_a_step_has_a_batch_for_each_part_and_the_class_follows_the_object_unmasked():
    data = Data(versions(3, "sks dog", 0.5), versions(2, "dog", 1.0))
    given = options(masking="onetrainer", train_batch_size=2, gradient_accumulation_steps=3)
    parts = list(batches(given, data, 0, process=0, processes=1))
    assert [instances for _, instances in parts] == [2, 2, 2]
    for batch, _ in parts:
        assert batch.prompts == ["sks dog", "sks dog", "dog", "dog"]
        assert (batch.mask[2:] == 1).all()


def test_a_tenth_of_the_samples_goes_unmasked_under_onetrainers_preset_alone():
    data = Data(versions(3, "sks dog", 0.5), [])
    whole = {}
    for masking in ("paper", "onetrainer", "off"):
        given = options(masking=masking, train_batch_size=500)
        [(batch, _)] = batches(given, data, 0, process=0, processes=1)
        whole[masking] = int((batch.mask.amin((1, 2, 3)) == 1).sum())
    assert whole["paper"] == whole["off"] == 0  # with masking off, masks of ones come from encode_photos
    assert 30 < whole["onetrainer"] < 70  # 50 expected, deviation 6.7
