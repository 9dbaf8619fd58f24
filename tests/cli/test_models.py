"""What is said of the model on the command line reaches it, and what is wrong with it is said in a line."""

import pytest

from persam.method.calibration import Calibration, Presence
from tests.cli.typed import records
from tests.colour import CALIBRATION, ColourBackbone, colour_model, mask, photo


@pytest.fixture
def asked(monkeypatch) -> list[dict]:
    """What models were asked for; each is the colour stand-in."""
    asked: list[dict] = []
    monkeypatch.setattr(
        "persam.api.load_backbone", lambda model, **how: asked.append({"model": model} | how) or ColourBackbone()
    )
    return asked


@pytest.mark.usefixtures("here")
def test_a_concept_is_searched_with_the_model_it_was_learned_with(persam, asked):
    persam("learn ref.png mask.png -o rex.safetensors")
    persam("segment --concept rex.safetensors album -o found")
    persam("segment --concept rex.safetensors album -o again --model vit_b --device cpu")
    assert [(one["model"], one["device"]) for one in asked] == [("nano", "auto"), ("colour", "auto"), ("vit_b", "cpu")]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("line", ["segment --concept rex.safetensors album", "track album --concept rex.safetensors"])
def test_a_concept_of_a_checkpoint_asks_for_its_file(persam, line):
    colour_model().learn(photo(), mask(), name="rex").save("rex.safetensors")
    asks = "the concept 'rex' was learned with the checkpoint 'colour' (weights colours-1), which is none of the named"
    error = persam.refused(f"{line} -o found")
    assert asks in error
    assert error.endswith("Give its file with --model.\n")
    assert "no weights file at none.pth" in persam.refused(f"{line} -o found --model none.pth")


@pytest.mark.usefixtures("here")
def test_a_checkpoints_base_and_pixels_reach_the_model(persam, asked):
    persam("segment ref.png mask.png album -o found --model lora.pth --base vit_b --pixels unit")
    persam("learn ref.png mask.png -o x.safetensors --model medsam.pth --pixels sam")
    assert [(one["model"], one["base"], one["pixels"]) for one in asked] == [
        ("lora.pth", "vit_b", "unit"),
        ("medsam.pth", None, "sam"),
    ]


@pytest.mark.usefixtures("here", "colours")
@pytest.mark.parametrize(("kind", "tuned"), [("cpu", [True]), ("cuda", [])])
def test_the_allocator_is_tuned_for_a_model_on_the_cpu_alone(persam, monkeypatch, malloc_tuned, kind, tuned):
    import torch

    monkeypatch.setattr("persam.sam.load.find_device", lambda name: torch.device(kind))
    assert persam("segment ref.png mask.png album -o found")[0] == 0
    assert malloc_tuned == tuned


@pytest.mark.usefixtures("here", "colours")
def test_a_calibration_of_ones_own_judges_presence(persam):
    strict = Calibration(CALIBRATION.fingerprint, presence=Presence(threshold=1 - 1e-9, spread=1e9))  # never sure
    strict.save("strict.json")
    _, out, _ = persam("segment ref.png mask.png album/left.png -o found --calibration strict.json")
    assert records(out)[0]["objects"][0]["presence"] == 0.5
    Calibration("other").save("other.json")
    line = "segment ref.png mask.png album -o again --calibration"
    error = persam.refused(f"{line} other.json")
    assert "the calibration is of weights other, and colour has colours-1. Fit one with" in error
    assert "there is no calibration file none.json. Make one with" in persam.refused(f"{line} none.json")
    assert "ref.png is not a calibration file" in persam.refused(f"{line} ref.png")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("command", ["segment ref.png mask.png album -o found", "learn ref.png mask.png -o x.st"])
def test_a_model_without_a_calibration_is_warned_of_in_one_line(persam, monkeypatch, command):
    monkeypatch.setattr("persam.api.load_backbone", lambda model, **_: ColourBackbone("uncalibrated"))
    monkeypatch.setattr("persam.method.calibration._TOLD", set())
    code, out, err = persam(command)
    assert code == 0
    warning, *_ = err.splitlines()
    assert warning.startswith("persam: warning: presence is not calibrated for the model 'colour': every photo gets")
    assert warning.endswith("`persam eval calibrate --model colour --data DIR` calibrates it.")
    if command.startswith("segment"):
        assert [record["objects"][0]["presence"] for record in records(out)] == [None, None]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--model vit_x", "no model is called 'vit_x'. Did you mean 'vit_t'? Known: nano, vit_t, vit_b, vit_l, vit_h"),
        ("--model weights/none.pth", "none.pth"),
        ("--model mask.png", "mask.png"),
        ("--device gpu", "no device is called 'gpu'. Give auto"),
    ],
)
def test_a_model_or_device_that_is_not_there(persam, options, says):
    assert says in persam.refused(f"segment ref.png mask.png album -o found {options}")


@pytest.mark.usefixtures("here")
def test_weights_that_are_not_here_without_a_network(persam, monkeypatch, tmp_path):
    import requests

    def offline(*arguments, **options):
        raise requests.ConnectionError

    monkeypatch.setenv("PERSAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(requests, "get", offline)
    for line in ("segment ref.png mask.png album -o found --model vit_b", "weights fetch vit_b"):
        error = persam.refused(line)
        assert "cannot download the weights of vit_b: no connection to the server" in error
        assert f"put it at {tmp_path / 'cache' / 'sam_vit_b_01ec64.pth'}" in error
    assert "`persam weights fetch vit_b` downloads it" in persam.refused("weights verify vit_b")
