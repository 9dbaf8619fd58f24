"""`persam dreambooth train` and `run`: from an album to weights, and one line for what is wrong beforehand."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.typed import files_in
from tests.dreambooth.folders import write_pair

MODEL = "--pretrained_model_name_or_path model"
TRAIN = f"dreambooth train {MODEL} --instance_data_dir photos --instance_prompt sks --resolution 64 -o out"
RUN = f"dreambooth run ref.png mask.png album {MODEL} --resolution 64 -o out"


@pytest.fixture
def photos(here) -> None:
    for number in range(3):
        write_pair(here / "photos", f"rex{number}", at_xyxy=(10, 20, 39, 49), hw=(64, 64))


def index(kind: str) -> None:
    Path("model").mkdir()
    Path("model/model_index.json").write_text(json.dumps({"_class_name": kind}))


@pytest.fixture
def sd15(here, monkeypatch) -> Iterator[None]:
    """A tiny SD 1.5 in ./model."""
    from tests.dreambooth.train import tiny

    with tiny.on_the_cpu(monkeypatch):
        tiny.sd15(here / "model")
        yield


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("dreambooth", ("train", "run")),
        ("dreambooth train -h", ("--snr_gamma X", "--masking {paper,onetrainer,off}", "--dry-run", "example:")),
        ("dreambooth run -h", ("REF MASK PHOTO...", "--concept FILE", "--max_train_steps N", "OUTPUT_DIR/photos")),
    ],
)
def test_help(persam, line, words):
    code, out, err = persam(line)
    assert (code, err) == (0, "")
    for word in words:
        assert word in out


@pytest.mark.usefixtures("here", "photos")
@pytest.mark.parametrize(
    ("kind", "more", "complaint"),
    [
        ("FluxPipeline", "", "model is a FluxPipeline, which cannot be trained here"),
        ("StableDiffusionXLPipeline", "--full", "--full is for SD 1.5, and this is SDXL"),
        ("StableDiffusionPipeline", "--train_batch_size 0", "--train_batch_size 0 is too small"),
        ("StableDiffusionPipeline", "--with_prior_preservation", "needs --class_prompt"),
        ("StableDiffusionPipeline", "--instance_data_dir none", "cannot list none/images: no such file"),
        ("StableDiffusionPipeline", "--mask_data_dir none", "cannot list none: no such file"),
        ("StableDiffusionPipeline", "-o ref.png", "cannot write ref.png/.persam-can-write"),
    ],
)
def test_train_refuses_in_one_line(persam, kind, more, complaint):
    index(kind)
    assert complaint in persam.refused(f"{TRAIN} {more}")


@pytest.mark.usefixtures("here", "no_model")
def test_run_looks_at_the_diffusion_model_before_it_prepares_anything(persam):
    index("FluxPipeline")
    assert "model is a FluxPipeline" in persam.refused(RUN)
    assert not Path("out").exists()


@pytest.mark.usefixtures("here", "no_model")
def test_run_is_for_one_process(persam, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "run is for one process" in persam.refused(RUN)


@pytest.mark.slow
@pytest.mark.usefixtures("photos", "sd15")
def test_dry_run_says_that_masking_is_on_and_stops(persam):
    code, out, err = persam(f"{TRAIN} --dry-run")
    assert (code, out) == (0, "")
    assert err.splitlines() == [
        "persam: masking on: 3 of 3 photos, mean area 22 %; look at out/masks.jpg",
        "persam: dry run: nothing was trained",
    ]
    assert files_in("out") == {"masks.jpg"}


@pytest.mark.slow
@pytest.mark.usefixtures("photos", "sd15")
def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(persam, monkeypatch):
    from persam.dreambooth.train import loop

    step = loop._step

    def interrupted(*given):
        if given[-1] == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return step(*given)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_step", interrupted)
        code, _, err = persam(f"{TRAIN} --max_train_steps 4")
    assert code == 130
    assert err.splitlines()[-1] == (
        "persam: stopped after step 2; go on with --resume_from_checkpoint latest (out/checkpoint-2)"
    )
    code, _, err = persam(f"{TRAIN} --max_train_steps 4 --resume_from_checkpoint latest")
    assert code == 0
    assert err.splitlines()[1:] == [
        "persam: going on from out/checkpoint-2 after 2 steps",
        "persam: trained 4 steps; weights are in out/pytorch_lora_weights.safetensors",
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("colours", "sd15")
def test_run_goes_from_an_album_to_weights(persam):
    code, out, err = persam(f"{RUN} --max_train_steps 2")
    assert code == 0
    assert [json.loads(line)["used"] for line in out.splitlines()] == [True, True]
    prepared, masking, trained = err.splitlines()
    assert prepared == "persam: 2 of 2 photos have masks; look at out/photos/sheet.jpg"
    assert masking.startswith("persam: masking on: 2 of 2 photos, mean area ")
    assert trained == "persam: trained 2 steps; weights are in out/pytorch_lora_weights.safetensors"
    assert files_in("out") == {"photos", "masks.jpg", "pytorch_lora_weights.safetensors"}
