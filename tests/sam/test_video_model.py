"""Loading video models, refusing what is none, and how frames and masks reach their square input."""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch

from persam.errors import PerSAMError, WeightsError
from persam.sam.video_model import MEAN, STD, VideoModel, load_video_model
from tests.sam.video_models import KINDS, SIDE, network, save


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> dict[str, Path]:
    return {kind: save(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}


@pytest.fixture
def folder(folders, tmp_path) -> Path:
    """A SAM 2.1 of one's own to damage."""
    return Path(shutil.copytree(folders["Sam2Video"], tmp_path / "own"))


def squeezed(side: int) -> VideoModel:
    """One that knows the size of its input, and no more."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    stand_in = SimpleNamespace(config=SimpleNamespace(image_size=side), parameters=lambda: iter([parameter]))
    return VideoModel(stand_in, "stand-in", None, "none")


def as_config(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(text)
    return folder


# ---- frames and masks


def test_a_frame_is_squeezed_into_the_square_and_normalised():
    rgb = np.zeros((4, 16, 3), np.uint8)
    rgb[:, 8:] = (255, 51, 102)
    pixels = squeezed(8).pixels(rgb)
    assert pixels.shape == (1, 3, 8, 8)
    left, right = pixels[0, :, :, 1], pixels[0, :, :, 6]
    for channel, level in enumerate((1.0, 0.2, 0.4)):
        assert left[channel].tolist() == pytest.approx([-MEAN[channel] / STD[channel]] * 8)
        assert right[channel].tolist() == pytest.approx([(level - MEAN[channel]) / STD[channel]] * 8, rel=1e-5)


def test_a_mask_lies_in_the_square_where_its_frame_does():
    mask = np.zeros((8, 16), bool)
    mask[2:6, 4:12] = True  # the middle half of both sides
    expected = torch.zeros(1, 1, 16, 16)
    expected[:, :, 4:12, 4:12] = 1
    assert torch.equal(squeezed(16).prompt(mask), expected)


def test_an_object_thinner_than_an_input_pixel_is_not_lost():
    mask = np.zeros((64, 64), bool)
    mask[:, 21] = True
    prompt = squeezed(8).prompt(mask)
    assert prompt[0, 0].sum(0).tolist() == [0, 0, 8, 0, 0, 0, 0, 0]


# ---- what is no video model: said before transformers is imported


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda at: at / "nowhere", r"there is no folder .*nowhere. Give the folder of a video model"),
        (lambda at: "sam2.1-hiera-tiny", r"there is no folder sam2.1-hiera-tiny.* with its owner, such as facebook/"),
        (lambda at: "../models/tiny", r"there is no folder \.\./models/tiny"),
        (lambda at: at, r"no model in transformers' layout: its config.json is missing"),
        (lambda at: as_config(at / "cut", '{"model_type": "sam2_vi'), r"config.json is missing, damaged"),
        (lambda at: as_config(at / "list", "[]"), r"config.json is missing, damaged"),
        (lambda at: as_config(at / "bare", "{}"), r"names no model_type"),
        (lambda at: as_config(at / "clip", '{"model_type": "clip"}'), r"of the type 'clip', which does not propagate"),
        (lambda at: as_config(at / "sam2", '{"model_type": "sam2"}'), r"Give one of the type 'sam2_video' or 'edgetam"),
    ],
)
def test_what_is_no_video_model_is_refused_before_anything_is_imported(tmp_path, monkeypatch, make, message):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(WeightsError, match=message):
        load_video_model(make(tmp_path))


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "sam2.1_hiera_tiny.pt").write_bytes(b"weights")
    with pytest.raises(WeightsError, match=r"is a file, and a video model is a folder .* Meta's own .pt files"):
        load_video_model(tmp_path / "sam2.1_hiera_tiny.pt")


def test_without_transformers_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(WeightsError, match=r"pip install 'persam\[sam2\]'"):
        load_video_model(as_config(tmp_path / "own", '{"model_type": "sam2_video"}'))


def test_an_older_transformers_is_named(tmp_path, monkeypatch):
    older = ModuleType("transformers")
    older.__version__ = "4.46.0"  # type: ignore[attr-defined]
    older.__spec__ = ModuleSpec("transformers", None)
    monkeypatch.setitem(sys.modules, "transformers", older)
    with pytest.raises(WeightsError, match=r"transformers 4.46.0 has no EdgeTamVideoModel"):
        load_video_model(as_config(tmp_path / "own", '{"model_type": "edgetam_video"}'))


def test_no_such_device(tmp_path):
    with pytest.raises(PerSAMError, match="no device is called 'gpu'"):
        load_video_model(tmp_path, device="gpu")


# ---- real loading, of a model with random weights


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_is_loaded_as_it_was_saved_and_quietly(folders, capfd, kind):
    from transformers.utils import logging

    before, drawn = (logging.get_verbosity(), logging.is_progress_bar_enabled()), torch.get_rng_state()
    model = load_video_model(folders[kind], device="cpu")
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
    assert torch.equal(torch.get_rng_state(), drawn)
    assert type(model.network).__name__ == f"{kind}Model"
    assert (model.name, model.side, model.device) == (str(folders[kind]), SIDE, torch.device("cpu"))
    saved, loaded = network(kind).state_dict(), model.network.state_dict()
    assert saved.keys() == loaded.keys()
    assert all(torch.equal(saved[name], loaded[name]) for name in saved)
    assert not model.network.training
    assert model.fingerprint == load_video_model(str(folders[kind])).fingerprint


@pytest.mark.slow
def test_a_name_is_fetched_and_its_folder_loaded(folders, monkeypatch):
    asked = {}

    def snapshot_download(name, *, allow_patterns):
        asked.update(name=name, patterns=allow_patterns)
        return str(folders["Sam2Video"])

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    model = load_video_model("facebook/sam2.1-hiera-tiny", device="cpu")
    assert asked["name"] == model.name == "facebook/sam2.1-hiera-tiny"
    assert not any(".pt" in pattern or ".bin" in pattern for pattern in asked["patterns"])  # no pickles
    assert model.fingerprint == load_video_model(folders["Sam2Video"]).fingerprint


@pytest.mark.slow
def test_without_a_connection_it_says_how_to_bring_the_model(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match=r"owner/none-such is no folder here, and cannot be fetched .*`hf download"):
        load_video_model("owner/none-such")


@pytest.mark.slow
def test_weights_that_are_cut_short(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match=r"own: these weights cannot be read: Error .*\. Copy the folder again"):
        load_video_model(folder)


@pytest.mark.slow
def test_a_configuration_that_is_damaged(folder):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"image_size": "big"}))
    with pytest.raises(WeightsError, match=r"own: these weights cannot be read: .*'image_size'"):
        load_video_model(folder)


@pytest.mark.slow
def test_weights_that_are_not_there(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"own: these weights cannot be read: .*model.safetensors"):
        load_video_model(folder)


@contextmanager
def stored(folder: Path) -> Iterator[dict[str, torch.Tensor]]:
    """The folder's weights, to be changed and written back."""
    file = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(file)
    yield tensors
    safetensors.torch.save_file(tensors, file, metadata={"format": "pt"})


@pytest.mark.slow
def test_a_tensor_that_is_missing_is_not_drawn_at_random(folder):
    with stored(folder) as tensors:
        del tensors["memory_encoder.projection.weight"]
    with pytest.raises(WeightsError, match=r"1 tensors are missing .*\(memory_encoder.projection.weight\)"):
        load_video_model(folder)


@pytest.mark.slow
def test_a_tensor_of_another_shape(folder):
    with stored(folder) as tensors:
        tensors["memory_encoder.projection.weight"] = torch.zeros(3, 3)
    with pytest.raises(WeightsError, match=r"own: 1 tensors .* of another shape \(memory_encoder.projection.weight\)"):
        load_video_model(folder)


@pytest.mark.slow
def test_weights_with_nan(folder):
    with stored(folder) as tensors:
        tensors["memory_encoder.projection.weight"].fill_(float("nan"))
    with pytest.raises(WeightsError, match=r"own: .*NaN or huge values \(memory_encoder.projection.weight\)"):
        load_video_model(folder)


@pytest.mark.slow
def test_edgetams_own_encoder_needs_timm(folders, tmp_path):
    folder = Path(shutil.copytree(folders["EdgeTamVideo"], tmp_path / "edgetam"))
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"] = {
        "model_type": "edgetam_vision_model",
        "backbone_config": {"model_type": "timm_wrapper", "architecture": "repvit_m1.dist_in1k"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=r"edgetam: this model needs a further package: .*timm"):
        load_video_model(folder)
