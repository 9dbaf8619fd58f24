"""What the files hold, read back by readers that are not ours or written out here, and what is said when they fail."""

import errno
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from persam.errors import OutputError
from persam.io.formats import (
    FORMATS,
    compress,
    run_lengths,
    save,
    to_coco,
    write_bytes,
    write_mask,
    write_picture,
)
from persam.io.images import read_mask

RNG = np.random.default_rng(0)


def drawn(*rows: str) -> np.ndarray:
    return np.array([[sign == "#" for sign in row] for row in rows])


CROSS = drawn(
    ".#...",
    "###..",
    ".#..#",
)


# --- COCO run lengths


@pytest.mark.parametrize(
    ("mask", "counts", "text"),
    [
        # down the first column, then the second; then 1, 1, 1 and 3-1, 1-1, 1-3 (30 + 48 = "N"), 6-1, 1-1
        (CROSS, [1, 1, 1, 3, 1, 1, 6, 1], "11120N50"),
        (drawn("...", "..."), [6], "6"),
        (drawn("###", "###"), [0, 6], "06"),
        (drawn("#.", ".."), [0, 1, 3], "013"),
        (drawn(".", "#"), [1, 1], "11"),
        (drawn("#"), [0, 1], "01"),
        # 40 = 8 + 32 * 1: digit 8 and more to come, 8 + 32 + 48 = "X"; then 1 + 48 = "1"
        (np.zeros((8, 5), bool), [40], "X1"),
        # 16 would read as a sign: digit 16 and more, 16 + 32 + 48 = "`"; then 0 + 48 = "0"
        (np.zeros((4, 4), bool), [16], "`0"),
    ],
)
def test_run_lengths_by_hand(mask: np.ndarray, counts: list[int], text: str) -> None:
    assert run_lengths(mask) == counts
    assert compress(counts) == text


def expand(text: str) -> list[int]:
    """The inverse of compress, after rleFrString of COCO's maskApi.c."""
    counts: list[int] = []
    position = 0
    while position < len(text):
        value, shift, more = 0, 0, True
        while more:
            digit = ord(text[position]) - 48
            value |= (digit & 31) << shift
            shift, more, position = shift + 5, bool(digit & 32), position + 1
            if not more and digit & 16:
                value |= -1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
    return counts


@pytest.mark.parametrize("density", [0.001, 0.1, 0.5, 0.999])
def test_compressed_counts_expand_to_the_same(density: float) -> None:
    counts = run_lengths(RNG.random((300, 200)) < density)
    assert expand(compress(counts)) == counts


PYCOCOTOOLS_DISC = (
    "Qm1?n16K4L4M2N2M4M2N2O0O2N2N2O0O2O0O2O000O2O0000000000000000000000000001N10001N101N101N2N2N101N2N3L3N2N3L4L5Jbh1"
)


def test_counts_of_pycocotools() -> None:
    """Written by pycocotools 2.0 for a disc of radius 27 at the centre of 100 x 80: encode(asfortranarray(...))."""
    disc = np.hypot(*np.mgrid[-40:40, -50:50]) < 27
    assert compress(run_lengths(disc)) == PYCOCOTOOLS_DISC


def test_annotation() -> None:
    assert to_coco(CROSS, image_id=7, category_id=3, annotation_id=9, score=0.5) == {
        "id": 9,
        "image_id": 7,
        "category_id": 3,
        "segmentation": {"size": [3, 5], "counts": "11120N50"},
        "bbox": [0, 0, 5, 3],
        "area": 6,
        "iscrowd": 0,
        "score": 0.5,
    }


def test_annotation_of_a_part_and_of_nothing() -> None:
    part = np.zeros((10, 20), bool)
    part[3:5, 7:12] = True
    assert to_coco(part)["bbox"] == [7, 3, 5, 2]
    empty = to_coco(np.zeros((10, 20), bool))
    assert (empty["bbox"], empty["area"], empty["segmentation"]["counts"]) == ([0, 0, 0, 0], 0, "X6")
    assert "score" not in empty
    assert "id" not in empty
    json.dumps(empty)


# --- every format of the table, there and back


def from_png(data: bytes, hw: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data))) > 0


def from_npz(data: bytes, hw: tuple[int, int]) -> np.ndarray:
    return np.asarray(np.load(io.BytesIO(data))["mask"])


def from_coco(data: bytes, hw: tuple[int, int]) -> np.ndarray:
    rle = json.loads(data)["segmentation"]
    counts = expand(rle["counts"]) if isinstance(rle["counts"], str) else rle["counts"]
    height, width = rle["size"]
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(width, height).T


def from_yolo(data: bytes, hw: tuple[int, int]) -> np.ndarray:
    """As Ultralytics reads it: shares times size, cut to whole pixels."""
    mask = np.zeros(hw, np.uint8)
    for line in data.decode().splitlines():
        shares = np.array(line.split()[1:], float).reshape(-1, 2)
        cv2.fillPoly(mask, [(shares * hw[::-1]).astype(np.int32)], 1)
    return mask > 0


