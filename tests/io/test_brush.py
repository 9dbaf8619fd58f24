"""Label Studio's brush by hand, and as its own package writes it: label-studio-sdk 2.1.2, `converter.brush`."""

import numpy as np
import pytest

from persam.errors import DataError
from persam.io.brush import from_brush, to_brush
from tests.io.made import mask_of, rows_of

RNG = np.random.default_rng(0)
RECTANGLE = mask_of("........", "..#####.", "..#####.", "..#####.", "........", "........")
# mask2rle(RECTANGLE * 255)
OF_RECTANGLE = [0, 0, 0, 192, 57, 27, 254, 39, 0, 194, 127, 246, 192, 48, 159, 253, 176, 12, 39, 255, 144, 192, 0]
# encode_rle of the bytes 7 * n % 256 of a 6 x 4 RGBA picture with the first 3 pixels of 2 rows cleared: single values
OF_VALUES = bytes.fromhex(
    "00000060391bfdb00015005b018806901c007701f8085023009302680a1b60007e0006005002200c003e013005a01a007602"
    "1009202800ae02f00ca03600e603d0102044011e04b013a05201560590172060018e06701aa06e01c607501e207c01fe0030"
    "01a00a00360110052018006e01f008a02600a602d00c203400de03b00fa042011604901320"
)


def bits(text: str) -> list[int]:
    text = text.replace(" ", "")
    text += "0" * (-len(text) % 8)
    return [int(text[place : place + 8], 2) for place in range(0, len(text), 8)]


HEAD = f"{24:032b}" + "00111" + "0010" + "0011" + "0111" + "1111"  # 24 values of 8 bits; lengths of 3, 4, 8, 16 bits


def test_a_stream_by_hand() -> None:
    mask = mask_of("..#", "###")  # 8 values of nothing, 16 of white
    by_hand = bits(HEAD + "1 00 111 00000000" + "1 01 1111 11111111")
    assert to_brush(mask) == by_hand
    assert rows_of(from_brush(by_hand, (2, 3))) == rows_of(mask)


def test_single_values_and_the_last_channel() -> None:
    """A pixel whose colours are set and whose opacity is 0 is outside; any opacity above it is inside."""
    values = "".join(f"{value:08b}" for value in (255, 255, 255, 0, 0, 0, 0, 1))
    stream = bits(HEAD + "0 00 111 " + values + "1 01 1111 00000000")
    assert rows_of(from_brush(stream, (2, 3))) == [".#.", "..."]


def test_what_label_studio_writes_is_what_we_write() -> None:
    assert to_brush(RECTANGLE) == OF_RECTANGLE
    assert rows_of(from_brush(OF_RECTANGLE, RECTANGLE.shape)) == rows_of(RECTANGLE)


def test_single_values_of_label_studio() -> None:
    assert rows_of(from_brush(list(OF_VALUES), (4, 6))) == ["...###", "...###", "######", "######"]


@pytest.mark.parametrize("density", [0.0, 0.01, 0.5, 1.0])
def test_a_mask_comes_back(density: float) -> None:
    mask = RNG.random((170, 230)) < density
    np.testing.assert_array_equal(from_brush(to_brush(mask), mask.shape), mask)


def test_a_run_longer_than_its_sixteen_bits_is_several() -> None:
    mask = np.zeros((300, 300), bool)
    mask[150:] = True  # runs of 180,000 values
    np.testing.assert_array_equal(from_brush(to_brush(mask), mask.shape), mask)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (OF_RECTANGLE[:-2], "breaks off"),
        ([], "breaks off"),
        ([0, 0, 0, 193, *OF_RECTANGLE[4:]], "of 193 values, and a picture of this size has 192"),
        ([*OF_RECTANGLE[:4], 255, *OF_RECTANGLE[5:]], "values of 32 bits"),
        (bits(f"{192:032b}" + "00111" + "1111" * 4 + "1 00 1111111111111111 11111111"), "more values than it tells"),
        ([300], "bytes, 0 to 255 each"),
        (["a"], "bytes, 0 to 255 each"),
        ([0] * 1000, "no longer than its picture"),
        (10**12, "a list of bytes"),
    ],
)
def test_a_damaged_stream(data: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_brush(data, RECTANGLE.shape)
