"""What an album may be, in which order its photos come, what they are called, and that they are read late."""

import gc
import io
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from persam.errors import ImageError, InputWarning
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


LEFT_OUT = r"skipped 3: 2 subfolders \(--recursive\), 1 \.txt\.$"


def test_folder_in_natural_order_without_what_lies_deeper(album: Path) -> None:
    with pytest.warns(InputWarning, match=LEFT_OUT):
        assert names(album) == ["img1", "img2", "img10"]
    with pytest.warns(InputWarning, match=LEFT_OUT):
        assert names(str(album)) == ["img1", "img2", "img10"]


def test_folders_within_when_they_are_asked_for(album: Path) -> None:
    (album / "inner" / "deep").mkdir()
    Image.fromarray(photo()).save(album / "inner" / "deep" / "img1.png")
    (album / "inner" / "round").symlink_to(album)  # leads back up
    with pytest.warns(InputWarning, match=r"skipped 1: 1 \.txt\.$"):
        found = list(iter_targets([album], recursive=True))
    assert [target.name for target in found] == ["img1", "img2", "img10", "inner/img3", "inner/deep/img1"]
    assert found[-1].source == album / "inner" / "deep" / "img1.png"


def test_what_a_folder_scan_leaves_out_is_said_with_reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("persam.io.album.heif_is_here", lambda: False)
    for name in ("ok.jpg", "x.jfif", "old.jpe"):
        Image.fromarray(photo()).save(tmp_path / name, "JPEG")
    (tmp_path / "x.heic").write_bytes(b"")
    (tmp_path / "notes").write_text("")
    (tmp_path / ".hidden").write_text("")
    (tmp_path / "sub").mkdir()
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    with pytest.warns(InputWarning) as said:
        assert names(tmp_path) == ["ok", "old", "x"]
    [line] = [str(one.message) for one in said]
    assert line == (
        f"{tmp_path}: skipped 4: 1 dangling link, 1 file without a suffix, 1 subfolder (--recursive), 1 .heic "
        "(pip install 'persam[heif]')."
    )
    monkeypatch.setattr("persam.io.album.heif_is_here", lambda: True)
    with pytest.warns(InputWarning, match="skipped 3"):
        assert [target.source for target in iter_targets(tmp_path)][-1] == tmp_path / "x.jfif"


def test_brackets_in_a_folders_name_are_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "photos [2024]" / "rex*"
    folder.mkdir(parents=True)
    for name in ("a.png", "b.png", "c.jpg"):
        Image.fromarray(photo()).save(folder / name)
    assert names(folder) == ["a", "b", "c"]
    assert names(f"{folder}/*.png") == ["a", "b"]
    assert names(f"{tmp_path}/photos [2024]/**/[ac].*") == ["a", "c"]


@pytest.mark.parametrize("address", ["https://example.org/rex.jpg", "s3://album/rex.jpg"])
def test_an_address_is_no_path(address: str) -> None:
    for given in (address, Path(address)):
        with pytest.raises(ImageError, match=f"cannot read the image {address}: it is an address, not a path"):
            list(iter_targets(given))


def test_an_open_file_is_one_photo() -> None:
    file = io.BytesIO()
    Image.fromarray(photo(7)).save(file, "PNG")
    for given in (file, [file, file]):
        for target in iter_targets(given):
            np.testing.assert_array_equal(target.read(), photo(7))  # from its beginning each time
    assert names([file, file]) == ["image_0001", "image_0002"]


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
    with pytest.warns(InputWarning, match=LEFT_OUT):
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
