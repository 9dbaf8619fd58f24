"""What the commands are typed into: a folder of photos, a stand-in for every model, and no change to the process."""

from pathlib import Path

import pytest
from PIL import Image

from tests.cli.typed import Shell
from tests.colour import BLUE, RED, ColourBackbone, colour_model, mask, photo


@pytest.fixture
def persam(capsys) -> Shell:
    return Shell(capsys)


@pytest.fixture(autouse=True)
def malloc_tuned(monkeypatch) -> list[bool]:
    """One entry each time that a command tunes the allocator, which would last for all tests."""
    tuned: list[bool] = []
    monkeypatch.setattr("persam.sam.malloc.keep_large_blocks", lambda: tuned.append(True))
    return tuned


@pytest.fixture
def colours(monkeypatch, quick_fit) -> ColourBackbone:
    """Every model is the colour stand-in, and needs no weights."""
    backbone = ColourBackbone()
    monkeypatch.setattr("persam.api.load_backbone", lambda model, **_: backbone)
    return backbone


@pytest.fixture
def no_model(monkeypatch) -> None:
    """Loading a model is a failure."""
    monkeypatch.setattr("persam.api.load_backbone", lambda *_, **__: pytest.fail("a model was loaded"))


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder with a reference, its mask, and an album of two photos; the shell stands in it."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo()).save("ref.png")
    Image.fromarray(mask()).save("mask.png")
    (tmp_path / "album").mkdir()
    Image.fromarray(photo(at_xyxy=(40, 5, 55, 30))).save("album/left.png")
    Image.fromarray(photo(at_xyxy=(4, 8, 15, 16))).save("album/right.png")
    return tmp_path


@pytest.fixture
def crowd(here) -> Path:
    """The album with a third photo: two red squares and a blue one."""
    scene = photo(at_xyxy=(4, 4, 23, 23))
    scene[40:52, 20:32] = RED
    scene[6:20, 40:54] = BLUE
    Image.fromarray(scene).save("album/crowd.png")
    return here


@pytest.fixture
def two(crowd) -> None:
    """Concept files of a red and of a blue thing."""
    model = colour_model()
    model.learn(photo(), mask(), name="red").save("red.safetensors")
    model.learn(photo(colour=BLUE), mask(), name="my blue_one").save("blue.safetensors")
