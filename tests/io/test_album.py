"""What an album may be, in which order its photos come, what they are called, and that they are read late."""

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from persam.errors import ImageError
from persam.io.album import Target, iter_targets


def photo(level: int = 0) -> np.ndarray:
    return np.full((2, 3, 3), level, np.uint8)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """img1, img2, img10 in mixed suffixes, a hidden file, a text, and a folder within with img3."""
    (tmp_path / "inner").mkdir()
    for level, name in enumerate(("img10.jpg", "img2.PNG", "img1.webp", "inner/img3.png", "._img4.jpg")):
        Image.fromarray(photo(level * 20)).save(tmp_path / name, "PNG")
    (tmp_path / "notes.txt").write_text("not a photo")
    (tmp_path / "img5.png").mkdir()
    return tmp_path


def names(targets: Any) -> list[str]:
    return [target.name for target in iter_targets(targets)]


def test_folder_in_natural_order_without_what_lies_deeper(album: Path) -> None:
    assert names(album) == ["img1", "img2", "img10"]
    assert names(str(album)) == ["img1", "img2", "img10"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["img10"]),
        ("*", ["img1", "img2", "img10"]),
        ("img[12].*", ["img1", "img2"]),
        ("**/*.png", ["img3"]),
        ("**", ["img1", "img2", "img10", "img3"]),
        ("notes.???", []),
        ("*.txt", ["notes"]),  # named by its suffix: whoever writes that means it
    ],
)
def test_pattern(album: Path, pattern: str, expected: list[str]) -> None:
    if expected:
        assert names(f"{album}/{pattern}") == expected
        assert names(album / pattern) == expected
    else:
        with pytest.raises(ImageError, match=r"no image matches .*: 1 files or folders do\. Check the pattern"):
            iter_targets(f"{album}/{pattern}")


def test_name_with_brackets_that_is_a_file_is_no_pattern(tmp_path: Path) -> None:
    Image.fromarray(photo()).save(tmp_path / "a[1].png")
    assert names(tmp_path / "a[1].png") == ["a[1]"]


def test_home_folder(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(album))
    assert names("~/inner") == ["img3"]
    assert names("~/*.jpg") == ["img10"]


def test_list_of_anything(album: Path) -> None:
    given = [album, str(album / "inner" / "*.png"), photo(), album / "missing.jpg", torch.zeros(3, 4, 5)]
    assert names(given) == ["img1", "img2", "img10", "img3", "image_0005", "missing", "image_0007"]


@pytest.mark.parametrize(
    "single", [photo(), Image.fromarray(photo()), torch.zeros(3, 2, 3), torch.zeros(2, 3, 3, dtype=torch.uint8)]
)
def test_single_image_from_memory(single: Any) -> None:
    (target,) = iter_targets(single)
    assert (target.name, target.source) == ("image_0001", None)
    np.testing.assert_array_equal(target.read(), photo())


@pytest.mark.parametrize("batch", [np.zeros((2, 6, 5, 3), np.uint8), torch.zeros(2, 3, 6, 5), torch.zeros(2, 6, 5, 3)])
def test_batch_counts_as_a_list(batch: Any) -> None:
    targets = list(iter_targets(batch))
    assert [target.name for target in targets] == ["image_0001", "image_0002"]
    assert [target.read().shape for target in targets] == [(6, 5, 3), (6, 5, 3)]
    assert len(names([batch, photo()])) == 3


def test_names_never_collide() -> None:
    given = ["a/rex.jpg", "b/rex.jpg", "a/rex.png", "REX.png", "rex_2.jpg", photo(), "image_0006.jpg"]
    assert names(given) == ["rex", "rex_2", "rex_3", "REX_4", "rex_2_2", "image_0006", "image_0006_2"]


def test_empty_list_is_an_empty_album() -> None:
    assert names([]) == []


def test_photo_from_a_path_is_read_again_from_disk(album: Path) -> None:
    (target,) = iter_targets(album / "img10.jpg")
    assert target.source == album / "img10.jpg"
    assert target.read().max() == 0
    Image.fromarray(photo(200)).save(album / "img10.jpg", "PNG")
    assert target.read().min() == 200


def test_photo_from_memory_is_the_users_own() -> None:
    mine = photo()
    (target,) = iter_targets([mine])
    assert target.read() is mine


def test_generator_is_drawn_from_one_at_a_time_and_nothing_is_kept() -> None:
    drawn: list[weakref.ref[np.ndarray]] = []

    def frames() -> Iterator[np.ndarray]:
        for level in range(5):
            frame = photo(level)
            drawn.append(weakref.ref(frame))
            yield frame
            del frame

    targets = iter_targets(frames())
    assert drawn == []
    for number in range(1, 6):
        target: Target | None = next(targets)
        assert len(drawn) == number
        assert target is not None
        assert target.name == f"image_{number:04d}"
        del target
    gc.collect()
    assert [frame() for frame in drawn[:-1]] == [None] * 4


def test_what_is_wrong_with_one_photo_is_said_when_it_is_read(album: Path) -> None:
    good, none, missing, text = iter_targets([photo(), None, album / "no.jpg", album / "notes.txt"])
    assert good.read().shape == (2, 3, 3)
    for target, message in ((none, "from 'NoneType'"), (missing, "there is no such file"), (text, "is no image")):
        with pytest.raises(ImageError, match=message):
            target.read()


def test_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no images in the folder .*: looked for \.jpg, .*write \".*\*\*/\*\.jpg\"\."):
        iter_targets(tmp_path)


def test_pattern_without_a_match(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no image matches .*/\*\.jpg: 0 files or folders do\. Check the pattern"):
        iter_targets(tmp_path / "*.jpg")


@pytest.mark.parametrize("wrong", [None, 3, b"a.jpg", {"rex": "rex.jpg"}])
def test_something_that_is_no_album(wrong: Any) -> None:
    with pytest.raises(ImageError, match=r"cannot read images from '\w+'\. Pass an image, a folder, a pattern such as"):
        iter_targets(wrong)
