"""Which family a folder is, found before anything of it is loaded."""

import json
import re
from pathlib import Path

import pytest

from persam.dreambooth.train.families import StableDiffusion, StableDiffusion3, StableDiffusionXL
from persam.dreambooth.train.model import find_family
from persam.dreambooth.train.options import TrainOptions
from persam.errors import DreamBoothError


def options(model: Path, **more) -> TrainOptions:
    return TrainOptions(pretrained_model_name_or_path=str(model), instance_data_dir=Path("rex"), **more)


def folder_of(kind: str, folder: Path) -> Path:
    (folder / "model_index.json").write_text(json.dumps({"_class_name": kind}))
    return folder


@pytest.mark.parametrize(
    ("kind", "family"),
    [
        ("StableDiffusionPipeline", StableDiffusion),
        ("StableDiffusionXLPipeline", StableDiffusionXL),
        ("StableDiffusion3Pipeline", StableDiffusion3),
    ],
)
def test_the_family_is_read_from_the_index(kind: str, family: type, tmp_path):
    assert find_family(options(folder_of(kind, tmp_path))) is family


@pytest.mark.parametrize(
    ("kind", "more", "complaint"),
    [
        ("FluxPipeline", {}, "is a FluxPipeline, which cannot be trained here. Give one of: SD 1.5 (StableDiffusionP"),
        ("StableDiffusionXLPipeline", {"full": True}, "--full is for SD 1.5, and this is SDXL"),
        ("StableDiffusion3Pipeline", {"full": True}, "--full is for SD 1.5, and this is SD 3"),
        ("StableDiffusion3Pipeline", {"snr_gamma": 5.0}, "--snr_gamma is for SD 1.5 and SDXL"),
    ],
)
def test_what_a_family_has_not_is_said(kind: str, more: dict, complaint: str, tmp_path):
    with pytest.raises(DreamBoothError) as error:
        find_family(options(folder_of(kind, tmp_path), **more))
    assert complaint in str(error.value)


@pytest.mark.parametrize("name", ["/none/model", "./model", "a/b/c", "model"])
def test_a_path_that_is_not_there_is_no_question_to_the_hub(name: str, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DreamBoothError, match=f"there is no folder {re.escape(name)}. Check the path"):
        find_family(TrainOptions(pretrained_model_name_or_path=name, instance_data_dir=Path("rex")))


def test_a_folder_a_file_and_a_damaged_index_are_told_apart(tmp_path):
    with pytest.raises(DreamBoothError, match=r"is no model for diffusers: it holds no model_index\.json"):
        find_family(options(tmp_path))
    (tmp_path / "sd.safetensors").touch()
    with pytest.raises(DreamBoothError, match=r"is a single file\. Convert it once"):
        find_family(options(tmp_path / "sd.safetensors"))
    (tmp_path / "model_index.json").write_text("{")
    with pytest.raises(DreamBoothError, match=r"model_index\.json is damaged"):
        find_family(options(tmp_path))
