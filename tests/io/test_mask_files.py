"""What a mask's files hold, read back by readers that are not ours or worked out by hand."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from persam.errors import OutputError
from persam.io.mask_files import FORMATS, VOC_PALETTE, palette_png, to_coco, write_mask, yolo_lines
from persam.io.masks import read_mask
from persam.io.rle import draw, segments
from tests.io.made import mask_of

CROSS = mask_of(
    ".#...",
    "###..",
    ".#..#",
)


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
    return draw(segments(json.loads(data)["segmentation"]), hw)


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
    "lines": mask_of("####", "....", "#..."),
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
    path = write_mask(mask_of("....", ".##.", ".##.", "...."), tmp_path / "a.txt")
    corners = "0.375000 0.375000 0.375000 0.625000 0.625000 0.625000 0.625000 0.375000"
    assert path.read_text() == f"0 {corners}\n"


def test_yolo_fills_holes_and_gives_components_a_line_each() -> None:
    ring_and_dot = mask_of("#####..", "#...#..", "#...#.#", "#####..")
    data = FORMATS["yolo"].encode(ring_and_dot, None)
    assert len(data.splitlines()) == 2
    np.testing.assert_array_equal(from_yolo(data, (4, 7)), mask_of("#####..", "#####..", "#####.#", "#####.."))


def test_score_goes_where_it_can(tmp_path: Path) -> None:
    assert json.loads(write_mask(CROSS, tmp_path / "a.json", score=0.75).read_text())["score"] == 0.75
    assert np.load(write_mask(CROSS, tmp_path / "a.npz", score=0.75))["score"] == 0.75
    assert np.isnan(np.load(write_mask(CROSS, tmp_path / "b.npz"))["score"])


def test_yolo_lines_start_with_the_class() -> None:
    assert yolo_lines(mask_of("##", "##"), 7).split()[0] == "7"
    assert yolo_lines(mask_of("..", ".."), 7) == ""


@pytest.mark.parametrize(
    ("index", "colour"),  # as the VOC development kit's table has them
    [
        (0, (0, 0, 0)),
        (1, (128, 0, 0)),
        (2, (0, 128, 0)),
        (3, (128, 128, 0)),
        (8, (64, 0, 0)),
        (15, (192, 128, 128)),
        (20, (0, 64, 128)),
        (64, (32, 0, 0)),
        (255, (224, 224, 192)),
    ],
)
def test_palette_of_voc(index: int, colour: tuple[int, int, int]) -> None:
    assert VOC_PALETTE[index] == colour
    with Image.open(io.BytesIO(palette_png(np.full((2, 3), index, np.uint8)))) as image:
        assert (image.mode, image.size, image.getpixel((0, 0))) == ("P", (3, 2), index)
        assert image.convert("RGB").getpixel((2, 1)) == colour


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
