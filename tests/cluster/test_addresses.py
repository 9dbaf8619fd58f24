"""Photos by path, pattern and address; what cannot be read is said, and stops nothing."""

import io
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from persam.cluster.addresses import photos_of, read_photo
from persam.errors import ImageError, PerSAMError
from tests.colour import photo


@pytest.fixture
def bucket() -> Iterator[str]:
    """An address with two photos, one of them in a folder within, and a text."""
    system = fsspec.filesystem("memory")
    file = io.BytesIO()
    Image.fromarray(photo()).save(file, "PNG")
    for name in ("a.png", "in/b.PNG"):
        system.pipe_file(f"/bucket/{name}", file.getvalue())
    system.pipe_file("/bucket/notes.txt", b"no photo")
    system.pipe_file("/bucket/torn.png", file.getvalue()[:60])
    yield "memory://bucket"
    system.rm("/bucket", recursive=True)


def test_an_address_is_a_photo_a_folder_or_a_pattern(bucket):
    whole = ["memory:///bucket/a.png", "memory:///bucket/torn.png"]
    assert photos_of(bucket) == whole
    assert photos_of(bucket, recursive=True) == [whole[0], "memory:///bucket/in/b.PNG", whole[1]]
    assert photos_of(f"{bucket}/**/*.PNG") == ["memory:///bucket/in/b.PNG"]
    assert photos_of([f"{bucket}/a.png", f"{bucket}/gone.png"]) == [f"{bucket}/a.png", f"{bucket}/gone.png"]


def test_photos_on_disk_are_known_by_their_whole_path_and_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("img10.png", "img2.png"):
        Image.fromarray(photo()).save(name)
    whole = [str(tmp_path / name) for name in ("img2.png", "img10.png")]
    assert photos_of("*.png") == whole
    assert photos_of([Path("img10.png"), tmp_path, "img2.png"]) == [whole[1], whole[0]]


def test_a_photo_at_an_address_is_read_as_one_on_disk_is(bucket, tmp_path):
    Image.fromarray(photo()).save(tmp_path / "a.png")
    for place in (f"{bucket}/a.png", f"file://{tmp_path}/a.png", str(tmp_path / "a.png")):
        assert np.array_equal(read_photo(place), photo())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gone.png", "there is no image memory://bucket/gone.png"),
        ("torn.png", "cannot read the image memory://bucket/torn.png: "),
        ("notes.txt", "memory://bucket/notes.txt: its content is no image"),
    ],
)
def test_a_photo_that_cannot_be_read_is_named(bucket, name, says):
    with pytest.raises(ImageError, match=says):
        read_photo(f"{bucket}/{name}")


def test_a_store_that_fails_is_an_error_of_its_photo(bucket, monkeypatch):
    def broken(self, path, **more):
        raise TimeoutError("no answer")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "cat_file", broken)
    with pytest.raises(ImageError, match=r"cannot fetch the image memory://bucket/a.png \(TimeoutError: no answer\)"):
        read_photo(f"{bucket}/a.png")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("memory://bucket/*.jpg", r"no image at memory://bucket/\*.jpg: 0 files are there"),
        ("s3://bucket/a.jpg", "pip install s3fs, here and on every machine"),
        ("nothing://bucket", "fsspec knows no nothing://"),
        (np.zeros((4, 4, 3)), "photos for a cluster are paths and addresses, not 'float64'|'ndarray'"),
        (7, "photos for a cluster are paths and addresses, not 'int'"),
    ],
)
def test_words_that_name_no_photo_say_what_to_do(bucket, words, says):
    with pytest.raises(PerSAMError, match=says):
        photos_of(words)
