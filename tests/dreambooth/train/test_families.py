"""Noise, target and weight of each family, against the formulas of their papers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from persam.dreambooth.train.draws import chance
from persam.dreambooth.train.families import Noised
from persam.dreambooth.train.model import load_family
from tests.dreambooth.train import tiny

pytestmark = pytest.mark.slow  # diffusers takes some ten seconds to import

LATENTS, NOISE = (torch.randn(6, 4, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))


def noised(family, latents=LATENTS, noise=NOISE) -> Noised:
    return family.noised(latents, noise, [chance(0, 1, number) for number in range(len(latents))])


def kept(family, made: Noised) -> torch.Tensor:
    """alpha squared of each sample: the product of 1 - beta, betas being linear in their roots."""
    alphas = 1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    return alphas.cumprod(0)[made.timesteps.long()]


def test_sd15_predicts_the_noise_that_was_added(options):
    family = load_family(options("sd15"))
    made = noised(family)
    share = kept(family, made)[:, None, None, None]
    torch.testing.assert_close(made.latents, share.sqrt() * LATENTS + (1 - share).sqrt() * NOISE)
    assert torch.equal(made.target, NOISE)
    assert torch.equal(made.weight, torch.ones(6))
    assert len(made.timesteps.unique()) > 3  # one for each sample


@pytest.fixture(scope="session")
def v_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.sd15(tmp_path_factory.mktemp("v"), prediction="v_prediction")


def test_a_model_of_v_predicts_v(options, v_model):
    family = load_family(options("sd15", pretrained_model_name_or_path=str(v_model)))
    made = noised(family)
    share = kept(family, made)[:, None, None, None]
    torch.testing.assert_close(made.target, share.sqrt() * NOISE - (1 - share).sqrt() * LATENTS)


def test_min_snr_weighs_noise_by_the_least_over_snr_and_v_by_the_least_over_snr_plus_one(options, v_model):
    for model, addend in ((None, 0), (v_model, 1)):
        more = {} if model is None else {"pretrained_model_name_or_path": str(model)}
        family = load_family(options("sd15", snr_gamma=5.0, **more))
        made = noised(family)
        snr = kept(family, made) / (1 - kept(family, made))
        assert (snr > 5).any()
        assert (snr < 5).any()
        torch.testing.assert_close(made.weight, snr.clamp(max=5) / (snr + addend), rtol=1e-4, atol=1e-7)


def test_sd3_predicts_the_velocity_from_the_latents_to_the_noise(options):
    family = load_family(options("sd3"))
    latents, noise = torch.randn(2, 64, 16, 8, 8, generator=torch.Generator().manual_seed(1))
    made = noised(family, latents, noise)
    level = (made.timesteps / 1000)[:, None, None, None]
    torch.testing.assert_close(made.latents, (1 - level) * latents + level * noise, rtol=1e-4, atol=1e-4)
    assert torch.equal(made.target, noise - latents)
    # the middle of logit-normal is 1/2, which SD 3's shift by 3 brings to 3/4: 3 * 1/2 / (1 + 2 * 1/2)
    assert abs(float(level.median()) - 0.75) < 0.08


def test_sd3_weighs_by_its_scheme(options):
    family = load_family(options("sd3", weighting_scheme="sigma_sqrt"))
    latents = torch.zeros(8, 16, 8, 8)
    made = noised(family, latents, latents)
    torch.testing.assert_close(made.weight, (made.timesteps / 1000) ** -2, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("model", ["sd15", "sdxl", "sd3"])
def test_latents_are_on_the_scale_that_the_pipeline_decodes(options, model: str):
    """What the VAE made, shifted and scaled as the config says: diffusers' own numbers by another way."""
    family = load_family(options(model))
    vae = family.pipe.vae
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    mean, deviation = family.encode_pixels(pixels)
    moments = vae.encode(pixels).latent_dist
    shift = {"sd3": 0.0609}.get(model, 0.0)
    assert vae.config.scaling_factor == 0.18215
    torch.testing.assert_close(mean, (moments.mean - shift) * 0.18215)
    torch.testing.assert_close(deviation, torch.exp(moments.logvar / 2) * 0.18215)


@pytest.mark.parametrize("model", ["sd15", "sdxl", "sd3"])
def test_a_picture_is_that_of_its_generator_and_drawing_leaves_the_network_in_training(options, model: str):
    family = load_family(options(model))
    family.encode_prompts(["a dog"], torch.device("cpu"))
    family.network.train()

    def drawn(*numbers: int) -> list[np.ndarray]:
        torch.rand(3)  # what others draw
        return family.draw("a dog", [chance(0, 1, number) for number in numbers], torch.device("cpu"))

    both = drawn(5, 6)
    assert [picture.shape for picture in both] == [(64, 64, 3)] * 2
    assert np.array_equal(drawn(5, 6)[1], both[1])
    assert np.abs(drawn(6)[0].astype(int) - both[1]).max() <= 2  # sums of another order
    assert np.abs(both[0].astype(int) - both[1]).max() > 20
    assert family.network.training


@pytest.mark.parametrize("model", ["sd15", "sdxl", "sd3"])
def test_a_picture_is_the_pipelines_own(options, models, model: str):
    """Drawn in latents and decoded apart, it is what diffusers draws from the prompt."""
    from diffusers import DiffusionPipeline

    family = load_family(options(model))
    family.encode_prompts(["a dog"], torch.device("cpu"))
    [ours] = family.draw("a dog", [chance(0, 1, 5)], torch.device("cpu"))
    pipe = DiffusionPipeline.from_pretrained(models[model])
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe("a dog", num_inference_steps=2, height=64, width=64, generator=[chance(0, 1, 5)], output_type="np")
    assert np.abs(theirs.images[0] * 255 - ours).max() < 1.01


def test_an_inpainting_model_is_refused(tmp_path, options):
    from diffusers import StableDiffusionPipeline

    from persam.errors import DreamBoothError

    pipe = StableDiffusionPipeline.from_pretrained(tiny.sd15(tmp_path / "m"), safety_checker=None)
    tiny.unet(16, in_channels=9).save_pretrained(tmp_path / "m" / "unet")
    assert pipe.unet.config.in_channels == 4
    with pytest.raises(DreamBoothError, match="takes 9 channels and latents have 4: an inpainting model"):
        load_family(options("sd15", pretrained_model_name_or_path=str(tmp_path / "m")))


def test_a_model_without_its_unet_is_an_error_that_says_so(tmp_path, options):
    import shutil

    from persam.errors import DreamBoothError

    folder = tiny.sd15(tmp_path / "m")
    shutil.rmtree(folder / "unet")
    with pytest.raises(DreamBoothError, match=r"cannot load the model .*Fetch it again, complete"):
        load_family(options("sd15", pretrained_model_name_or_path=str(folder)))
