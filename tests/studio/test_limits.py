"""Limits say what is too much, and how to be allowed more."""

import pytest
from PIL import Image

from persam.errors import LimitError
from persam.studio.limits import Limits
from persam.studio.photo import read_photo
from tests.colour import photo


def test_a_file_of_too_many_bytes_is_refused_with_both_numbers(upload):
    path = upload("large.png", photo())
    size = path.stat().st_size / 1e6
    with pytest.raises(LimitError, match=r"large.png has 0.0 MB, and 0.0001 MB are the most.*--max-file-mb"):
        Limits(file_mb=0.0001).check_file(path)
    Limits(file_mb=size).check_file(path)


def test_a_file_that_is_gone_is_said(tmp_path):
    with pytest.raises(LimitError, match=r"gone\.png is not here any more"):
        Limits().check_file(tmp_path / "gone.png")


def test_a_photo_of_too_many_pixels_is_refused_before_it_is_decoded(upload, monkeypatch):
    path = upload("wide.png", photo(hw=(64, 100)))
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(LimitError, match=r"wide.png has 100x64 pixels, and 0.006 million are the most"):
        read_photo(path, Limits(megapixels=0.006))


def test_what_does_not_tell_its_size_is_measured_once_it_is_decoded(upload, monkeypatch):
    path = upload("wide.png", photo(hw=(64, 100)))
    monkeypatch.setattr(Limits, "check_photo", lambda *_: None)
    with pytest.raises(LimitError, match="100x64"):
        read_photo(path, Limits(megapixels=0.006))
    assert read_photo(path, Limits(megapixels=0.0064)).hw == (64, 100)


@pytest.mark.parametrize(("count", "said"), [(0, "no photos yet"), (4, "4 photos are more than the 3.*--max-photos")])
def test_the_number_of_photos(count, said):
    with pytest.raises(LimitError, match=said):
        Limits(files=3).check_count(count)
    Limits(files=3).check_count(3)


def test_a_deadline_passes_after_its_seconds():
    now = [100.0]
    deadline = Limits(seconds=5, clock=lambda: now[0]).deadline("searching")
    now[0] = 105.0
    deadline.check()
    now[0] = 105.1
    with pytest.raises(LimitError, match=r"searching takes longer than 5 s.*kept.*--max-seconds"):
        deadline.check()


@pytest.mark.parametrize(
    ("limit", "option"),
    [("file_mb", "file-mb"), ("megapixels", "megapixels"), ("files", "photos"), ("seconds", "seconds")],
)
def test_a_limit_lies_above_0(limit, option):
    with pytest.raises(LimitError, match=f"above 0, and --max-{option} 0 was given"):
        Limits(**{limit: 0})
    with pytest.raises(LimitError, match="above 0"):
        Limits(**{limit: -1 if limit == "files" else float("nan")})
