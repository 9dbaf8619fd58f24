"""Tiny models with their real classes, photos of a rectangle, and runs of a few steps on the CPU."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from persam.dreambooth.train.options import TrainOptions
from tests.dreambooth.folders import write_pair
from tests.dreambooth.train import tiny

PROMPT = "a photo of sks dog"


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of a tiny SD 1.5, SDXL and SD 3, made once."""
    folder = tmp_path_factory.mktemp("models")
    return {name: build(folder / name) for name, build in tiny.BUILD.items()}


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos of a rectangle of 30 x 30 pixels in 64 x 80."""
    folder = tmp_path_factory.mktemp("prepared")
    for number in range(3):
        write_pair(folder, f"rex{number}", at_xyxy=(10 + number, 20, 39 + number, 49), hw=(64, 80))
    return folder


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with tiny.on_the_cpu(monkeypatch):
        yield


@pytest.fixture
def options(models: dict[str, Path], photos: Path, tmp_path: Path):
    """Makes the options of a short run: `options("sd15", max_train_steps=4)`."""

    def make(model: str, **more: Any) -> TrainOptions:
        given = {
            "pretrained_model_name_or_path": str(models[model]),
            "instance_data_dir": photos,
            "instance_prompt": PROMPT,
            "output_dir": tmp_path / "out",
            "resolution": 64,
            "learning_rate": 1e-2,
            "max_train_steps": 2,
        }
        return TrainOptions(**(given | more))

    return make
