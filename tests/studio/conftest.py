"""A session over the colour stand-in, and files as a browser would have uploaded them."""

from collections.abc import Callable, Iterator
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
