"""What a photo or a mask may be, what its values mean, and what is said when it cannot be used."""

import io
import threading
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import persam.io.images
from persam.errors import ImageError, MaskError
from persam.io.images import looks_inverted, read_image, read_mask

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
ROW = np.array([[RED, GREEN, BLUE]], np.uint8)  # 1 high, 3 wide


def save(path: Path, array: Any, **options: Any) -> Path:
    Image.fromarray(np.asarray(array)).save(path, **options)
    return path


def with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


# --- photos: what the values mean


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(ROW, ROW, id="uint8 RGB"),
        pytest.param(np.array([[0, 7]], np.uint8), [[(0, 0, 0), (7, 7, 7)]], id="grey"),
        pytest.param(np.array([[[0], [7]]], np.uint8), [[(0, 0, 0), (7, 7, 7)]], id="grey, one channel"),
        pytest.param(np.array([[False, True]]), [[(0, 0, 0), WHITE]], id="bool"),
        pytest.param(np.array([[0, 257, 65535]], np.uint16), [[(0,) * 3, (1,) * 3, WHITE]], id="uint16 is scaled"),
        pytest.param(np.array([[0, 0.5, 1]]), [[(0,) * 3, (128,) * 3, WHITE]], id="float 0 to 1"),
        pytest.param(np.array([[-1e-4, 1.0001]], np.float32), [[(0,) * 3, WHITE]], id="float overshoots by a hair"),
        pytest.param(np.array([[0, 255]], np.int64), [[(0,) * 3, WHITE]], id="int64 within 0 to 255"),
        pytest.param(np.array([[(255, 0, 0, 255), (255, 0, 0, 0)]], np.uint8), [[RED, WHITE]], id="clear shows white"),
        pytest.param(np.array([[(255, 0, 0, 51)]], np.uint8), [[(255, 204, 204)]], id="a fifth of red over white"),
        pytest.param(np.zeros((3, 5, 7), np.uint8), np.zeros((5, 7, 3)), id="channels first"),
        pytest.param(np.zeros((3, 5, 3), np.uint8), np.zeros((3, 5, 3)), id="NumPy: channels last when both fit"),
    ],
)
def test_array_becomes_rgb(values: np.ndarray, expected: Any) -> None:
    np.testing.assert_array_equal(read_image(values), np.asarray(expected, np.uint8))


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        pytest.param(torch.from_numpy(ROW), ROW, id="h w c"),
        pytest.param(torch.from_numpy(ROW).permute(2, 0, 1), ROW, id="c h w"),
        pytest.param(torch.tensor([[[1.0, 0.0]]]), [[WHITE, (0,) * 3]], id="one channel first"),
        pytest.param(torch.tensor([[1.0, 0.0]], dtype=torch.bfloat16), [[WHITE, (0,) * 3]], id="bfloat16"),
        pytest.param(torch.tensor([[1.0, 0.0]], requires_grad=True), [[WHITE, (0,) * 3]], id="with gradient"),
        pytest.param(torch.arange(27).reshape(3, 3, 3), np.arange(27).reshape(3, 3, 3).transpose(1, 2, 0), id="cube"),
    ],
)
def test_tensor_becomes_rgb(tensor: torch.Tensor, expected: Any) -> None:
    np.testing.assert_array_equal(read_image(tensor), np.asarray(expected, np.uint8))


def test_rgb_array_is_not_copied() -> None:
    assert read_image(ROW) is ROW


@pytest.mark.parametrize("view", [ROW[:, ::-1], ROW[..., ::-1], np.zeros((3, 4, 5), np.uint8)])
def test_result_can_go_to_torch(view: np.ndarray) -> None:
    torch.from_numpy(read_image(view))  # refuses negative strides


def test_file_can_go_to_torch(tmp_path: Path) -> None:
    torch.from_numpy(read_image(save(tmp_path / "a.png", ROW)))  # warns of read-only memory


# --- photos: files


@pytest.mark.parametrize(
    ("mode", "pixel", "expected"),
    [
        ("RGB", RED, RED),
        ("RGBA", (255, 0, 0, 0), WHITE),
        ("L", 100, (100, 100, 100)),
        ("LA", (100, 0), WHITE),
        ("LA", (100, 255), (100, 100, 100)),
        ("1", 1, WHITE),
        ("I;16", 0x8080, (0x80, 0x80, 0x80)),
        ("I", 0x8080, (0x80, 0x80, 0x80)),
        ("F", 0.2, (51, 51, 51)),
        ("CMYK", (0, 255, 255, 0), RED),
        ("HSV", (0, 255, 255), RED),
    ],
)
def test_every_mode_of_pil(mode: str, pixel: Any, expected: tuple[int, int, int]) -> None:
    image = Image.new(mode, (2, 3), pixel)
    np.testing.assert_array_equal(read_image(image), np.full((3, 2, 3), expected, np.uint8))


def test_palette_file(tmp_path: Path) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([*RED, *GREEN, *BLUE])
    image.putdata([0, 1, 2])
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), ROW)
    image.save(tmp_path / "b.png", transparency=bytes([255, 0, 255]))
    np.testing.assert_array_equal(read_image(tmp_path / "b.png"), [[RED, WHITE, BLUE]])


def test_16_bit_png_is_scaled_not_clipped(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.array([[0, 0x4040, 0xFFFF]], np.uint16))
    np.testing.assert_array_equal(read_image(path), [[(0, 0, 0), (0x40,) * 3, WHITE]])


