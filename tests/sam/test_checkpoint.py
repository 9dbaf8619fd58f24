"""A weights file becomes a network that holds exactly that, and nothing in it is ever executed."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from persam.errors import WeightsError
from persam.sam.checkpoint import fingerprint, read, with_weights
from persam.sam.vit import from_tensors
from tests.sam.flavours import network, saved, tensors

# ---- reading


@pytest.mark.parametrize("wrap", [lambda t: t, lambda t: {"model": t}, lambda t: {"model": {"state_dict": t}}])
def test_tensors_are_read_as_they_are_stored(tmp_path, wrap):
    stored = {"a": torch.arange(3), "b": torch.ones(2, dtype=torch.float16)}
    found = read(saved(wrap(stored), tmp_path / "some.pth"))
    assert found.keys() == stored.keys()
    for name, value in stored.items():
        assert torch.equal(found[name], value)
        assert found[name].dtype == value.dtype


@pytest.mark.parametrize("prefix", ["module.", "sam.", "net.sam."])
def test_a_prefix_of_all_parts_is_taken_off(tmp_path, prefix):
    stored = {f"{prefix}{name}": torch.ones(1) for name in ("image_encoder.a", "mask_decoder.b")}
    assert read(saved(stored, tmp_path / "some.pth")).keys() == {"image_encoder.a", "mask_decoder.b"}


@pytest.mark.parametrize("content", [{"epoch": 3}, [1, 2], {}, {"model": {"epoch": 3}}])
def test_a_file_without_tensors_is_no_weights(tmp_path, content):
    with pytest.raises(WeightsError, match="holds no tensors under names"):
        read(saved(content, tmp_path / "some.pth"))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"no weights file at .*none\.pth"):
        read(tmp_path / "none.pth")


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
        read(file)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_is_cut_short_is_refused(share, suffix, tmp_path):
    whole = tmp_path / f"whole{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(tensors(), whole)
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    with pytest.raises(WeightsError, match=r"cut\.\w+ is .*cut short"):
        read(cut)


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
        read(tmp_path / "hostile.pth")
    assert not trace.exists()


# ---- the network


def test_the_network_holds_exactly_the_tensors_as_float32_and_is_not_trained():
    layer = with_weights(lambda: nn.Linear(2, 1), {"weight": torch.tensor([[1.0, 2]]).half(), "bias": torch.ones(1)})
    assert layer(torch.tensor([3.0, 4.0])).item() == 12
    assert layer.weight.dtype == torch.float32
    assert not layer.training
    assert not any(parameter.requires_grad for parameter in layer.parameters())


def test_what_does_not_fit_is_named_and_counted():
    with pytest.raises(
        WeightsError, match=r"do not fit: 1 missing \(bias\); 5 unexpected \(a, b, c, d, \.\.\.\); 1 of "
    ):
        with_weights(lambda: nn.Linear(2, 1), {name: torch.ones(1) for name in ("a", "b", "c", "d", "e", "weight")})


def test_float32_weights_are_taken_over_without_a_copy():
    given = tensors()
    taken = from_tensors(given)
    assert taken.image_encoder.pos_embed.data_ptr() == given["image_encoder.pos_embed"].data_ptr()


# ---- the fingerprint


def test_the_fingerprint_sees_any_tensor_of_the_encoder_and_nothing_else():
    whole: Any = network("sam")
    before = fingerprint(whole)
    with torch.no_grad():
        whole.mask_decoder.iou_token.weight += 1
        assert fingerprint(whole) == before
        whole.image_encoder.blocks[2].attn.qkv.weight += 1e-6
    assert fingerprint(whole) != before
    assert len(before) == 16


def test_the_fingerprint_sees_how_pixels_reach_the_encoder():
    whole: Any = network("sam")
    before = fingerprint(whole)
    whole.pixel_mean = (0.0, 0.0, 0.0)
    assert fingerprint(whole) != before
