"""The demos and the command line as they stand, with the bundled model."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demos import method_pictures

ROOT = Path(__file__).parent.parent
EXAMPLE_TRUTH = ROOT / "data" / "examples" / "truth" / "garden_cat.png"


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def iou_with_truth(mask_file: Path) -> float:
    with Image.open(mask_file) as found, Image.open(EXAMPLE_TRUTH) as known:
        mask, truth = np.array(found) > 0, np.array(known) > 0
    return (mask & truth).sum() / (mask | truth).sum()


@pytest.mark.slow
def test_quickstart_finds_the_cat_in_both_pictures(tmp_path):
    done = run([str(ROOT / "demos" / "quickstart.py"), "out"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "ImageResult('garden'",
        "ImageResult('gallery'",
    ]
    assert iou_with_truth(tmp_path / "out" / "garden.png") > 0.8
    for name in ("garden.png", "garden_overlay.jpg", "gallery.png", "gallery_overlay.jpg"):
        assert (tmp_path / "out" / name).stat().st_size > 100


@pytest.mark.slow
def test_the_command_line_finds_it_and_goes_on_after_a_photo_that_is_not_there(tmp_path):
    examples = ROOT / "data" / "examples"
    words = [f"{examples}/photos/chelsea.jpg", f"{examples}/masks/cat.png", "none.jpg", f"{examples}/photos/garden.jpg"]
    done = run(["-m", "persam.cli.main", "segment", *words, "-o", "found"], tmp_path)
    assert done.returncode == 2
    none, garden = (json.loads(line) for line in done.stdout.splitlines())
    assert none["error"].startswith("cannot read the image none.jpg")
    (cat,) = garden["objects"]
    assert cat["present"]
    assert iou_with_truth(tmp_path / cat["mask"]) > 0.8
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 2


@pytest.mark.slow
def test_the_pictures_of_the_method_are_what_their_program_draws(tmp_path, nano, capsys):
    method_pictures.main(tmp_path / "made", nano)
    lines = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert "verified: presence 1.00" in lines["refinement"]  # as its page says: it is the cat,
    score = [float(number) for number in re.findall(r"score (0\.\d+)", lines["cascade"])]
    assert len(score) == 3
    assert score[2] > score[0]  # and the score does not tell that the last mask of the cascade is the worst
    page = (ROOT / "docs" / "method-pictures.md").read_text(encoding="utf-8")
    for name in lines:
        made, shown = tmp_path / "made" / f"{name}.jpg", ROOT / "docs" / "method-pictures" / f"{name}.jpg"
        assert f"](method-pictures/{name}.jpg)" in page
        with Image.open(made) as one, Image.open(shown) as other:
            assert one.size == other.size
            difference = np.abs(np.array(one, np.int16) - np.array(other, np.int16))
        assert difference.mean() < 4, name  # letters may be of another font


@pytest.mark.slow
def test_the_dreambooth_demo_goes_from_an_album_to_a_lora_that_loads(tmp_path, monkeypatch, capsys):
    from diffusers import StableDiffusionPipeline

    from demos import train_dreambooth
    from tests.colour import colour_model, mask, photo
    from tests.dreambooth.train import tiny

    monkeypatch.chdir(tmp_path)
    Path("album").mkdir()
    Image.fromarray(photo()).save("ref.png")
    Image.fromarray(mask()).save("mask.png")
    for number in range(3):
        Image.fromarray(photo(at_xyxy=(20 + number, 5, 45 + number, 30))).save(f"album/{number}.png")
    with tiny.on_the_cpu(monkeypatch):
        tiny.sd15(tmp_path / "model")
        train_dreambooth.main(
            "model",
            "ref.png",
            "mask.png",
            "album",
            Path("out"),
            colour_model(),
            resolution=64,
            max_train_steps=2,
            num_validation_images=1,
        )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("masking on: 3 of 3 photos, mean area ")
    assert [line.split(":")[0] for line in lines[1:]] == [
        "step 1",
        "step 2",
        "trained 2 steps; weights are in out/pytorch_lora_weights.safetensors",
    ]
    assert Path("out/pictures/step-000002-0.png").stat().st_size > 100
    StableDiffusionPipeline.from_pretrained("model", safety_checker=None).load_lora_weights("out")
