"""What a mask may be, where its object is, and what is said when it cannot be used."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from persam.errors import MaskError
from persam.io.masks import looks_inverted, read_labels, read_mask


def save(path: Path, array: Any, **options: Any) -> Path:
    Image.fromarray(np.asarray(array)).save(path, **options)
    return path


def with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


DOT = np.array([[False, True, False], [False, True, True]])


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(DOT, id="bool"),
        pytest.param(DOT.astype(np.uint8), id="0 and 1"),
        pytest.param(DOT * np.uint8(255), id="0 and 255"),
        pytest.param(DOT * np.uint8(37), id="any grey level"),
        pytest.param(DOT * np.uint16(65535), id="uint16"),
        pytest.param(DOT.astype(np.float32), id="float"),
        pytest.param(DOT.astype(np.int64), id="int64"),
        pytest.param(DOT[..., None], id="one channel last"),
        pytest.param(DOT[None], id="one channel first"),
        pytest.param(np.stack([DOT * np.uint8(128), DOT * 0, DOT * 0], axis=2), id="PerSeg's 128 in red"),
        pytest.param(np.dstack([DOT * 0, DOT * 0, DOT * 0, DOT * 255]).astype(np.uint8), id="alpha that varies"),
        pytest.param(np.dstack([DOT * 9, DOT * 0, DOT * 0, DOT * 0 + 255]).astype(np.uint8), id="alpha that does not"),
        pytest.param(np.dstack([DOT * 9, DOT * 0, DOT * 0, DOT * 0]).astype(np.uint8), id="alpha is 0 everywhere"),
        pytest.param(torch.from_numpy(DOT), id="tensor"),
        pytest.param(torch.from_numpy(DOT)[None].half(), id="tensor 1 h w of half floats"),
        pytest.param(Image.fromarray(DOT), id="PIL, 1 bit"),
        pytest.param(Image.fromarray(DOT * np.uint8(255)).convert("LA"), id="PIL, grey with alpha"),
    ],
)
def test_mask_of_any_kind(mask: Any) -> None:
    found = read_mask(mask, (2, 3))
    assert found.dtype == np.bool_
    np.testing.assert_array_equal(found, DOT)


def palette_mask(indices: Any, palette: list[int]) -> Image.Image:
    indices = np.asarray(indices)
    image = Image.new("P", indices.shape[::-1])
    image.putpalette(palette)
    image.putdata(indices.ravel().tolist())
    return image


@pytest.mark.parametrize("colour", [(128, 0, 0), (1, 1, 1), (255, 255, 255)])
def test_palette_file_with_the_object_in_index_1(tmp_path: Path, colour: tuple[int, ...]) -> None:
    palette_mask(DOT.astype(int), [0, 0, 0, *colour]).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", (2, 3)), DOT)


def test_palette_goes_by_colour_not_by_index(tmp_path: Path) -> None:
    palette_mask(1 - DOT.astype(int), [255, 255, 255, 0, 0, 0]).save(tmp_path / "a.png")  # index 0 is white
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", (2, 3)), DOT)


def test_palette_with_several_colours_holds_several_objects(tmp_path: Path) -> None:
    palette_mask([[0, 1, 2]], [0, 0, 0, 64, 0, 0, 0, 0, 192]).save(tmp_path / "a.png")
    with pytest.raises(MaskError, match=r"^the mask holds 2 labels: 1 \(1 px\), 2 \(1 px\)\. Say which is"):
        read_mask(tmp_path / "a.png", (1, 3))


@pytest.mark.parametrize("level", [128, 255])
@pytest.mark.parametrize("quality", [75, 95])
def test_jpeg_noise_is_not_object(tmp_path: Path, level: int, quality: int) -> None:
    truth = np.hypot(*np.mgrid[-40:40, -50:50]) < 27
    path = save(tmp_path / "a.jpg", truth * np.uint8(level), quality=quality)
    assert len(np.unique(np.asarray(Image.open(path)))) > 4  # there is noise
    np.testing.assert_array_equal(read_mask(path, (80, 100)), truth)


def test_smoothed_edges_are_cut_at_half() -> None:
    soft = np.zeros((10, 10))
    soft[3:7, 3:7], soft[3, 3:7], soft[6, 3:7] = 0.9, 0.4, 0.5
    np.testing.assert_array_equal(np.flatnonzero(read_mask(soft, (10, 10)).any(axis=1)), [4, 5, 6])


def test_exif_turns_the_mask_as_it_turns_the_photo(tmp_path: Path) -> None:
    stored = np.array([[255, 0, 0], [0, 0, 0]], np.uint8)  # orientation 6: the left column becomes the upper row,
    path = save(tmp_path / "a.png", stored, exif=with_orientation(6))  # from the bottom up
    np.testing.assert_array_equal(read_mask(path, (3, 2)), [[False, True], [False, False], [False, False]])


@pytest.mark.parametrize(
    ("mask", "image_hw", "message"),
    [
        (
            DOT,
            (480, 640),
            r"^the mask is 3x2 but rex\.jpg is 640x480 \(width x height\)\. Draw it on this photo, or "
            r"resize it to 640x480 with nearest-neighbour sampling\.$",
        ),
        (DOT, (3, 2), r"^the mask is 3x2 but rex\.jpg is 2x3 .* One of them lies on its side: turn the mask"),
        (
            np.zeros((480, 640), np.uint8),
            (480, 640),
            r"^the mask is empty: no pixel above 0 in 640x480\. Draw the object, or check that the "
            r"file is not inverted\.$",
        ),
        (
            np.full((2, 3), 255, np.uint8),
            (2, 3),
            r"^the mask is full: every pixel of 3x2 is set\. It should be 0 outside",
        ),
        (np.full((2, 3), True), (2, 3), r"^the mask is full"),
        (np.array([[0, np.nan, 1]]), (1, 3), r"^the mask holds 1 NaN or infinite values of 3\. Replace them first\.$"),
        (np.array([[-4.0, 3.0]]), (1, 2), r"^the mask has negative values, down to -4\. Threshold logits first"),
        (
            np.array([[0, 1, 2, 3]], np.uint8),
            (1, 4),
            r"^the mask holds 3 labels: 1 \(1 px\), 2 \(1 px\), 3 \(1 px\)\. Say which is the object: --label 1 "
            r"\(persam\.Mask\(\.\.\., label=1\)\), or take each as an object of its own: --each \(`learn_each`\)\.$",
        ),
        (
            np.arange(256, dtype=np.uint8).reshape(16, 16),
            (16, 16),
            r"^the mask is no mask but a photo or a soft map: 62% of 16x16 pixels are neither dark nor bright\.",
        ),
        (np.zeros((2, 3, 2, 1)), (2, 3), r"^the mask has four dimensions \(2, 3, 2, 1\): a batch\."),
        (np.zeros((0, 3)), (0, 3), r"^the mask has no pixels"),
        (3, (2, 3), r"^cannot read the mask from 'int'\."),
        ("no.png", (2, 3), r"^cannot read the mask no\.png: there is no such file\. Check the path\.$"),
    ],
)
def test_mask_that_cannot_be_used(mask: Any, image_hw: tuple[int, int], message: str) -> None:
    with pytest.raises(MaskError, match=message):
        read_mask(mask, image_hw, image_name="rex.jpg")


def test_cause_of_a_mask_error_is_the_decoders(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"a shopping list")
    with pytest.raises(MaskError, match="its content is no image") as caught:
        read_mask(tmp_path / "a.png", (2, 3))
    assert "UnidentifiedImageError" in repr(caught.value.__cause__)


def test_a_small_file_that_unpacks_to_much_more_than_the_photo_is_refused_unread(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", mask=np.zeros((3000, 3000), np.uint8))
    assert (tmp_path / "bomb.npz").stat().st_size < 20_000
    with pytest.raises(MaskError, match=r"bomb\.npz unpacks to 9 MB, which no mask of this photo does"):
        read_mask(tmp_path / "bomb.npz", (24, 32))


def test_a_numpy_file_of_objects_is_refused_unread(tmp_path: Path) -> None:
    """A pickle within it could run anything."""

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    np.save(tmp_path / "trap.npy", np.array([Trap()], object), allow_pickle=True)
    with pytest.raises(MaskError, match="it is no NumPy file of numbers"):
        read_mask(tmp_path / "trap.npy", (24, 32))
    assert not (tmp_path / "sprung").exists()


def test_photo_given_as_mask() -> None:
    rows, columns = np.mgrid[0:60, 0:80]
    photo = np.dstack([rows * 4, columns * 3, (rows + columns) * 1.8]).astype(np.uint8)
    with pytest.raises(MaskError, match="no mask but a photo"):
        read_mask(photo, (60, 80))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["####", "#..#", "####"], True),
        (["####", "#..#", "#..#"], True),  # the object touches the lower border
        (["...#", "#..#", "####"], True),  # a corner is free
        (["...#", "...#", "..##"], False),  # two are
        (["#....#", ".####.", ".####.", ".####.", "#....#"], False),  # most of the border is free
        (["....", ".##.", "...."], False),
        (["#....#", "......", "......", "......", "#....#"], False),
        (["######", "##..##", "#....#", "#....#", "#....#"], True),  # an object that stands on the lower border
        ([".####.", "######", "######", "######", "######"], False),  # one that fills the photo
    ],
)
def test_looks_inverted(rows: list[str], expected: bool) -> None:
    assert looks_inverted(np.array([[sign == "#" for sign in row] for row in rows])) is expected


# --- maps of labels

LABELS = np.array([[0, 1, 1], [5, 255, 0]], np.uint8)
FIRST, FIFTH = np.array([[False, True, True], [False] * 3]), np.array([[False] * 3, [True, False, False]])


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(LABELS, id="uint8"),
        pytest.param(LABELS.astype(np.int64), id="int64"),
        pytest.param(LABELS[..., None], id="one channel last"),
        pytest.param(torch.from_numpy(LABELS)[None], id="tensor, one channel first"),
        pytest.param(Image.fromarray(LABELS), id="PIL, grey levels"),
        pytest.param(palette_mask(LABELS, [0, 0, 0] * 256), id="palette file, by index and not by colour"),
    ],
)
def test_labels_of_any_kind(labels: Any) -> None:
    found = read_labels(labels, (2, 3))
    assert list(found) == [1, 5]  # 0 is background, 255 undecided
    np.testing.assert_array_equal(found[1], FIRST)
    np.testing.assert_array_equal(found[5], FIFTH)


def test_colours_are_labels_too() -> None:
    colours = np.zeros((2, 3, 3), np.uint8)
    colours[0, 0], colours[1] = (200, 0, 0), (0, 0, 200)
    found = read_labels(colours, (2, 3))
    assert list(found) == ["0000c8", "c80000"]
    np.testing.assert_array_equal(found["c80000"], [[True, False, False], [False] * 3])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS.T, r"^the mask is 2x3 but rex\.jpg is 3x2 .* One of them lies on its side"),
        (np.zeros((2, 3), np.uint8), r"^the mask is empty: no pixel above 0 in 3x2\."),
        (np.array([[-1, 0, 1]] * 2), r"^the mask has negative values, down to -1\."),
        ("no.png", r"^cannot read the mask no\.png: there is no such file\."),
    ],
)
def test_labels_that_cannot_be_used(labels: Any, message: str) -> None:
    with pytest.raises(MaskError, match=message):
        read_labels(labels, (2, 3), image_name="rex.jpg")


def test_a_photo_is_no_map_of_labels() -> None:
    with pytest.raises(MaskError, match=r"^the mask is no mask but a photo or a soft map"):
        read_labels(np.arange(66, dtype=np.uint8).reshape(6, 11), (6, 11))
