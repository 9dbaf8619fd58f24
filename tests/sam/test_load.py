"""`load_backbone`: any name, any file, any device, or a message that says what to do."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from persam.errors import PerSAMError, WeightsError
from persam.sam import weights
from persam.sam.checkpoint import fingerprint
from persam.sam.load import find_device, load_backbone
from tests.golden.fill import image
from tests.sam.flavours import network, saved, tensors

REPOSITORY = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A small SAM as Meta saves it."""
    return load_backbone(saved(tensors(), tmp_path_factory.mktemp("plain") / "small.pth"), device="cpu")


def run_python(script: str, *arguments: str, paths: Sequence[Path] = ()) -> None:
    """The script in a process of its own; what it asserts is asserted here."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [*paths, REPOSITORY]))}
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def same_features(one, other) -> bool:
    photos = [image(1, 64, 96)]
    return torch.equal(one.encode(photos).features, other.encode(photos).features)


@pytest.mark.parametrize(
    "content",
    [
        lambda: tensors(),
        lambda: {"model": tensors(), "epoch": 3, "optimizer": {"state": {}, "param_groups": []}},
        lambda: {"state_dict": tensors()},
        lambda: {f"module.{name}": value for name, value in tensors().items()},
        lambda: {"model": {f"module.{name}": value for name, value in tensors().items()}, "loss": 0.1},
        lambda: {f"sam.{name}": value for name, value in tensors().items()},
        lambda: tensors() | {"pixel_mean": torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)},
    ],
    ids=["plain", "model", "state_dict", "module.", "model and module.", "sam.", "pixel_mean"],
)
@pytest.mark.slow
def test_a_fine_tuned_sam_loads_as_it_was_saved(content, tmp_path, plain):
    backbone = load_backbone(saved(content(), tmp_path / "medsam_vit_b.pth"), device="cpu")
    assert backbone.name == "medsam_vit_b"
    assert backbone.fingerprint == plain.fingerprint
    assert same_features(backbone, plain)


def test_the_file_format_does_not_matter(tmp_path, plain):
    save_file(tensors(), tmp_path / "small.safetensors")
    torch.save(tensors(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("small.safetensors", "old.pth"):
        backbone = load_backbone(tmp_path / name, device="cpu")
        assert backbone.fingerprint == plain.fingerprint
        assert same_features(backbone, plain)


def test_half_precision_is_used_as_float32(tmp_path, plain):
    backbone = load_backbone(saved({n: t.half() for n, t in tensors().items()}, tmp_path / "half.pth"), device="cpu")
    assert {parameter.dtype for parameter in backbone.model.parameters()} == {torch.float32}
    assert backbone.fingerprint != plain.fingerprint  # its values are rounded


@pytest.mark.parametrize("flavour", ["vit_t", "sam_adapter", "med_sa", "nano"])
def test_other_kinds_are_told_by_their_tensors(flavour, tmp_path):
    whole = network(flavour)
    backbone = load_backbone(str(saved(whole.state_dict(), tmp_path / "any.pt")), device="cpu")
    assert type(backbone.model) is type(whole)
    assert backbone.fingerprint == fingerprint(whole)


def test_a_named_model_is_fetched_and_keeps_its_name(monkeypatch, tmp_path):
    file = saved(tensors(), tmp_path / "sam_vit_b_01ec64.pth")
    monkeypatch.setattr(weights, "fetch", {"vit_b": file}.__getitem__)
    assert load_backbone("vit_b", device="cpu").name == "vit_b"


LOAD_NANO = """
import sys, time, torch
from persam.sam.load import load_backbone
start = time.process_time()
backbone = load_backbone(sys.argv[1], device="cpu")
assert time.process_time() - start < 1
assert backbone.input_size == 640
"""


@pytest.mark.slow
def test_nano_loads_in_under_a_second_in_a_fresh_process(tmp_path):
    file = tmp_path / "nano.safetensors"
    save_file({name: value.half().contiguous() for name, value in network("nano").state_dict().items()}, file)
    run_python(LOAD_NANO, str(file))


def test_loading_draws_none_of_the_callers_random_numbers():
    before = torch.get_rng_state()
    load_backbone("nano", device="cpu")
    assert torch.equal(torch.get_rng_state(), before)


def test_pixels_can_reach_the_encoder_as_medsam_was_trained(tmp_path, plain):
    file = saved(tensors(), tmp_path / "medsam_vit_b.pth")
    backbone = load_backbone(file, device="cpu", pixels="unit")
    assert (backbone.model.pixel_mean, backbone.model.pixel_std) == ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0))
    assert backbone.fingerprint != plain.fingerprint  # its features are others


def without(name: str) -> dict[str, torch.Tensor]:
    return {key: value for key, value in tensors().items() if key != name}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (lambda: without("mask_decoder.iou_token.weight"), r"1 missing \(mask_decoder\.iou_token\.weight\)"),
        (lambda: tensors() | {"adapter.down": torch.zeros(2)}, r"1 unexpected \(adapter\.down\)"),
        (
            lambda: tensors() | {"mask_decoder.mask_tokens.weight": torch.zeros(9, 256)},
            r"1 of another shape \(mask_decoder\.mask_tokens\.weight 9x256 instead of 4x256\)",
        ),
        (
            lambda: tensors() | {"image_encoder.layers.0.blocks.0.conv1.c.weight": torch.zeros(1)},
            r"1 unexpected \(image_encoder\.layers\.0",
        ),
        (
            lambda: {k: v for k, v in tensors().items() if k.startswith("image_encoder")},
            r"missing \(mask_decoder\..*, \.\.\.\). Give the whole state dict",
        ),
        (lambda: {"conv.weight": torch.zeros(1)}, r"an unknown kind of model \(1 tensors: conv\.weight"),
        (lambda: {"vision_encoder.pos_embed": torch.zeros(1)}, "transformers library's layout"),
        (lambda: {"image_encoder.trunk.pos_embed": torch.zeros(1)}, "a SAM 2"),
        (lambda: {"epoch": 3}, "holds no tensors"),
        (lambda: [1, 2], "holds no tensors"),
    ],
    ids=[
        "missing",
        "unexpected",
        "shape",
        "mixed",
        "encoder alone",
        "unknown",
        "transformers",
        "SAM 2",
        "none",
        "list",
    ],
)
def test_a_file_that_is_no_sam_says_why(content, complaint, tmp_path):
    file = saved(content(), tmp_path / "wrong.pth")
    with pytest.raises(WeightsError, match=complaint) as caught:
        load_backbone(file, device="cpu")
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("vit_bb", "no model is called 'vit_bb'. Did you mean 'vit_b'"),
        ("missing/vit_b.pth", "no weights file at missing/vit_b.pth"),
        ("medsam.pth", "no weights file at medsam.pth"),
        (Path("vit_q"), "no weights file at vit_q"),
    ],
)
def test_what_is_not_there_is_named(name, complaint):
    with pytest.raises(WeightsError, match=complaint):
        load_backbone(name, device="cpu")


def test_auto_finds_a_device():
    assert find_device("auto").type in {"cpu", "cuda", "mps"}
    assert find_device(torch.device("cpu")) == torch.device("cpu")


def test_a_device_that_is_not_there_says_what_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(PerSAMError, match=r"no cuda device here \(PyTorch .*\)\. Give auto or .*cpu"):
        find_device("cuda")
    with pytest.raises(PerSAMError, match="no device is called 'gpu'"):
        find_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert find_device("cuda:0").index == 0
    with pytest.raises(PerSAMError, match="no cuda:3 here: 1 CUDA device"):
        find_device("cuda:3")


IMPORT_MODELING = """
import sys
from persam.sam._segment_anything import import_modeling
import_modeling()
assert "segment_anything" in sys.modules
assert not [name for name in sys.modules if name.startswith("torchvision")]
"""


@pytest.mark.slow
def test_importing_segment_anything_leaves_no_torchvision_behind(tmp_path):
    """Here a torchvision that fails at import, as one built for another torch does."""
    broken = tmp_path / "torchvision"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    run_python(IMPORT_MODELING, paths=[tmp_path])


def test_an_address_is_refused_as_it_was_given():
    with pytest.raises(WeightsError, match=r"^https://example.org/sam.pth is an address, not a path"):
        load_backbone("https://example.org/sam.pth")
