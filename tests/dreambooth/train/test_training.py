"""Runs of a few steps on tiny models with their real classes: train, save, load, sample."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from persam.dreambooth.train.run import Trained, train
from persam.errors import DreamBoothError
from persam.io.images import read_image

pytestmark = pytest.mark.slow


def trained_numbers(checkpoint: Path) -> dict[str, torch.Tensor]:
    return load_file(checkpoint / "trained.safetensors")


def picture(pipe) -> np.ndarray:
    pipe.set_progress_bar_config(disable=True)
    chance = torch.Generator().manual_seed(0)
    return pipe(
        "a photo of sks dog", num_inference_steps=2, height=64, width=64, generator=chance, output_type="np"
    ).images[0]


@pytest.mark.parametrize("model", ["sd15", "sdxl", "sd3"])
def test_a_lora_loads_where_diffusers_looks_for_it_and_changes_what_is_drawn(model: str, models, options):
    from diffusers import DiffusionPipeline

    given = options(model, checkpointing_steps=2)
    end = train(given)
    assert end == Trained(
        given.output_dir / "pytorch_lora_weights.safetensors", given.output_dir / "checkpoint-2", 2, stopped=False
    )
    pipe = DiffusionPipeline.from_pretrained(models[model])
    before = picture(pipe)
    pipe.load_lora_weights(given.output_dir)
    after = picture(pipe)
    assert np.abs(before - after).max() > 1e-3
    network = pipe.transformer if model == "sd3" else pipe.unet
    loaded = {name.replace("default_0", "default"): one for name, one in network.named_parameters() if "lora" in name}
    saved = trained_numbers(end.checkpoint)
    assert loaded.keys() == saved.keys()
    assert all(torch.equal(loaded[name], saved[name]) for name in saved)
    assert any(saved[name].any() for name in saved if "lora_B" in name)  # which is 0 before training


def test_the_full_unet_is_saved_as_a_pipeline_that_holds_what_was_trained(models, options):
    from diffusers import DiffusionPipeline

    given = options("sd15", full=True, learning_rate=1e-3, checkpointing_steps=2)
    end = train(given)
    assert end.weights == given.output_dir
    pipe = DiffusionPipeline.from_pretrained(given.output_dir)
    saved = trained_numbers(end.checkpoint)
    assert all(torch.equal(one, saved[name]) for name, one in pipe.unet.named_parameters())
    base = DiffusionPipeline.from_pretrained(models["sd15"])
    assert np.abs(picture(base) - picture(pipe)).max() > 1e-3
    assert torch.equal(next(base.text_encoder.parameters()), next(pipe.text_encoder.parameters()))


def test_masking_changes_what_is_learned_and_the_presets_differ(options, tmp_path):
    learned = {}
    for masking in ("paper", "onetrainer", "off"):
        given = options("sd15", masking=masking, output_dir=tmp_path / masking, checkpointing_steps=2)
        learned[masking] = trained_numbers(train(given).checkpoint)
    for one, other in (("paper", "onetrainer"), ("paper", "off"), ("onetrainer", "off")):
        assert any(not torch.equal(learned[one][name], learned[other][name]) for name in learned[one])


def test_prior_preservation_draws_its_photos_first_and_only_those_that_are_missing(options):
    lines: list[str] = []
    given = options("sdxl", with_prior_preservation=True, class_prompt="a dog", num_class_images=3, max_train_steps=1)
    train(given, say=lines.append)
    files = sorted((given.output_dir / "class").iterdir())
    assert [file.name for file in files] == ["class-0000.png", "class-0001.png", "class-0002.png"]
    assert lines[1] == f"drawing 3 photos of the class into {given.output_dir / 'class'}"
    kept = [read_image(file) for file in files]
    files[1].unlink()
    train(given, say=lines.append)
    for file, before in zip(files, kept, strict=True):  # a picture's number alone decides what is in it
        assert np.abs(read_image(file).astype(int) - before).max() <= 2
    assert np.abs(kept[0].astype(int) - kept[1]).max() > 20
    assert f"drawing 1 photos of the class into {given.output_dir / 'class'}" in lines


def test_pictures_and_losses_are_there_to_look_at(options):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    given = options(
        "sd15",
        validation_prompt="a photo of sks dog",
        num_validation_images=2,
        validation_steps=2,
        max_train_steps=3,
        report_to="tensorboard",
    )
    losses: list[float] = []
    train(given, step_done=lambda step, loss: losses.append(loss))
    names = sorted(file.name for file in (given.output_dir / "pictures").iterdir())
    assert names == [f"step-{step:06d}-{number}.png" for step in (2, 3) for number in (0, 1)]
    log = EventAccumulator(str(given.output_dir / "logs"))
    log.Reload()
    assert [(event.step, event.value) for event in log.Scalars("loss")] == [
        (step, pytest.approx(loss)) for step, loss in zip((1, 2, 3), losses, strict=True)
    ]
    assert log.Tags()["images"]


def test_checkpointed_gradients_are_the_same(options, tmp_path):
    learned = []
    for less in (True, False):
        given = options("sd15", gradient_checkpointing=less, output_dir=tmp_path / str(less))
        learned.append(load_file(train(given).weights))
    for name in learned[0]:
        torch.testing.assert_close(learned[0][name], learned[1][name], rtol=1e-4, atol=1e-5)


def test_bfloat16_trains_in_float32_over_a_frozen_half(options):
    given = options("sd15", mixed_precision="bf16", max_train_steps=1, validation_prompt="a dog")
    saved = load_file(train(given).weights)
    assert {one.dtype for one in saved.values()} == {torch.float32}
    assert all(one.isfinite().all() for one in saved.values())


def test_float16_on_a_cpu_is_an_error_before_the_model_is_loaded(options, monkeypatch):
    monkeypatch.setattr("persam.dreambooth.train.model.load_family", lambda _: pytest.fail("a model was loaded"))
    with pytest.raises(DreamBoothError, match="--mixed_precision fp16 does not work here: this device is a CPU"):
        train(options("sd15", mixed_precision="fp16"))


def test_full_memory_is_an_error_that_says_what_helps(options, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr("persam.dreambooth.train.loop._step", full)
    with pytest.raises(DreamBoothError, match=r"memory is full\. Try --gradient_checkpointing, --mixed_precision"):
        train(options("sd15"))


def test_sd3_without_its_large_text_encoder_trains(models, options, tmp_path):
    from diffusers import StableDiffusion3Pipeline

    small = StableDiffusion3Pipeline.from_pretrained(models["sd3"], text_encoder_3=None, tokenizer_3=None)
    small.save_pretrained(tmp_path / "small")
    end = train(options("sd3", pretrained_model_name_or_path=str(tmp_path / "small"), max_train_steps=1))
    assert all(one.isfinite().all() for one in load_file(end.weights).values())


def test_a_dry_run_proves_the_masks_and_trains_nothing(options):
    lines: list[str] = []
    given = options("sd3", dry_run=True)
    assert train(given, say=lines.append) == Trained(None, None, 0, stopped=False)
    assert lines[0].startswith("masking on: 3 of 3 photos, mean area 22 %; look at ")  # 30 x 30 of 64 x 64
    assert [file.name for file in given.output_dir.iterdir()] == ["masks.jpg"]


def test_a_caption_is_the_prompt_where_none_is_given(options, photos, tmp_path):
    import shutil

    shutil.copytree(photos, tmp_path / "in")
    (tmp_path / "in" / "captions").mkdir()
    for number in range(3):
        (tmp_path / "in" / "captions" / f"rex{number}.txt").write_text("a photo of sks dog")
    learned = []
    for name, prompt in (("captions", None), ("said", "a photo of sks dog"), ("other", "a dog")):
        given = options("sd15", instance_data_dir=tmp_path / "in", instance_prompt=prompt, output_dir=tmp_path / name)
        learned.append(load_file(train(given).weights))
    assert all(torch.equal(learned[0][name], learned[1][name]) for name in learned[0])
    assert any(not torch.equal(learned[0][name], learned[2][name]) for name in learned[0])
