"""Runs start from weights, their own files are whole at any moment, and the mean of several is their mean."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from persam.sam import nano
from training import average, weights


def test_the_start_is_the_encoder_and_the_head_with_fine_maps_at_zero(tmp_path):
    given = nano.build()
    with torch.no_grad():
        for parameter in given.parameters():
            parameter.add_(0.5)
    save_file(given.image_encoder.back.state_dict(), tmp_path / "mobilenetv2_deeplab.safetensors")
    head: dict[str, torch.Tensor] = {}
    for prefix, module in (
        ("neck", given.image_encoder.neck),
        ("pe", given.prompt_encoder),
        ("dec", given.mask_decoder),
    ):
        head |= {f"{prefix}.{name}": value.half() for name, value in module.state_dict().items()}
    head = {name: value for name, value in head.items() if "stride" not in name}
    save_file(head, tmp_path / "spike_head.safetensors")
    model = nano.build()
    weights.load_start(model, tmp_path)
    for name, value in model.state_dict().items():
        if "neck.stride" in name:
            assert not value.any()
        elif "back" in name:
            assert torch.equal(value, given.state_dict()[name])
        elif "identity" in name:  # fitted when the courses are over
            assert torch.equal(value, nano.build().state_dict()[name])
        else:
            assert torch.equal(value, given.state_dict()[name].half().float())


def test_a_run_starts_from_the_weights_of_another(tmp_path):
    given = nano.build()
    with torch.no_grad():
        for parameter in given.parameters():
            parameter.add_(0.5)
    weights.save(given.state_dict(), tmp_path / "nano.safetensors")
    model = nano.build()
    weights.load_start(model, tmp_path / "nano.safetensors")
    for name, value in model.state_dict().items():
        assert torch.equal(value, given.state_dict()[name].half().float())


def test_weights_are_replaced_in_one_go(tmp_path, monkeypatch):
    path = tmp_path / "nano.safetensors"
    path.write_bytes(b"the last good ones")

    def full_disk(tensors, file):
        Path(file).write_bytes(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr(weights, "save_file", full_disk)
    with pytest.raises(OSError, match="no space left"):
        weights.save(nano.build().state_dict(), path)
    assert path.read_bytes() == b"the last good ones"


def test_the_mean_of_two_courses(tmp_path, capsys):
    ones, threes = ({"a": torch.full((2,), value), "b": torch.full((3,), 2 * value)} for value in (1.0, 3.0))
    weights.save(ones, tmp_path / "one.safetensors")
    weights.save(threes, tmp_path / "three.safetensors")
    weights.save({"a": torch.ones(5)}, tmp_path / "other.safetensors")
    files = [str(tmp_path / "one.safetensors"), str(tmp_path / "three.safetensors")]
    average.main([*files, "--out", str(tmp_path / "mean.safetensors")])
    mean = load_file(tmp_path / "mean.safetensors")
    assert (mean["a"].tolist(), mean["b"].tolist()) == ([2, 2], [4, 4, 4])
    assert mean["a"].dtype == torch.float16
    average.main([*files, files[0], files[0], "--out", str(tmp_path / "near.safetensors")])
    assert load_file(tmp_path / "near.safetensors")["a"].tolist() == [1.5, 1.5]
    ones_by_part = dict.fromkeys(["image_encoder.back.w", "image_encoder.neck.w"], torch.ones(1))
    weights.save(ones_by_part, tmp_path / "before.safetensors")
    weights.save({name: 5 * value for name, value in ones_by_part.items()}, tmp_path / "after.safetensors")
    before, after, out = (str(tmp_path / f"{name}.safetensors") for name in ("before", "after", "taken"))
    average.main([before, "--mobilenet", after, "--out", out])
    taken = load_file(out)
    assert {name: value.item() for name, value in taken.items()} == {
        "image_encoder.back.w": 3,
        "image_encoder.neck.w": 1,
    }
    with pytest.raises(SystemExit):
        average.main([files[0], str(tmp_path / "other.safetensors"), "--out", str(tmp_path / "no.safetensors")])
    assert "same model" in capsys.readouterr().err
    assert not (tmp_path / "no.safetensors").exists()
