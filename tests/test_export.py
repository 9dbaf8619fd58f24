"""`persam export`: the model in its folder answers as it did, and nothing half done stays."""

import json
from pathlib import Path

import numpy as np
import pytest

import persam
from persam.cli.main import main
from persam.errors import OutputError, PerSAMError, WeightsError
from persam.export import export_model
from persam.method.calibration import calibration_of
from persam.model import PerSAM
from persam.sam import onnx_export
from tests.colour import colour_model
from tests.networks import small_backbone

EXAMPLES = Path(__file__).parents[1] / "data" / "examples"
ALBUMS = json.loads((EXAMPLES / "index.json").read_text())["albums"]


@pytest.fixture(scope="module")
def nano_folder(tmp_path_factory):
    """Left by the command itself, in a folder that was there and empty."""
    folder = tmp_path_factory.mktemp("exported")
    assert main(["export", "nano", "-o", str(folder)]) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("album", ALBUMS, ids=lambda album: album["name"])
def test_nano_in_its_folder_finds_and_refuses_what_nano_does(nano, nano_folder, album):
    exported = persam.load(nano_folder)
    targets = [EXAMPLES / target["photo"] for target in album["targets"]]
    assert exported.calibration == nano.calibration
    mine, theirs = (
        list(model.segment(targets, model.learn(EXAMPLES / album["reference"], EXAMPLES / album["mask"])))
        for model in (nano, exported)
    )
    for one, other in zip(mine, theirs, strict=True):
        [expected], [found] = one.segmentations, other.segmentations  # those that are not present too
        assert found.present == expected.present
        assert found.presence == pytest.approx(expected.presence, abs=0.005)
        both, either = (found.mask & expected.mask).sum(), (found.mask | expected.mask).sum()
        assert both == either == 0 or both / either > 0.999


@pytest.mark.slow
def test_it_counts_instances_at_twice_the_input_as_nano_does(nano, nano_folder):
    models = (nano, persam.load(nano_folder))
    masks = []
    for model in models:
        coin = model.learn(EXAMPLES / "photos/coin.jpg", EXAMPLES / "masks/coin.png")
        [image] = model.segment(EXAMPLES / "photos/coins.jpg", coin, max_instances=4)
        masks.append(np.stack([one.mask for one in image]))
    assert masks[0].shape == masks[1].shape
    assert (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum() > 0.999


@pytest.mark.slow
def test_the_shell_takes_the_folder_and_a_concept_goes_with_either(nano, nano_folder, tmp_path, capsys):
    concept = nano.learn(EXAMPLES / "photos/chelsea.jpg", EXAMPLES / "masks/cat.png", name="cat")
    file = concept.save(tmp_path / "cat.safetensors")
    words = ["--concept", str(file), str(EXAMPLES / "photos/garden.jpg"), "-o", str(tmp_path / "found")]
    assert main(["segment", *words, "--model", str(nano_folder)]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line)["objects"][0]["present"]
    manifest = json.loads((tmp_path / "found" / "manifest.json").read_text())
    assert "onnx" in json.dumps(manifest)


def test_a_folder_that_holds_something_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["export", "nano", "-o", str(tmp_path)]) == 2
    assert "is not empty: it holds mine.txt" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(OutputError, match="is not empty"):
        export_model(colour_model(), tmp_path)


def test_an_export_that_disagrees_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "TOLERANCE", 0.0)
    with pytest.raises(WeightsError, match="Nothing was kept"):
        export_model(PerSAM(small_backbone()), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_only_a_pytorch_model_is_exported(tmp_path):
    with pytest.raises(PerSAMError, match="colour is no PyTorch model"):
        export_model(colour_model(), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_the_calibration_travels(tmp_path):
    model = PerSAM(small_backbone())
    model.calibration = type(model.calibration)(model.backbone.fingerprint, slope=7.0, temperature=3.0)
    difference = export_model(model, tmp_path / "out")
    assert 0 <= max(difference) < onnx_export.TOLERANCE
    assert persam.load(tmp_path / "out").calibration == model.calibration
    assert calibration_of("small", model.backbone.fingerprint) != model.calibration
