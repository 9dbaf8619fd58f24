"""Masks and photos that users reported, by what is right for each."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.errors import ImageError, InputWarning, MaskError
from persam.io.album import iter_targets
from persam.io.images import read_image
from persam.io.masks import Mask, read_labels, read_mask

pytestmark = pytest.mark.slow
HW = (300, 451)


@pytest.fixture
def cases(shared: Path) -> Path:
    return shared / "cases"


def levels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


@pytest.mark.parametrize(("name", "label"), [("mask_voc_raw_grey", 8), ("mask_voc_255_border", 8), ("mask_01_255", 1)])
def test_255_is_undecided_where_there_is_another_label(cases: Path, name: str, label: int) -> None:
    np.testing.assert_array_equal(read_mask(cases / f"{name}.png", HW), levels(cases / f"{name}.png") == label)


def test_a_soft_mask_in_a_palette_is_cut_at_half(cases: Path) -> None:
    path = cases / "mask_soft_p.png"
    np.testing.assert_array_equal(read_mask(path, HW), levels(path) >= 127.5)


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("mask_davis_two_objects", "2 labels: 1 (49915 px), 2 (49794 px)"),
        ("mask_rgb_two_colours", "2 colours: 0000c8 (49794 px), c80000 (49915 px)"),
        ("mask_cityscapes", "2 labels: 26001 (49915 px), 26002 (49794 px)"),
    ],
)
def test_several_objects_are_an_error_that_lists_them(cases: Path, name: str, listed: str) -> None:
    path = cases / f"{name}.png"
    with pytest.raises(MaskError) as error:
        read_mask(path, HW)
    for word in (listed, "--label", "--each"):
        assert word in str(error.value)
    each = read_labels(path, HW)
    assert sorted(int(one.sum()) for one in each.values()) == [49794, 49915]
    for label, mask in each.items():
        np.testing.assert_array_equal(read_mask(Mask(path, label=label), HW), mask)


def test_an_inverted_mask_is_warned_of(cases: Path) -> None:
    with pytest.warns(InputWarning, match="is it inverted"):
        read_mask(cases / "mask_inverted.png", HW)
    assert read_mask(Mask(cases / "mask_inverted.png", invert=True), HW).sum() == 99709
    read_mask(cases / "ref_cat_mask.png", (213, 320))  # touches the border as much, and is not


def test_a_mask_that_is_not_turned_as_its_photo_is_warned_of(cases: Path) -> None:
    with pytest.warns(InputWarning, match="turned by its EXIF orientation 3"):
        read_mask(cases / "exif3_rawmask.png", (200, 300), photo=cases / "exif3.jpg")


@pytest.mark.parametrize("name", ["grey12in16.tif", "grey32_255.tif"])
def test_grey_of_any_depth_is_the_same_photo(cases: Path, name: str) -> None:
    right, found = (read_image(cases / one).astype(int) for one in ("grey16.png", name))
    np.testing.assert_allclose(found, right, atol=1)


def test_near_infrared_is_left_out(cases: Path) -> None:
    with pytest.warns(InputWarning, match="fourth band"):
        found = read_image(cases / "rgbn16.tif").astype(int)
    assert np.abs(found - read_image(cases / "x.jfif")).mean() < 4  # the same photo, but for JPEG


def test_six_bands_are_refused_by_name(cases: Path) -> None:
    with pytest.raises(ImageError, match="a TIFF of 6 bands of 8 bits"):
        read_image(cases / "six.tif")


@pytest.mark.parametrize("name", ["anim.gif", "multi.tif"])
def test_frames_that_are_passed_over_are_said(cases: Path, name: str) -> None:
    with pytest.warns(InputWarning, match=f"{name} holds 2 frames or pages: the first is used"):
        read_image(cases / name)


def test_heic_is_named_where_its_package_is_not_there(cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"pip install 'persam\[heif\]'"):
        read_image(cases / "x.heic")


def test_a_scan_reads_jfif(cases: Path, tmp_path: Path) -> None:
    (tmp_path / "x.jfif").write_bytes((cases / "x.jfif").read_bytes())
    [target] = iter_targets(tmp_path)
    assert target.read().shape == (107, 160, 3)
