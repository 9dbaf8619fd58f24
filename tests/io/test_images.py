"""What a photo may be and what its values mean."""

import io
import threading
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from persam.errors import InputWarning
from persam.io import images
from persam.io.images import read_image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
ROW = np.array([[RED, GREEN, BLUE]], np.uint8)  # 1 high, 3 wide


def save(path: Path, array: Any, **options: Any) -> Path:
    Image.fromarray(np.asarray(array)).save(path, **options)
    return path


def with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


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
    with pytest.warns(InputWarning, match=r"a\.gif holds 2 frames or pages: the first is used\. Save the one"):
        first = read_image(tmp_path / "a.gif")
    np.testing.assert_array_equal(first, np.full((2, 2, 3), RED))


def test_path_as_text_and_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "a.png", ROW)
    monkeypatch.setenv("HOME", str(tmp_path))
    np.testing.assert_array_equal(read_image(str(tmp_path / "a.png")), ROW)
    np.testing.assert_array_equal(read_image("~/a.png"), ROW)


@pytest.mark.parametrize("limit", [None, 20])  # 25 pixels over 20 are a warning, which is an error here
def test_photo_that_pil_warns_of_is_read_and_pils_limit_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int | None
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    path, filters = save(tmp_path / "a.png", np.zeros((5, 5, 3), np.uint8)), warnings.filters[:]
    assert read_image(path).shape == (5, 5, 3)
    assert limit == Image.MAX_IMAGE_PIXELS
    assert warnings.filters == filters


def test_pils_warning_reaches_those_who_listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.png", np.zeros((5, 5, 3), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.warns(Image.DecompressionBombWarning, match=r"25 pixels"):
        assert read_image(path).shape == (5, 5, 3)


