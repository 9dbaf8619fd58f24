"""Label Studio's brush: run lengths of an RGBA picture's bytes in a stream of bits. It is not COCO's RLE.

The stream begins with the number of bytes that it gives (32 bits), the bits of one of them less 1 (5), and four sizes
less 1 (4 each). A piece follows after another: a bit that tells a run from single values, which of the four sizes its
length less 1 has (2), that length, and then the one value of the run, or as many single values.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from persam.errors import DataError

Array = np.ndarray[Any, Any]
SIZES = (3, 4, 8, 16)  # bits of a length: those that Label Studio writes
LONGEST = 1 << SIZES[-1]
CHANNELS = 4  # the mask is the last, as opacity
BITS = 8  # of a value


def to_brush(mask: Bool[Array, "h w"]) -> list[int]:
    """The bytes that Label Studio keeps as `rle` of a mask: white and opaque inside, nothing outside."""
    flat = mask.ravel()
    starts = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff([0, *starts.tolist(), flat.size]) * CHANNELS
    pieces = [f"{flat.size * CHANNELS:032b}{BITS - 1:05b}", *(f"{size - 1:04b}" for size in SIZES)]
    inside = bool(flat[0])
    for length in lengths.tolist():
        value = "1" * BITS if inside else "0" * BITS
        for begin in range(0, length, LONGEST):
            more = min(LONGEST, length - begin) - 1
            which = next(number for number, size in enumerate(SIZES) if more < 1 << size)
            pieces.append(f"1{which:02b}{more:0{SIZES[which]}b}{value}")
        inside = not inside
    bits = "".join(pieces)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[place : place + 8], 2) for place in range(0, len(bits), 8)]


def from_brush(data: Any, size_hw: tuple[int, int]) -> Bool[Array, "h w"]:
    """The mask in Label Studio's `rle`, of whichever sizes: what is not wholly transparent.

    Args:
        data: a list of bytes, as JSON has it.
        size_hw: of the picture.

    Raises:
        DataError: the stream breaks off, or is of a picture of another size.
    """
    height, width = size_hw
    values = _values(data, height * width * CHANNELS)
    return values.reshape(height, width, CHANNELS)[..., -1] > 0


def _values(data: Any, count: int) -> UInt8[Array, " n"]:
    if not isinstance(data, list | tuple) or len(data) > 2 * count + 16:
        raise DataError("a brush's rle is a list of bytes, no longer than its picture.")
    try:
        bits = np.unpackbits(np.frombuffer(bytes(data), np.uint8))
    except (TypeError, ValueError) as error:
        raise DataError(f"a brush's rle is a list of bytes, 0 to 255 each ({error}).") from error
    stream = _Bits(bits)
    told, wide = stream.number(32), stream.number(5) + 1
    if told != count:
        raise DataError(f"the brush's rle is of {told} values, and a picture of this size has {count}.")
    if wide > BITS:
        raise DataError(f"the brush's rle has values of {wide} bits, and a picture has {BITS}.")
    sizes = [stream.number(4) + 1 for _ in SIZES]
    values = np.zeros(count, np.uint8)
    place = 0
    while place < count:
        is_run = stream.number(1)
        end = place + stream.number(sizes[stream.number(2)]) + 1
        if end > count:
            raise DataError("the brush's rle has more values than it tells.")
        values[place:end] = stream.number(wide) if is_run else stream.numbers(end - place, wide)
        place = end
    return values


class _Bits:
    """Numbers from a stream of bits, the highest bit first."""

    def __init__(self, bits: UInt8[Array, " n"]):
        self.bits, self.place = bits, 0

    def number(self, size: int) -> int:
        return int("".join(map(str, self._next(size).tolist())), 2)

    def numbers(self, count: int, size: int) -> UInt8[Array, " m"]:
        numbers: Array = np.packbits(self._next(count * size).reshape(count, size), axis=1)[:, 0] >> (8 - size)
        return numbers

    def _next(self, size: int) -> UInt8[Array, " k"]:
        here = self.bits[self.place : self.place + size]
        if len(here) < size:
            raise DataError("the brush's rle breaks off.")
        self.place += size
        return here