READERS: dict[str, Callable[[bytes, tuple[int, int]], np.ndarray]] = {
    "png": from_png,
    "palette": from_png,
    "npz": from_npz,
    "coco": from_coco,
    "coco_counts": from_coco,
    "yolo": from_yolo,
}

BLOB = np.hypot(*np.mgrid[-40:40, -50:150]) < 27
MASKS = {
    "cross": CROSS,
    "blob": BLOB | np.roll(BLOB, 90, axis=1),
    "empty": np.zeros((4, 6), bool),
    "full": np.ones((4, 6), bool),
    "one pixel": np.ones((1, 1), bool),
    "lines": drawn("####", "....", "#..."),
    "panorama": np.arange(60000).reshape(3, 20000) % 20000 > 19990,
    "not contiguous": BLOB[::2, ::-1],
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("name", FORMATS)
def test_there_and_back(tmp_path: Path, name: str, mask: np.ndarray) -> None:
    path = write_mask(mask, tmp_path / f"a{FORMATS[name].suffix}", format=name)
    np.testing.assert_array_equal(READERS[name](path.read_bytes(), mask.shape), mask)


@pytest.mark.parametrize("name", ["png", "palette"])
def test_our_own_reader_takes_what_we_write(tmp_path: Path, name: str) -> None:
    path = write_mask(CROSS, tmp_path / "a.png", format=name)
    np.testing.assert_array_equal(read_mask(path, (3, 5)), CROSS)


def test_values_of_png_and_palette(tmp_path: Path) -> None:
    with Image.open(write_mask(CROSS, tmp_path / "a.png")) as image:
        assert (image.mode, image.getpixel((0, 0)), image.getpixel((1, 0))) == ("L", 0, 255)
    with Image.open(write_mask(CROSS, tmp_path / "b.png", format="palette")) as image:
        assert (image.mode, image.getpixel((0, 0)), image.getpixel((1, 0))) == ("P", 0, 1)
        assert image.convert("RGB").getpixel((1, 0)) == (128, 0, 0)


def test_yolo_line_by_hand(tmp_path: Path) -> None:
    path = write_mask(drawn("....", ".##.", ".##.", "...."), tmp_path / "a.txt")
    corners = "0.375000 0.375000 0.375000 0.625000 0.625000 0.625000 0.625000 0.375000"
    assert path.read_text() == f"0 {corners}\n"


def test_yolo_fills_holes_and_gives_parts_a_line_each() -> None:
    ring_and_dot = drawn("#####..", "#...#..", "#...#.#", "#####..")
    data = FORMATS["yolo"].encode(ring_and_dot, None)
    assert len(data.splitlines()) == 2
    np.testing.assert_array_equal(from_yolo(data, (4, 7)), drawn("#####..", "#####..", "#####.#", "#####.."))


def test_score_goes_where_it_can(tmp_path: Path) -> None:
    found = SimpleNamespace(mask=CROSS, score=0.75)
    assert json.loads(save(found, tmp_path / "a.json").read_text())["score"] == 0.75
    assert np.load(save(found, tmp_path / "a.npz"))["score"] == 0.75
    assert np.isnan(np.load(write_mask(CROSS, tmp_path / "b.npz"))["score"])


def test_suffix_chooses_and_the_name_stays(tmp_path: Path) -> None:
    path = write_mask(CROSS, str(tmp_path / "deep" / "er" / "rex.2024.PNG"))
    assert path == tmp_path / "deep" / "er" / "rex.2024.PNG"
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert write_mask(CROSS, "~/a.png") == tmp_path / "a.png"


def test_unknown_suffix_and_format(tmp_path: Path) -> None:
    with pytest.raises(
        OutputError, match=r"cannot tell from .*a\.jpg how .*: choose one of \.png, \.npz, \.json, \.txt\."
    ):
        write_mask(CROSS, tmp_path / "a.jpg")
    with pytest.raises(OutputError, match=r"there is no format 'gif': choose one of png, palette, npz, coco, "):
        write_mask(CROSS, tmp_path / "a.png", format="gif")
    assert list(tmp_path.iterdir()) == []


# --- pictures


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


# --- writing whole or not at all


def test_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    for path in (tmp_path / "out" / "a.png", tmp_path / "out" / "deep" / "a.png"):
        with pytest.raises(OutputError, match=r"a\.png: a part of .* is a file, where a folder should be\. Move that"):
            write_mask(CROSS, path)
    assert (tmp_path / "out").read_text() == "mine"


def test_folder_where_the_file_should_be(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OutputError, match=r"a\.png: it is a folder\. Name a file in it\."):
        write_mask(CROSS, tmp_path / "a.png")
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
