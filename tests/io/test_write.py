"""Files are whole or the older ones, pictures are what they were, and what is said when neither can be."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.errors import OutputError
from persam.io.write import write_bytes, write_picture

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".webp"])
def test_picture_of_every_suffix(tmp_path: Path, suffix: str) -> None:
    picture = np.full((16, 24, 3), (250, 120, 10), np.uint8)
    with Image.open(write_picture(picture, tmp_path / f"a{suffix}")) as image:
        np.testing.assert_allclose(np.asarray(image.convert("RGB")).astype(int), picture, atol=4)


def test_transparent_picture(tmp_path: Path) -> None:
    picture = RNG.integers(0, 255, (4, 5, 4), np.uint8)
    with Image.open(write_picture(picture, tmp_path / "a.png")) as image:
        np.testing.assert_array_equal(np.asarray(image), picture)
    with pytest.raises(OutputError, match=r"a\.jpg: JPEG has no transparency\. Choose \.png or \.webp\."):
        write_picture(picture, tmp_path / "a.jpg")


def test_picture_that_its_format_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"choose one of \.png, \.jpg, \.jpeg, \.webp\."):
        write_picture(np.zeros((2, 2, 3), np.uint8), tmp_path / "a.gif")
    with pytest.raises(OutputError, match=r"cannot write 70000x1 pixels as .*a\.jpg \(.*\)\. Choose \.png\."):
        write_picture(np.zeros((1, 70000, 3), np.uint8), tmp_path / "a.jpg")


# --- whole or not at all


def test_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    for path in (tmp_path / "out" / "a.png", tmp_path / "out" / "deep" / "a.png"):
        with pytest.raises(OutputError, match=r"a\.png: a part of .* is a file, where a folder should be\. Move that"):
            write_bytes(b"", path)
    assert (tmp_path / "out").read_text() == "mine"


def test_folder_where_the_file_should_be(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OutputError, match=r"a\.png: it is a folder\. Name a file in it\."):
        write_bytes(b"", tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (PermissionError(errno.EACCES, "denied"), r"no permission to write there\. Choose another folder\."),
        (OSError(errno.ENOSPC, "No space left on device"), r"No space left on device\. Make room there, or choose"),
    ],
)
def test_failed_write_keeps_the_older_file_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: OSError, message: str
) -> None:
    def fail(*_: object) -> None:
        raise raised

    path = write_bytes(b"older", tmp_path / "a.txt")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OutputError, match=message):
        write_bytes(b"newer", path)
    assert path.read_bytes() == b"older"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_name_too_long_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"File name too long\."):
        write_bytes(b"", tmp_path / ("x" * 300))


def test_older_file_is_replaced_and_new_ones_have_ordinary_rights(tmp_path: Path) -> None:
    write_bytes(b"older", tmp_path / "a.txt")
    assert write_bytes(b"newer", tmp_path / "a.txt").read_bytes() == b"newer"
    (tmp_path / "b.txt").write_bytes(b"")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "b.txt").stat().st_mode


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_bytes(b"precious")
    (tmp_path / "a.txt").symlink_to(tmp_path / "precious.txt")
    write_bytes(b"newer", tmp_path / "a.txt")
    assert (tmp_path / "precious.txt").read_bytes() == b"precious"
    assert not (tmp_path / "a.txt").is_symlink()


def test_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert write_bytes(b"", "~/a.txt") == tmp_path / "a.txt"
    assert write_picture(np.zeros((2, 2, 3), np.uint8), "~/a.png") == tmp_path / "a.png"
