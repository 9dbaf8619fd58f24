"""A session over the colour stand-in, and files as a browser would have uploaded them."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.studio.limits import Limits
from persam.studio.session import Session
from tests.colour import BLUE, RED, colour_model, photo

SQUARE = (10, 20, 29, 39)  # where tests.colour draws its object


@pytest.fixture
def model():
    return colour_model()


@pytest.fixture
def upload(tmp_path) -> Callable[..., Path]:
    """The path of a photo's file."""
    folder = tmp_path / "uploads"
    folder.mkdir()

    def write(name: str, rgb: np.ndarray) -> Path:
        Image.fromarray(rgb).save(folder / name)
        return folder / name

    return write


@pytest.fixture
def session(model, tmp_path) -> Iterator[Session]:
    home = tmp_path / "home"
    home.mkdir()
    one = Session(model, home, Limits())
    yield one
    one.close()


@pytest.fixture
def taught(session, upload) -> Session:
    """A session with the concept of a red thing."""
    session.load_reference(upload("ref.png", photo()))
    session.click((15, 30), "object")
    session.keep("red")
    return session


@pytest.fixture
def album(upload) -> list[Path]:
    """A red thing, a blue one alone, and a red one again."""
    return [
        upload("left.png", photo(at_xyxy=(40, 5, 55, 30), colour=RED)),
        upload("blue.png", photo(at_xyxy=(5, 5, 30, 30), colour=BLUE)),
        upload("right.png", photo(at_xyxy=(4, 8, 15, 16), colour=RED)),
    ]


@dataclass(frozen=True)
class Served:
    """A running server. url: of its page. home: the folder of its temporary files."""

    url: str
    home: Path


@pytest.fixture(scope="session")
def served(tmp_path_factory) -> Iterator[Served]:
    """`persam serve` with small limits, for all tests; what it leaves when it ends is looked at."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "tmp").mkdir()
    words = ["serve", "--no-browser", "--max-file-mb", "2", "--max-megapixels", "2.5", "--max-photos", "5"]
    command = [sys.executable, "-m", "tests.studio.served", str(folder / "calls"), *words]
    environment = {**os.environ, "TMPDIR": str(folder / "tmp")}
    with (
        (folder / "stderr").open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True) as process,
    ):
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), (folder / "stderr").read_text()
        yield Served(url, folder / "tmp")
        process.send_signal(signal.SIGTERM)  # SIGINT may be ignored by what runs the tests, and by its children
        code = process.wait(60)
    said = (folder / "stderr").read_text()
    assert code == 0, said
    assert "Traceback" not in said
    assert list((folder / "tmp").glob("persam-studio-*")) == [], "uploads are left"
    assert not (folder / "calls").exists(), (folder / "calls").read_text()
