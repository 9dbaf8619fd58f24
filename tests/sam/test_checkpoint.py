"""A weights file becomes a network that holds exactly that, and nothing in it is ever executed."""

import argparse
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from persam.errors import WeightsError
from persam.sam.checkpoint import fingerprint, read, whole_fingerprint, with_weights
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


@pytest.mark.parametrize(
    "key", ["model", "state_dict", "model_state_dict", "net", "network", "params", "params_ema", "weights", "my_sam"]
)
def test_a_state_dict_is_found_under_the_key_that_a_script_gave_it(tmp_path, key):
    stored = {"image_encoder.a": torch.arange(3)}
    content = {"epoch": 3, "step": torch.tensor(7), "optimizer": {"state": {}, "lr": 0.1}, key: stored}
    assert read(saved(content, tmp_path / "some.pth")).keys() == stored.keys()


def test_numbers_beside_the_tensors_do_no_harm(tmp_path):
    content = {
        "model": {"image_encoder.a": torch.arange(3)},
        "best": np.float64(0.3),
        "step": np.int64(9),
        "half": np.float16(1),
        "done": np.bool_(True),
        "losses": np.zeros((2, 3), np.float32),
        "loss": torch.tensor(0.5),
        "options": argparse.Namespace(lr=0.1),
    }
    assert torch.equal(read(saved(content, tmp_path / "some.pth"))["image_encoder.a"], torch.arange(3))
    torch.save(content, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert read(tmp_path / "old.pth").keys() == {"image_encoder.a"}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"epoch": 3, "name": "sam"}, r"a dict of epoch \(int\), name \(str\)"),
        ([1, 2], "a list"),
        ({}, "an empty dict"),
        ({"model": {"epoch": 3}, "lr": 0.5}, r"a dict of model \(dict\), lr \(float\)"),
        (dict.fromkeys("abcde", 1), r"a dict of a \(int\), b \(int\), c \(int\), d \(int\), \.\.\."),
        ({"one": {"a.b": torch.ones(1)}, "two": {"a.b": torch.ones(1)}}, r"a dict of one \(dict\), two \(dict\)"),
    ],
)
def test_a_file_without_tensors_says_what_it_holds_and_what_it_should(tmp_path, content, found):
    expected = rf"holds no tensors under names: {found}\. It should hold the state dict of a model .* state_dict, "
    with pytest.raises(WeightsError, match=expected):
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


def test_the_class_in_a_pickle_that_is_refused_is_named(tmp_path):
    torch.save({"model": nn.Linear(1, 1)}, tmp_path / "whole.pth")
    with pytest.raises(WeightsError, match=r"more than tensors \(torch\.nn\.modules\.linear\.Linear\); persam never"):
        read(tmp_path / "whole.pth")


# ---- damage


def overwrite(file: Path, data: bytes) -> Path:
    """Replaces as many bytes in the middle."""
    with file.open("r+b") as stream:
        stream.seek(file.stat().st_size // 2)
        stream.write(data)
    return file


NOISE = np.random.default_rng(0).bytes(1000)


@pytest.mark.parametrize("data", [bytes(1000), b"\xff" * 1000, NOISE], ids=["zeros", "ones", "noise"])
def test_a_kilobyte_that_was_overwritten_is_noticed(tmp_path, data):
    file = saved(tensors(), tmp_path / "small.pth")
    read(file)
    overwrite(file, data)
    with pytest.raises(WeightsError, match=r"small\.pth is damaged, .*Bad CRC-32 .*Download or copy it again"):
        read(file)
    read(file, is_checked=True)  # the sum of the whole file is enough


@pytest.mark.parametrize("data", [b"\xff" * 1000, NOISE], ids=["ones", "noise"])
@pytest.mark.parametrize("kind", ["safetensors", "old"])
def test_damage_is_noticed_without_a_checksum_by_values_that_are_none(tmp_path, kind, data):
    file = tmp_path / f"small.{kind}"
    if kind == "safetensors":
        save_file(tensors(), file)
    else:
        torch.save(tensors(), file, _use_new_zipfile_serialization=False)
    damaged = read(overwrite(file, data))
    # which tensor lies there is another one in each file of the old kind
    with pytest.raises(WeightsError, match=r"are damaged, .*: \d+ with NaN or huge values \(\w+_(en|de)coder\."):
        from_tensors(damaged)


def test_a_file_that_was_saved_without_checksums_is_read(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        file = saved({"a": torch.ones(2)}, tmp_path / "some.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    assert read(file).keys() == {"a"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -2e9])
def test_what_is_no_weight_is_named(value):
    given = {"weight": torch.tensor([[1.0, value]]), "bias": torch.ones(1)}
    with pytest.raises(WeightsError, match=r"are damaged, .*: 1 with NaN or huge values \(weight\)\. Copy the file"):
        with_weights(lambda: nn.Linear(2, 1), given)


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


def test_the_whole_fingerprint_sees_the_decoder_too():
    whole: Any = network("sam")
    before = whole_fingerprint(whole)
    with torch.no_grad():
        whole.mask_decoder.iou_token.weight += 1
    assert whole_fingerprint(whole) != before
    assert fingerprint(whole) not in (before, whole_fingerprint(whole))