def test_cmyk_jpeg(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    np.testing.assert_allclose(read_image(tmp_path / "a.jpg").astype(int), np.full((8, 16, 3), RED), atol=3)


# What the camera stored for a picture that shows RED GREEN BLUE from left to right, by EXIF orientation.
STORED = {
    1: [[RED, GREEN, BLUE]],
    2: [[BLUE, GREEN, RED]],
    3: [[BLUE, GREEN, RED]],
    4: [[RED, GREEN, BLUE]],
    5: [[RED], [GREEN], [BLUE]],
    6: [[BLUE], [GREEN], [RED]],
    7: [[BLUE], [GREEN], [RED]],
    8: [[RED], [GREEN], [BLUE]],
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_exif_turns_the_photo_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    path = save(tmp_path / f"a.{suffix}", np.array(STORED[orientation], np.uint8), exif=with_orientation(orientation))
    np.testing.assert_array_equal(read_image(path), ROW)


def test_exif_of_a_jpeg_and_of_an_open_image(tmp_path: Path) -> None:
    half = np.zeros((16, 32, 3), np.uint8)
    half[:, 16:] = 255  # stored: the right half is white; shown by orientation 6 (turn clockwise): the lower half
    path = save(tmp_path / "a.jpg", half, exif=with_orientation(6))
    with Image.open(path) as opened:
        for shown in (read_image(path), read_image(opened)):
            assert shown.shape == (32, 16, 3)
            assert shown[:16].max() < 5
            assert shown[16:].min() > 250


def test_damaged_exif_does_not_spoil_the_photo(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", np.full((8, 16, 3), 200, np.uint8), exif=b"Exif\0\0II*\0\xff\xff\xff\xffjunk")
    assert read_image(path).shape == (8, 16, 3)


@pytest.mark.parametrize("hw", [(1, 1), (10, 20000), (20000, 10)])
def test_any_size_is_legal(tmp_path: Path, hw: tuple[int, int]) -> None:
    assert read_image(save(tmp_path / "a.png", np.zeros((*hw, 3), np.uint8))).shape == (*hw, 3)


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (2, 2), colour) for colour in (RED, BLUE)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.gif"), np.full((2, 2, 3), RED))


def test_path_as_text_and_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "a.png", ROW)
    monkeypatch.setenv("HOME", str(tmp_path))
    np.testing.assert_array_equal(read_image(str(tmp_path / "a.png")), ROW)
    np.testing.assert_array_equal(read_image("~/a.png"), ROW)


def header_of_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    size = width.to_bytes(4) + height.to_bytes(4)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size + bytes([8, 2, 0, 0, 0])) + chunk(b"IDAT", zlib.compress(b""))


def test_big_photo_is_read_without_a_warning_and_pils_limit_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    path = save(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))  # over twice the limit: PIL would raise
    assert read_image(path).shape == (8, 8, 3)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_threads_leave_pils_limit_as_it_was(tmp_path: Path) -> None:
    path, before = save(tmp_path / "a.png", ROW), Image.MAX_IMAGE_PIXELS
    threads = [threading.Thread(target=lambda: [read_image(path) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert before == Image.MAX_IMAGE_PIXELS


def test_photo_over_the_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(header_of_png(20001, 20000))
    with pytest.raises(ImageError, match=r"it is 20001x20000, more than 400 megapixels\. Scale it down first\."):
        read_image(path)


# --- photos: errors


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

    path = save(tmp_path / "a.png", ROW)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ImageError, match=message):
        read_image(path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[0, np.nan, np.inf]]), r"the image holds 2 NaN or infinite values of 3\. Replace them first\."),
        (np.array([[0.0, 255.0]]), r"float64 with values from 0 to 255, and floats must lie in 0 to 1\. Divide by 255"),
        (np.array([[-2.1, 2.6]]), r"values from -2\.1 to 2\.6, .* undo a normalisation, or convert to uint8\."),
        (np.array([[0, 256]]), r"int64 with values from 0 to 256, and integers must lie in 0 to 255"),
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


def test_no_file_stays_open(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", ROW)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        read_image(path)


# --- masks


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


def test_palette_with_several_colours_is_their_union(tmp_path: Path) -> None:
    palette_mask([[0, 1, 2]], [0, 0, 0, 64, 0, 0, 224, 224, 192]).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", (1, 3)), [[False, True, True]])


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
            r"^the mask holds 3 labels \(1, 2, 3\)\. Pass one object \(mask == 1\), or all of them to `learn_each`\.$",
        ),
        (
            np.arange(256, dtype=np.uint8).reshape(16, 16),
            (16, 16),
            r"^the mask is no mask but a photo or a soft map: 62% of 16x16 pixels are neither dark nor bright\.",
        ),
        (np.zeros((2, 3, 2)), (2, 3), r"^the mask has the shape \(2, 3, 2\)\."),
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
        (["...#", "#..#", "####"], False),  # a corner is free
        (["#....#", ".####.", ".####.", ".####.", "#....#"], False),  # most of the border is free
        (["....", ".##.", "...."], False),
        (["#..#", "....", "#..#"], False),
    ],
)
def test_looks_inverted(rows: list[str], expected: bool) -> None:
    assert looks_inverted(np.array([[sign == "#" for sign in row] for row in rows])) is expected


def test_limit_is_what_the_message_says() -> None:
    assert persam.io.images.MAX_PIXELS == 400_000_000
