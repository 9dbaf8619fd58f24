"""What is said of a photo that cannot be used."""

import io
import struct
import sys
import types
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from persam.errors import ImageError
from persam.io.images import read_image

ROW = np.array([[(255, 0, 0), (0, 255, 0), (0, 0, 255)]], np.uint8)


def header_of_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    size = width.to_bytes(4) + height.to_bytes(4)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size + bytes([8, 2, 0, 0, 0])) + chunk(b"IDAT", zlib.compress(b""))


def test_photo_that_pil_refuses_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(header_of_png(20001, 20000))
    with pytest.raises(
        ImageError,
        match=r"a\.png: PIL refuses it \(Image size \(400020000 pixels\) exceeds limit of .* attack\)\. Scale it down, "
        r"or, if you trust the file, raise PIL\.Image\.MAX_IMAGE_PIXELS yourself\.",
    ):
        read_image(path)


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(file, "JPEG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"cannot read the image .*a\.jpg: the file is empty \(0 bytes\)\. Copy or export it again\."),
        (b"a shopping list", r"a\.jpg: its content is no image of a known format\. Convert it to JPEG or PNG\."),
        (jpeg()[:1500], r"a\.jpg: the file is damaged \(.*truncated.*\)\. Copy or export it again\."),
        (jpeg()[:-2], r"a\.jpg: the file is damaged \(.*truncated.*\)\. Copy or export it again\."),
        (header_of_png(4, 4), r"a\.jpg: the file is damaged \(.*\)\. Copy or export it again\."),
    ],
)
def test_file_that_is_no_good(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=message):
        read_image(tmp_path / "a.jpg")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"cannot read the image .*no\.jpg: there is no such file\. Check the path\."):
        read_image(tmp_path / "no.jpg")
    with pytest.raises(ImageError, match=r": it is a folder\. Name one file in it\."):
        read_image(str(tmp_path))
    with pytest.raises(ImageError, match="embedded null byte"):
        read_image("a\0b.jpg")


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (PermissionError(13, "denied"), r"no permission to read it\. Check the owner and rights of the file\."),
        (MemoryError(), r"not enough memory to decode it\. Scale it down first\."),
    ],
)
def test_what_a_test_run_by_root_cannot_provoke(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception, message: str
) -> None:
    def refuse(*_: object) -> None:
        raise raised

    path = tmp_path / "a.png"
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ImageError, match=message):
        read_image(path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[0, np.nan, np.inf]]), r"the image holds 2 NaN or infinite values of 3\. Replace them first\."),
        (np.array([[0.0, 255.0]]), r"float64 with values from 0 to 255, and floats must lie in 0 to 1\. Divide by 255"),
        (np.array([[-2.1, 2.6]]), r"values from -2\.1 to 2\.6, .* undo a normalisation, or convert to uint8\."),
        (np.array([[0, 65536]]), r"int64 with values from 0 to 65536, and integers must lie in 0 to 255, or in 0 to 6"),
        (np.zeros((9, 5, 2), np.uint8), r"the image has the shape \(9, 5, 2\)\. Pass height x width, or"),
        (np.zeros(4, np.uint8), r"the image has the shape \(4,\)\."),
        (np.zeros((2, 4, 5, 3), np.uint8), r"four dimensions \(2, 4, 5, 3\): a batch\. Pass one image of it at a time"),
        (np.zeros((0, 5, 3), np.uint8), r"the image has no pixels: its shape is \(0, 5, 3\)\."),
        (Image.new("RGB", (0, 0)), r"the image has no pixels: its shape is \(0, 0, 3\)\."),
        (np.array([["a"]]), r"the image holds <U1 values\. Pass uint8, uint16, bool, or floats from 0 to 1\."),
        (torch.zeros(2, 3, 4, 4), r"four dimensions \(2, 3, 4, 4\): a batch"),
        (None, r"cannot read the image from 'NoneType'\. Pass a path, a PIL image, a NumPy array or a tensor\."),
        ([ROW], r"cannot read the image from 'list'\."),
        (b"\xff\xd8", r"cannot read the image from 'bytes'\."),
    ],
)
def test_values_that_make_no_photo(values: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        read_image(values)


def test_open_image_of_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg()[:1500])
    with (
        Image.open(tmp_path / "a.jpg") as opened,
        pytest.raises(ImageError, match=r"cannot decode the image from PIL \(.*truncated.*\)\. Pass its path, or open"),
    ):
        read_image(opened)


def test_an_open_file_that_is_no_good(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg())
    with path.open(encoding="latin-1") as text, pytest.raises(ImageError, match=r"a\.jpg: the file is open as text\."):
        read_image(text)
    with path.open("rb") as file:
        pass
    with pytest.raises(ImageError, match=r"the file is closed\. Pass its path, or open it again\."):
        read_image(file)
    with pytest.raises(ImageError, match=r"the image in memory: the file is empty"):
        read_image(io.BytesIO())
    with pytest.raises(ImageError, match=r"the image in memory: its content is no image"):
        read_image(io.BytesIO(b"a shopping list"))


@pytest.mark.parametrize("address", ["https://example.org/a.jpg", "http://x/a.png"])
def test_an_address(address: str) -> None:
    for given in (address, Path(address)):
        with pytest.raises(ImageError, match=f"the image {address}: it is an address, not a path. Download"):
            read_image(given)


def test_a_tiff_of_many_bands_says_what_it_holds(tmp_path: Path) -> None:
    def entry(tag: int, kind: int, count: int, value: int) -> bytes:
        return struct.pack("<HHII", tag, kind, count, value)

    tags = [(256, 4, 1, 4), (257, 4, 1, 4), (258, 3, 6, 86), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 6)]
    data = b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(entry(*tag) for tag in tags) + bytes(4)
    (tmp_path / "a.tif").write_bytes(data + struct.pack("<6H", *[16] * 6))
    with pytest.raises(ImageError, match=r"it is a TIFF of 6 bands of 16 bits, which is not read as a photo\. Save"):
        read_image(tmp_path / "a.tif")


HEIC = bytes([0, 0, 0, 24]) + b"ftypheic" + bytes(40)


def test_heic_names_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as where it is not installed
    (tmp_path / "a.jpg").write_bytes(HEIC)  # by its content, whatever its name
    with pytest.raises(ImageError, match=r"HEIC needs one more package: pip install 'persam\[heif\]'\."):
        read_image(tmp_path / "a.jpg")


def test_heic_is_read_with_the_package_and_nothing_is_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = types.ModuleType("pillow_heif")
    stand_in.HeifImageFile = lambda file: Image.fromarray(ROW)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pillow_heif", stand_in)
    (tmp_path / "a.heic").write_bytes(HEIC)
    np.testing.assert_array_equal(read_image(tmp_path / "a.heic"), ROW)
    assert ".heic" not in Image.registered_extensions()
