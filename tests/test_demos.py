"""The demos and the command line as they stand, with the bundled model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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
