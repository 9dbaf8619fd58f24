"""`load`: any name, any file, any device, or a message that says what to do."""

import os
import pickle
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
from persam.sam.load import find_device, load
from persam.sam.vit import from_tensors
from tests.golden.fill import image
from tests.sam.flavours import network, saved, tensors

REPOSITORY = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A small SAM as Meta saves it."""
    return load(saved(tensors(), tmp_path_factory.mktemp("plain") / "small.pth"), device="cpu")


def run_python(script: str, *arguments: str, paths: Sequence[Path] = ()) -> None:
    """The script in a process of its own; what it asserts is asserted here."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [*paths, REPOSITORY]))}
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def same_features(one, other) -> bool:
    photo = image(1, 64, 96)
    return torch.equal(one.encode(photo).features, other.encode(photo).features)


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
def test_a_fine_tuned_sam_loads_as_it_was_saved(content, tmp_path, plain):
    backbone = load(saved(content(), tmp_path / "medsam_vit_b.pth"), device="cpu")
    assert backbone.name == "medsam_vit_b"
    assert backbone.fingerprint == plain.fingerprint
    assert same_features(backbone, plain)


def test_the_file_format_does_not_matter(tmp_path, plain):
    save_file(tensors(), tmp_path / "small.safetensors")
    torch.save(tensors(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("small.safetensors", "old.pth"):
        backbone = load(tmp_path / name, device="cpu")
        assert backbone.fingerprint == plain.fingerprint
        assert same_features(backbone, plain)


def test_half_precision_is_used_as_float32(tmp_path, plain):
    backbone = load(saved({n: t.half() for n, t in tensors().items()}, tmp_path / "half.pth"), device="cpu")
    assert {parameter.dtype for parameter in backbone.model.parameters()} == {torch.float32}
    assert backbone.fingerprint != plain.fingerprint  # its values are rounded


@pytest.mark.parametrize("flavour", ["vit_t", "nano"])
def test_other_kinds_are_told_by_their_tensors(flavour, tmp_path):
    whole = network(flavour)
    backbone = load(str(saved(whole.state_dict(), tmp_path / "any.pt")), device="cpu")
    assert type(backbone.model) is type(whole)
    assert backbone.fingerprint == fingerprint(whole)


def test_a_named_model_is_fetched_and_keeps_its_name(monkeypatch, tmp_path):
    file = saved(tensors(), tmp_path / "sam_vit_b_01ec64.pth")
    monkeypatch.setattr(weights, "fetch", {"vit_b": file}.__getitem__)
    assert load("vit_b", device="cpu").name == "vit_b"


LOAD_NANO = """
import sys, time, torch
from persam.sam.load import load
start = time.process_time()
backbone = load(sys.argv[1], device="cpu")
assert time.process_time() - start < 1
assert backbone.input_size == 640
"""


def test_nano_loads_in_under_a_second_in_a_fresh_process(tmp_path):
    file = tmp_path / "nano.safetensors"
    save_file({name: value.half().contiguous() for name, value in network("nano").state_dict().items()}, file)
    run_python(LOAD_NANO, str(file))


def test_pixels_can_reach_the_encoder_as_medsam_was_trained(tmp_path, plain):
    file = saved(tensors(), tmp_path / "medsam_vit_b.pth")
    backbone = load(file, device="cpu", pixels="unit")
    assert (backbone.model.pixel_mean, backbone.model.pixel_std) == ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0))
    assert backbone.fingerprint != plain.fingerprint  # its features are others


def test_the_fingerprint_sees_any_tensor_of_the_encoder_and_nothing_else():
    whole = network("sam")
    before = fingerprint(whole)
    with torch.no_grad():
        whole.mask_decoder.iou_token.weight += 1
        assert fingerprint(whole) == before
        whole.image_encoder.blocks[2].attn.qkv.weight += 1e-6
    assert fingerprint(whole) != before
    assert len(before) == 16


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
        load(file, device="cpu")
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "cut short, or no weights file"),
        (b"<html>not found</html>", "cut short, or no weights file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "cut short, or no weights file"),
        (b"PK\x03\x04" + bytes(50), "cut short, or no weights file"),
        (b"\x80\x02garbage", "damaged"),
        (b"\xff\x00\x00\x00\x00\x00\x00\x00{", "damaged, cut short"),
    ],
    ids=["empty", "html", "picture", "zip", "pickle", "safetensors"],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_is_no_weights_is_refused(content, complaint, suffix, tmp_path):
    file = tmp_path / f"broken{suffix}"
    file.write_bytes(content)
    with pytest.raises(WeightsError, match=complaint):
        load(file, device="cpu")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_is_cut_short_is_refused(share, suffix, tmp_path, plain):
    whole = tmp_path / f"whole{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(tensors(), whole)
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    with pytest.raises(WeightsError, match=r"cut\.\w+ is .*cut short"):
        load(cut, device="cpu")


class Harmful:
    """What a hostile pickle would do on loading."""

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


@pytest.mark.parametrize(
    "save",
    [torch.save, lambda content, file: file.write_bytes(pickle.dumps(content, protocol=2))],
    ids=["torch", "pickle"],
)
def test_code_in_a_pickle_is_never_executed(save, tmp_path):
    trace = tmp_path / "executed"
    save({"model": Harmful(trace)}, tmp_path / "hostile.pth")
    with pytest.raises(WeightsError, match="never executes"):
        load(tmp_path / "hostile.pth", device="cpu")
    assert not trace.exists()


def test_float32_weights_are_taken_over_without_a_copy():
    given = tensors()
    taken = from_tensors(given)
    assert taken.image_encoder.pos_embed.data_ptr() == given["image_encoder.pos_embed"].data_ptr()


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
        load(name, device="cpu")


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


def test_importing_segment_anything_leaves_no_torchvision_behind(tmp_path):
    """Here a torchvision that fails at import, as one built for another torch does."""
    broken = tmp_path / "torchvision"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    run_python(IMPORT_MODELING, paths=[tmp_path])
