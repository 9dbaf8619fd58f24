"""One mask in many containers: a file or an array, the same content is the same mask."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from persam.errors import InputWarning, MaskError
from persam.io.mask_files import VOC_PALETTE, yolo_lines
from persam.io.masks import Mask, read_labels, read_mask

HW = (48, 64)
TRUTH = np.zeros(HW, bool)
TRUTH[10:40, 20:50] = True
CORNERS = [20, 10, 50, 10, 50, 40, 20, 40]  # its outline, where pixel (0, 0) covers 0 to 1
RUNS = {"size": [48, 64], "counts": [20 * 48 + 10, *([30, 18] * 29), 30, 14 * 48 + 8]}
BORDER = np.zeros(HW, bool)  # undecided, around the object
BORDER[6:44, 16:54] = True
BORDER &= ~TRUTH
OTHER = np.zeros(HW, bool)  # a second object, in the label maps
OTHER[2:7, 2:12] = True


def levels(value: int, dtype: Any = np.uint8, *, border: int = 0) -> np.ndarray:
    return (TRUTH * value + BORDER * border).astype(dtype)


def soft(top: float = 1.0) -> np.ndarray:
    """Edges that fall over five pixels, so that just the object reaches half."""
    y, x = np.mgrid[: HW[0], : HW[1]]
    inward = np.minimum(np.minimum(x - 20, 49 - x), np.minimum(y - 10, 39 - y))
    return (np.clip(0.55 + inward / 5, 0, 1) * top).astype(np.float32)


def palette(indices: np.ndarray, colours: Any = VOC_PALETTE) -> Image.Image:
    image = Image.fromarray(indices.astype(np.uint8))
    image.putpalette([level for colour in colours for level in colour])
    return image


def painted(colour: tuple[int, int, int]) -> np.ndarray:
    return (TRUTH[..., None] * np.array(colour)).astype(np.uint8)


GREYS = [(level, level, level) for level in range(256)]
PICTURES: dict[str, Any] = {
    "0 and 1": levels(1),
    "0 and 255": levels(255),
    "0 and 128": levels(128),
    "VOC, 255 undecided": levels(8, border=255),
    "0, 1 and 255 undecided": levels(1, border=255),
    "65535 in 16 bits": levels(65535, np.uint16),
    "an id of Cityscapes": levels(26001, np.uint16),
    "an id in 32 bits": levels(9_000_001, np.int32),
    "soft": np.rint(soft(255)).astype(np.uint8),
    "soft, in 16 bits": np.rint(soft(65535)).astype(np.uint16),
    "soft, as floats": soft(),
    "bool": TRUTH,
    "white": painted((255, 255, 255)),
    "PerSeg's red": painted((128, 0, 0)),
    "dark blue": painted((0, 0, 60)),
    "alpha over black": np.dstack([painted((0, 0, 0)), levels(255)]),
    "alpha over one colour": np.dstack([painted((9, 200, 0)), levels(255)]),
    "alpha of a cut-out": np.dstack([np.random.default_rng(0).integers(0, 256, (*HW, 3), np.uint8), levels(255)]),
    "colour under a full alpha": np.dstack([painted((9, 200, 0)), np.full(HW, 255, np.uint8)]),
}


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("container", ["array", "PIL", "PNG", "TIFF", "npy", "tensor", "channels first"])
def test_a_picture_in_every_container(tmp_path: Path, name: str, container: str) -> None:
    array = PICTURES[name]
    container = "TIFF" if container == "PNG" and array.dtype in (np.float32, np.int32) else container  # PNG has neither
    source: Any = array
    if container == "PIL":
        source = Image.fromarray(array)
    elif container in ("PNG", "TIFF"):
        source = tmp_path / f"a.{container.lower()}"
        Image.fromarray(array).save(source)
    elif container == "npy":
        source = tmp_path / "a.npy"
        np.save(source, array)
    elif container == "tensor":
        source = torch.from_numpy(array.astype(np.int32) if array.dtype == np.uint16 else array)
    elif container == "channels first":
        source = np.moveaxis(array, -1, 0) if array.ndim == 3 else array[None]
    np.testing.assert_array_equal(read_mask(source, HW), TRUTH)


def labelme(shape_type: str, points: Any, **more: Any) -> dict[str, Any]:
    shape = {"label": "cat", "shape_type": shape_type, "points": points, "group_id": None, **more}
    return {"version": "5.4.1", "imageHeight": 48, "imageWidth": 64, "shapes": [shape]}


def png64(mask: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


COMPRESSED = {
    "size": [48, 64],
    "counts": "Zn0n0b0000000000000000000000000000000000000000000000000000000000fd0",
}  # as pycocotools writes it
ONE = {"id": 5, "image_id": 1, "category_id": 17, "iscrowd": 0}
DATA_SET = {
    "images": [{"id": 1, "file_name": "rex.jpg"}, {"id": 2, "file_name": "tom.jpg"}],
    "categories": [{"id": 17, "name": "cat"}],
    "annotations": [ONE | {"segmentation": [CORNERS]}, ONE | {"image_id": 2, "segmentation": [[0, 0, 9, 0, 9, 9]]}],
}
TEXTS: dict[str, Any] = {
    "LabelMe polygon": labelme("polygon", [[20, 10], [49, 10], [49, 39], [20, 39]]),
    "LabelMe rectangle": labelme("rectangle", [[49, 39], [20, 10]]),
    "LabelMe mask": labelme("mask", [[20, 10], [49, 39]], mask=png64(np.ones((30, 30), bool))),
    "COCO run lengths": RUNS,
    "COCO compressed": COMPRESSED,
    "COCO polygon": [CORNERS],
    "COCO annotation": ONE | {"segmentation": COMPRESSED},
    "COCO annotations": [ONE | {"segmentation": [CORNERS]}],
    "COCO data set": DATA_SET,
}


@pytest.mark.parametrize("name", TEXTS)
def test_shapes_and_runs_in_a_file_and_in_python(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(TEXTS[name]))
    np.testing.assert_array_equal(read_mask(path, HW, image_name="album/rex.jpg"), TRUTH)
    if isinstance(TEXTS[name], dict):
        np.testing.assert_array_equal(read_mask(TEXTS[name], HW, image_name="rex.jpg"), TRUTH)


def saved(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


FILES: dict[str, Callable[[Path], Path]] = {
    "YOLO": lambda folder: folder / "a.txt",
    "npz": lambda folder: folder / "a.npz",
    "VOC palette": lambda folder: saved(palette(levels(8, border=255)), folder / "a.png"),
    "DAVIS palette": lambda folder: saved(palette(levels(1)), folder / "a.png"),
    "grey palette, soft": lambda folder: saved(palette(PICTURES["soft"], GREYS), folder / "a.png"),
    "palette with a clear ground": lambda folder: saved(palette(levels(3)), folder / "a.png", transparency=0),
    "1 bit": lambda folder: saved(Image.fromarray(TRUTH), folder / "a.bmp"),
    "GIF": lambda folder: saved(Image.fromarray(levels(255)), folder / "a.gif"),
    "JPEG": lambda folder: saved(Image.fromarray(levels(255)), folder / "a.jpg", quality=95),
    "coloured JPEG": lambda folder: saved(Image.fromarray(painted((200, 0, 0))), folder / "a.jpg", subsampling=0),
    "grey with alpha": lambda folder: saved(Image.fromarray(levels(255)).convert("LA"), folder / "a.png"),
    "WebP": lambda folder: saved(Image.fromarray(levels(255)).convert("RGB"), folder / "a.webp", lossless=True),
}


@pytest.mark.parametrize("name", FILES)
def test_files(tmp_path: Path, name: str) -> None:
    path = FILES[name](tmp_path)
    if name == "YOLO":
        path.write_text(yolo_lines(TRUTH, 3))
    elif name == "npz":
        np.savez(path, mask=TRUTH, score=0.5)
    np.testing.assert_array_equal(read_mask(path, HW), TRUTH)


# --- several objects: an error that lists them, and words that choose

TWO = (TRUTH * 1 + OTHER * 2).astype(np.uint8)
SEVERAL: dict[str, tuple[Any, list[Any], str]] = {
    "labels": (TWO, [1, 2], "2 labels: 1 (900 px), 2 (50 px)"),
    "labels as floats": (TWO.astype(np.float32), [1, 2], "2 labels: 1 (900 px), 2 (50 px)"),
    "labels and 255": (TWO + np.uint8(255) * BORDER, [1, 2], "2 labels: 1 (900 px), 2 (50 px)"),
    "palette": (palette(TWO), [1, 2], "2 labels: 1 (900 px), 2 (50 px)"),
    "ids of 16 bits": (TWO.astype(np.uint16) + 26000 * (TWO > 0), [26001, 26002], "26001 (900 px), 26002 (50 px)"),
    "greys": (TRUTH * np.uint8(100) + OTHER * np.uint8(200), [100, 200], "100 (900 px), 200 (50 px)"),
    "a trimap": (TRUTH * np.uint8(255) + BORDER * np.uint8(128), [255, 128], "128 (544 px), 255 (900 px)"),
    "colours": (
        painted((200, 0, 0)) + (OTHER[..., None] * np.array((0, 0, 200))).astype(np.uint8),
        ["c80000", "0000c8"],
        "2 colours: 0000c8 (50 px), c80000 (900 px)",
    ),
    "red on white": (
        np.where(TRUTH[..., None], (200, 0, 0), (255, 255, 255)).astype(np.uint8),
        ["#C80000"],
        "2 colours: c80000 (900 px), ffffff (2172 px)",
    ),
    "a stack": (np.stack([TRUTH, OTHER, OTHER & False]), [1, 2], "2 masks: 1 (900 px), 2 (50 px)"),
    "a stack of bytes": (np.stack([TRUTH, OTHER, BORDER]) * np.uint8(255), [1, 2], "3 masks: 1 (900 px), 2 (50 px)"),
    "a stack, channels last": (np.stack([TRUTH, OTHER], axis=-1), [1, 2], "2 masks: 1 (900 px), 2 (50 px)"),
    "LabelMe": (
        labelme("rectangle", [[20, 10], [49, 39]])
        | {"shapes": [
            {"label": name, "shape_type": "rectangle", "points": points}
            for name, points in (("cat", [[20, 10], [49, 39]]), ("dog", [[2, 2], [11, 6]]))
        ]},
        ["cat", "dog"],
        "2 labels: cat (900 px), dog (50 px)",
    ),
    "alpha and a colour": (
        np.dstack([painted((255, 255, 255)), levels(255, border=255)]),
        [255],
        "2 masks: 255 (900 px), alpha (1444 px)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SEVERAL)
def test_several_objects_are_listed_and_one_is_chosen_by_its_label(name: str) -> None:
    source, labels, listed = SEVERAL[name]
    with pytest.raises(MaskError, match="Say which is the object: --label") as error:
        read_mask(source, HW)
    assert listed in str(error.value)
    for label, truth in zip(labels, (TRUTH, BORDER if name == "a trimap" else OTHER), strict=False):
        np.testing.assert_array_equal(read_mask(Mask(source, label=label), HW), truth)
        np.testing.assert_array_equal(read_mask(Mask(source, label=str(label)), HW), truth)
    with pytest.raises(MaskError, match=r"^the mask has no '77': it holds the \w+"):
        read_mask(Mask(source, label="77"), HW)
    if name not in ("a trimap", "red on white", "alpha and a colour", "a stack of bytes"):
        assert set(read_labels(source, HW)) == set(labels)


@pytest.mark.parametrize("quality", [50, 95])
@pytest.mark.parametrize("colours", [[(200, 0, 0), (0, 0, 200)], VOC_PALETTE[1:3], [(240, 240, 240), (90, 0, 0)]])
def test_two_colours_of_a_jpeg_are_two_objects(tmp_path: Path, colours: Any, quality: int) -> None:
    drawn = (TRUTH[..., None] * np.array(colours[0]) + OTHER[..., None] * np.array(colours[1])).astype(np.uint8)
    Image.fromarray(drawn.repeat(4, axis=0).repeat(4, axis=1)).save(tmp_path / "a.jpg", quality=quality)
    with pytest.raises(MaskError, match="the mask holds 2 colours"):
        read_mask(tmp_path / "a.jpg", (192, 256))


def test_vocs_cream_is_undecided_in_colours_and_in_any_palette() -> None:
    cream = painted((128, 0, 0)) + (BORDER[..., None] * np.array(VOC_PALETTE[255])).astype(np.uint8)
    np.testing.assert_array_equal(read_mask(cream, HW), TRUTH)
    np.testing.assert_array_equal(read_mask(Image.fromarray(cream).quantize(4), HW), TRUTH)


def test_colours_of_a_large_file_are_told_apart_by_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    source = SEVERAL["colours"][0]
    sorted_ = read_labels(source, HW)
    monkeypatch.setattr("persam.io.mask_labels.TABLE_FROM", 0)
    table = read_labels(source, HW)
    assert list(table) == list(sorted_) == ["0000c8", "c80000"]
    for label, mask in table.items():
        np.testing.assert_array_equal(mask, sorted_[label])


def test_frames_of_a_file_are_a_stack(tmp_path: Path) -> None:
    first, second = (Image.fromarray(one * np.uint8(255)) for one in (TRUTH, OTHER))
    first.save(tmp_path / "a.tif", save_all=True, append_images=[second])
    with pytest.raises(MaskError, match=r"2 masks: 1 \(900 px\), 2 \(50 px\)"):
        read_mask(tmp_path / "a.tif", HW)
    np.testing.assert_array_equal(read_mask(Mask(tmp_path / "a.tif", label=2), HW), OTHER)
    first.save(tmp_path / "b.tif", save_all=True, append_images=[first])
    np.testing.assert_array_equal(read_mask(tmp_path / "b.tif", HW), TRUTH)


def test_alpha_is_taken_where_it_is_asked_for() -> None:
    both = SEVERAL["alpha and a colour"][0]
    np.testing.assert_array_equal(read_mask(Mask(both, alpha=True), HW), TRUTH | BORDER)
    with pytest.raises(MaskError, match="no alpha channel that varies"):
        read_mask(Mask(TRUTH, alpha=True), HW)


def test_a_float_file_with_a_hole_in_its_numbers(tmp_path: Path) -> None:
    values = soft()
    values[0, 0] = np.nan
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(MaskError, match=r"the mask holds 1 NaN or infinite values of 3072\. Replace them first\."):
        read_mask(tmp_path / "a.tif", HW)


def test_a_trimap_of_a_small_object_is_asked_about_too() -> None:
    with pytest.raises(MaskError, match=r"2 labels: 128 \(900 px\), 255 \(50 px\)"):
        read_mask(TRUTH * np.uint8(128) + OTHER * np.uint8(255), HW)
    np.testing.assert_array_equal(read_mask(TRUTH * np.uint8(90) + OTHER * np.uint8(255), HW), TRUTH)


def test_undecided_can_be_asked_for() -> None:
    np.testing.assert_array_equal(read_mask(Mask(levels(8, border=255), label=255), HW), BORDER)


# --- inverted, and turned


def test_an_inverted_mask_is_warned_of_and_turned_round_on_request(tmp_path: Path) -> None:
    Image.fromarray(~TRUTH).save(tmp_path / "a.png")
    with pytest.warns(
        InputWarning, match=r"a\.png marks the border .* of rex\.jpg; is it inverted\? If so, say --invert"
    ):
        found = read_mask(tmp_path / "a.png", HW, image_name="rex.jpg")
    np.testing.assert_array_equal(found, ~TRUTH)
    np.testing.assert_array_equal(read_mask(Mask(tmp_path / "a.png", invert=True), HW), TRUTH)
    with pytest.warns(InputWarning, match="leave --invert away"):
        read_mask(Mask(TRUTH, invert=True), HW)


@pytest.mark.parametrize(
    ("photo_turn", "mask_turn", "warned"),
    [(3, 1, True), (3, 3, False), (1, 1, False), (1, 3, True), (2, 1, True), (6, 1, False)],
)
def test_a_mask_that_is_not_turned_as_its_photo_is(
    tmp_path: Path, photo_turn: int, mask_turn: int, warned: bool
) -> None:
    for name, turn in (("photo", photo_turn), ("mask", mask_turn)):
        exif = Image.Exif()
        exif[0x0112] = turn
        Image.fromarray(TRUTH).save(tmp_path / f"{name}.png", exif=exif)
    arguments: dict[str, Any] = {"image_name": "photo.png", "photo": tmp_path / "photo.png"}
    if not warned:
        read_mask(tmp_path / "mask.png", HW, **arguments)
        return
    with pytest.warns(InputWarning, match=rf"photo\.png is turned by its EXIF orientation {photo_turn} and"):
        read_mask(tmp_path / "mask.png", HW, **arguments)


# --- damaged


@pytest.mark.parametrize("address", ["https://example.org/mask.png", "https://example.org/mask.json"])
def test_an_address_is_no_mask(address: str) -> None:
    with pytest.raises(MaskError, match=f"cannot read the mask {address}: it is an address, not a path"):
        read_mask(address, HW)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{", "the mask is no JSON"),
        ("a.json", "3", r"the mask's JSON cannot be read \(.*\)\. Give a LabelMe file"),
        ("a.json", "[" * 100_000, "the mask is no JSON"),
        ("a.json", json.dumps({"size": [48, 64], "counts": [1, -1]}), "a run has a negative length"),
        (
            "a.json",
            json.dumps({"size": [48, 65], "counts": [1]}),
            "the mask was drawn on 65x48 but the photo is 64x",
        ),
        ("a.json", json.dumps({"size": [48, 64], "counts": "zzz"}), "cannot be read"),
        ("a.json", json.dumps([[0, 0, 1e9, 0, 5, 5]]), "a corner lies far outside the photo of 64x48 pixels"),
        ("a.json", json.dumps([[0, 0, 5, 5]]), "a polygon has 4 numbers"),
        ("a.json", json.dumps(labelme("line", [[1, 1], [9, 9]])), "a line with 2 points is no area"),
        ("a.json", json.dumps(DATA_SET), r"the data set lists 2 photos, 0 of them called 'the photo'"),
        (
            "a.txt",
            "0 0.5 0.5 0.2 0.2",
            r"line 1 of the mask is a box, without an outline\. Pass the box",
        ),
        ("a.txt", "0 5 5 9 5 9 9", "line 1 should be a class and x y of three corners or more, each from 0 to 1"),
        ("a.txt", "hello", "the mask's YOLO labels cannot be read"),
        ("a.txt", "", "the mask is empty: no shape in it covers a pixel"),
        ("a.npy", "not numpy", r"cannot read the mask .*a\.npy: it is no NumPy file of numbers"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(MaskError, match=message):
        read_mask(tmp_path / name, HW)
