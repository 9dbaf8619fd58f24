"""An exported model: its folder, what is checked before it appears, and what is said of one that is not whole."""

import json
import pickle
import shutil

import pytest
import torch

from persam.errors import PerSAMError, WeightsError
from persam.sam import onnx_export
from persam.sam.backbone import SamBackbone
from persam.sam.load import load_backbone
from persam.sam.onnx_export import compare, export_backbone
from persam.types import Prompt
from tests.golden.fill import image
from tests.sam.exports import exported
from tests.sam.flavours import network


@pytest.fixture
def small(tmp_path_factory):
    return exported("nano", tmp_path_factory)


@pytest.fixture
def copied(small, tmp_path):
    """A folder of one's own, to damage."""
    return shutil.copytree(small.folder, tmp_path / "copy")


def test_it_is_the_same_model_by_name_and_fingerprint_and_takes_pixels_alike(small):
    model = network("nano")
    loaded = load_backbone(small.folder)
    assert (loaded.name, loaded.fingerprint, loaded.device.type) == ("nano", "0", "cpu")
    assert (loaded.input_size, loaded.stride, loaded.any_size, loaded.batch_size) == (256, 16, True, 16)
    assert [tuple(one) for one in loaded.normalisation] == [model.pixel_mean, model.pixel_std]


def test_a_run_with_it_is_told_from_one_with_pytorch(small):
    original = SamBackbone(network("nano"), name="nano", fingerprint="0")
    assert small.weights == f"onnx {original.weights}"


def test_weights_that_differ_are_seen_by_the_comparison(small):
    """What `compare` measures, by a network whose decoder, and then whose encoder, is another one."""
    other = SamBackbone(network("nano"), name="nano", fingerprint="0")
    assert max(compare(other, small)) < 1e-4
    other.model.mask_decoder.mask_tokens.weight.add_(0.1)
    assert compare(other, small).encoder < 1e-4
    assert compare(other, small).decoder > 1e-3
    other.model.image_encoder.identity.weight.mul_(1.1)
    assert compare(other, small).encoder > 1e-3


def test_an_export_that_disagrees_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "TOLERANCE", 0.0)
    backbone = SamBackbone(network("sam"), name="sam", fingerprint="0")
    with pytest.raises(WeightsError, match=r"the export of sam differs from the model: by \d.*Nothing was kept"):
        export_backbone(backbone, tmp_path)


def test_it_is_pickled_as_its_folder(small):
    other = small.at_input(128)
    again = pickle.loads(pickle.dumps(other))
    photo, prompt = image(1, 90, 160), Prompt(torch.tensor([[[80.0, 45.0]]]), torch.ones(1, 1))
    assert len(pickle.dumps(other)) < 1000
    assert again.input_size == 128
    one, two = (it.decode(it.encode([photo]), prompt) for it in (other, again))
    assert torch.equal(one.logits, two.logits)


def test_it_runs_on_the_cpu_with_what_its_export_settled(small):
    with pytest.raises(PerSAMError, match="is an exported model, which runs on the CPU"):
        load_backbone(small.folder, device="meta")
    with pytest.raises(WeightsError, match="was settled by its export"):
        load_backbone(small.folder, pixels="unit")


def test_a_folder_that_is_no_export_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"is a folder without persam\.json: it is no exported model"):
        load_backbone(tmp_path)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"format": "persam-onnx-9"}, "is not of the format persam-onnx-1"),
        ({"input_size": "256"}, "has no valid input_size"),
        ({"pixel_std": [1.0]}, "impossible normalisation or size"),
        ({"stride": 0}, "impossible normalisation or size"),
        ({"maps": None}, "has no valid maps"),
    ],
)
def test_settings_that_make_no_sense_are_named(copied, change, complaint):
    path = copied / "persam.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(WeightsError, match=complaint):
        load_backbone(copied)


def test_a_folder_that_is_not_whole_is_an_error(copied):
    whole = (copied / "decoder.onnx").read_bytes()
    (copied / "decoder.onnx").write_bytes(whole[:-9])
    with pytest.raises(WeightsError, match=rf"decoder.onnx has {len(whole) - 9} bytes instead of {len(whole)}"):
        load_backbone(copied)
    (copied / "decoder.onnx").write_bytes(bytes(len(whole)))
    with pytest.raises(WeightsError, match=r"decoder\.onnx cannot be opened"):
        load_backbone(copied)
    (copied / "decoder.onnx").unlink()
    with pytest.raises(WeightsError, match=r"decoder\.onnx is missing"):
        load_backbone(copied)
    (copied / "persam.json").write_text("{")
    with pytest.raises(WeightsError, match=r"persam\.json cannot be read"):
        load_backbone(copied)