def test_threads_leave_pils_limit_and_the_warning_filters_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, filters = save(tmp_path / "a.png", np.zeros((5, 5, 3), np.uint8)), warnings.filters[:]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    read = []
    threads = [threading.Thread(target=lambda: [read.append(read_image(path)) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read) == 80
    assert Image.MAX_IMAGE_PIXELS == 20
    assert warnings.filters == filters


def test_no_file_stays_open(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", ROW)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        read_image(path)


# --- what files of cameras, scanners and phones hold


def grey_photo() -> np.ndarray:
    """A ramp from 16 to 239."""
    return np.tile(np.arange(16, 240, dtype=np.uint8), (8, 1))


@pytest.mark.parametrize(
    ("scale", "dtype"),
    [
        (1, np.uint16),
        (1, np.int32),
        (16, np.uint16),
        (16, np.int32),
        (64, np.uint16),
        (257, np.uint16),
        (257, np.int64),
    ],
)
@pytest.mark.parametrize("container", ["array", "tif"])
def test_integers_of_any_depth(tmp_path: Path, scale: int, dtype: Any, container: str) -> None:
    values = grey_photo().astype(dtype) * scale
    source: Any = values
    if container == "tif":
        source = save(tmp_path / "a.tif", values.astype(np.int32) if dtype == np.int64 else values)
    shown = read_image(source)
    np.testing.assert_allclose(shown[..., 0], grey_photo(), atol=1)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_twelve_bits_in_sixteen_of_a_colour_photo(tmp_path: Path, suffix: str) -> None:
    import cv2

    rgb = np.stack([grey_photo(), grey_photo()[:, ::-1], grey_photo() // 2], axis=2)
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), rgb[..., ::-1].astype(np.uint16) * 16)
    np.testing.assert_allclose(read_image(tmp_path / f"a.{suffix}").astype(int), rgb, atol=1)
    cv2.imwrite(str(tmp_path / f"b.{suffix}"), rgb[..., ::-1].astype(np.uint16) * 257)
    np.testing.assert_allclose(read_image(tmp_path / f"b.{suffix}").astype(int), rgb, atol=1)


def test_a_float_tiff(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", grey_photo().astype(np.float32) / 255)
    np.testing.assert_array_equal(read_image(path)[..., 0], grey_photo())


def test_a_tiff_whose_zero_is_white(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(65535 - grey_photo().astype(np.uint16) * 257).save(path, tiffinfo={262: 0})
    np.testing.assert_array_equal(read_image(path)[..., 0], grey_photo())


@pytest.mark.parametrize("container", ["array", "tif"])
def test_a_fourth_band_that_is_no_transparency_is_left_out(tmp_path: Path, container: str) -> None:
    rgb = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    infrared = np.arange(256, dtype=np.uint8).reshape(16, 16) // 2 + 60
    bands = np.dstack([rgb, infrared])
    source: Any = bands if container == "array" else save(tmp_path / "a.tif", bands)
    with pytest.warns(InputWarning, match="has a fourth band that is no transparency, such as near infrared"):
        np.testing.assert_array_equal(read_image(source), rgb)
    clear = np.dstack([rgb, np.where(infrared > 90, 255, 0).astype(np.uint8)])
    assert read_image(clear)[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_fourth_band_of_twelve_bits(tmp_path: Path, suffix: str) -> None:
    import cv2

    rgb = np.stack([grey_photo(), grey_photo()[:, ::-1], grey_photo() // 2], axis=2)
    for name, fourth in (("band", grey_photo()[..., None].astype(np.uint16) * 16 + 7), ("opaque", np.array([65535]))):
        whole = np.broadcast_to(fourth, (*rgb.shape[:2], 1))
        bands = np.concatenate([rgb[..., ::-1].astype(np.uint16) * 16, whole], axis=2).astype(np.uint16)
        cv2.imwrite(str(tmp_path / f"{name}.{suffix}"), bands)
    np.testing.assert_allclose(read_image(tmp_path / f"opaque.{suffix}").astype(int), rgb, atol=1)
    with pytest.warns(InputWarning, match="a fourth band that is no transparency"):
        np.testing.assert_allclose(read_image(tmp_path / f"band.{suffix}").astype(int), rgb, atol=1)


def test_pages_that_are_not_asked_for_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Image.new("RGB", (4, 4), RED)
    first.save(tmp_path / "a.tif", save_all=True, append_images=[first.copy() for _ in range(9)])
    copied, copy = [], Image.Image.copy
    monkeypatch.setattr(Image.Image, "copy", lambda self: copied.append(1) or copy(self))
    with pytest.warns(InputWarning, match="holds 10 frames or pages"):
        read_image(tmp_path / "a.tif")
    assert len(copied) <= 2


def test_frames_of_a_phone_are_no_frames(tmp_path: Path) -> None:
    first, preview = Image.new("RGB", (32, 16), RED), Image.new("RGB", (32, 16), BLUE)
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[preview])
    assert read_image(tmp_path / "a.jpg").shape == (16, 32, 3)  # without a warning


def test_pages_of_a_tiff_are_said(tmp_path: Path) -> None:
    first = Image.new("RGB", (4, 4), RED)
    first.save(tmp_path / "a.tif", save_all=True, append_images=[Image.new("RGB", (4, 4), BLUE)])
    with pytest.warns(InputWarning, match=r"a\.tif holds 2 frames or pages: the first is used"):
        assert read_image(tmp_path / "a.tif")[0, 0].tolist() == list(RED)


def display_p3() -> bytes:
    """A profile as wide-gamut phones have it: sRGB's own, with the red and the green of Display P3."""
    from PIL import ImageCms

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    colorants = {
        b"rXYZ": (0.5151, 0.2412, -0.0011),
        b"gXYZ": (0.2920, 0.6922, 0.0419),
        b"bXYZ": (0.1571, 0.0666, 0.7841),
    }
    for number in range(int.from_bytes(profile[128:132], "big")):
        entry = 132 + 12 * number
        name, offset = bytes(profile[entry : entry + 4]), int.from_bytes(profile[entry + 4 : entry + 8], "big")
        if name in colorants:
            for place, value in enumerate(colorants[name]):
                start = offset + 8 + 4 * place
                profile[start : start + 4] = round(value * 65536).to_bytes(4, "big", signed=True)
        size = int.from_bytes(profile[entry + 8 : entry + 12], "big")
        if name == b"desc":
            data = profile[offset : offset + size]
            for own, other in (("sRGB", "wide"), ("sRGB".encode("utf-16-be").decode("latin-1"), "\0w\0i\0d\0e")):
                data = data.replace(own.encode("latin-1"), other.encode("latin-1"))
            profile[offset : offset + size] = data
    return bytes(profile)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_colours_of_a_wide_gamut_phone_become_srgb(tmp_path: Path, suffix: str) -> None:
    stored = np.full((16, 16, 3), (234, 51, 35), np.uint8)  # sRGB's pure red, as Display P3 has it
    options: dict[str, Any] = {"quality": 100} | ({"subsampling": 0} if suffix == "jpg" else {"lossless": True})
    if suffix == "png":
        options = {}
    path = save(tmp_path / f"a.{suffix}", stored, icc_profile=display_p3(), **options)
    np.testing.assert_allclose(read_image(path)[8, 8].astype(int), (255, 0, 0), atol=4)
    np.testing.assert_allclose(
        read_image(save(tmp_path / f"b.{suffix}", stored, **options))[8, 8], stored[8, 8], atol=2
    )


def test_a_damaged_profile_does_not_spoil_the_photo(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", ROW, icc_profile=b"no profile at all")
    np.testing.assert_array_equal(read_image(path), ROW)


def test_an_open_file(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", ROW)
    with path.open("rb") as file:
        file.read(5)
        np.testing.assert_array_equal(read_image(file), ROW)
    np.testing.assert_array_equal(read_image(io.BytesIO(path.read_bytes())), ROW)


# ---- large photos


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_strips_join_to_the_whole(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 256, (23, 17, 4), np.uint8)
    if mode == "I;16":
        photo = Image.fromarray(values[..., 0].astype(np.uint16) * 257)
    else:
        photo = Image.fromarray(values)
        photo = photo if mode == "RGBA" else photo.convert("LA" if mode == "LA" else "RGB").convert(mode)
    assert photo.mode == mode
    if mode == "P":
        photo.info["transparency"] = 3
    at_once = read_image(photo)
    monkeypatch.setattr(images, "STRIP", 3 * 17)  # the last of eight has two rows
    np.testing.assert_array_equal(read_image(photo), at_once)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK"])
def test_a_photo_takes_little_more_than_its_pixels_while_it_is_read(mode: str) -> None:
    photo = Image.new("RGB", (4000, 2000), (40, 80, 120)).convert(mode)
    if mode == "RGBA":
        photo.putalpha(200)
    tracemalloc.start()
    try:
        rgb = read_image(photo)
        peak = tracemalloc.get_traced_memory()[1]  # what PIL holds is not among it
    finally:
        tracemalloc.stop()
    before = photo.width * photo.height * len(photo.getbands()) if mode in ("L", "RGBA") else 0
    assert peak < before + rgb.nbytes + 60 * images.STRIP
