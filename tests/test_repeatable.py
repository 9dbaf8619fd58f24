"""The same input gives the same bytes on one machine, each time in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "data" / "examples"


def persam(*words: str | Path, folder: Path) -> None:
    command = [sys.executable, "-m", "persam.cli.main", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.slow
def test_segment_writes_the_same_bytes_twice(tmp_path: Path):
    words = ["segment", EXAMPLES / "photos" / "chelsea.jpg", EXAMPLES / "masks" / "cat.png"]
    runs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        persam(*words, EXAMPLES / "photos" / "garden.jpg", "-o", "found", folder=tmp_path / name)
        runs.append(contents(tmp_path / name / "found"))
    assert set(runs[0]) >= {"results.jsonl", "masks/garden.png", "overlays/garden.jpg"}
    assert differing(*runs) <= {"manifest.json"}  # it says when


@pytest.mark.slow
def test_track_writes_the_same_bytes_twice(tmp_path: Path):
    with (
        Image.open(EXAMPLES / "photos" / "picnic.jpg") as picture,
        Image.open(EXAMPLES / "truth" / "picnic_cat.png") as cat,
    ):
        rgb, mask = np.array(picture.convert("RGB")), np.array(cat)
    runs = []
    for name in ("one", "two"):
        (tmp_path / name / "walk").mkdir(parents=True)
        for number in range(2):
            Image.fromarray(rgb[:, 20 * number : 400 + 20 * number]).save(tmp_path / name / "walk" / f"{number}.png")
        Image.fromarray(mask[:, :400]).save(tmp_path / name / "mask.png")
        persam("track", "walk", "mask.png", "-o", "tracked", folder=tmp_path / name)
        runs.append(contents(tmp_path / name / "tracked"))
    assert set(runs[0]) >= {"results.jsonl", "masks/0.png", "masks/1.png", "overlay.mp4"}
    assert differing(*runs) <= {"manifest.json"}


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> set[str]:
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
