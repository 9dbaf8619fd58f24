"""Bytes with a few things wrong, by a seed."""

from random import Random

NUMBERS = [
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\0\0",
    b"\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff",
    b"\0\0\0\1",
]
WORDS = [b"NaN", b"-1", b"1e999", b"null", b"[]", b"{}", b'"', b"99999999999", b"0", b" ", b"\n"]


def mutated(rng: Random, data: bytes) -> bytes:
    """One to four changes, the first bytes more often than others: headers decide most."""
    for _ in range(rng.randint(1, 4)):
        data = rng.choice(CHANGES)(rng, bytearray(data))
    return data


def _place(rng: Random, data: bytearray) -> int:
    end = len(data) if rng.random() < 0.5 else min(len(data), 200)
    return rng.randrange(end) if end else 0


def _flip(rng: Random, data: bytearray) -> bytes:
    if data:
        data[_place(rng, data)] ^= 1 << rng.randrange(8)
    return bytes(data)


def _overwrite(rng: Random, data: bytearray) -> bytes:
    place, new = _place(rng, data), rng.choice(NUMBERS + WORDS)
    data[place : place + len(new)] = new
    return bytes(data)


def _insert(rng: Random, data: bytearray) -> bytes:
    place = _place(rng, data)
    data[place:place] = rng.choice([*NUMBERS, *WORDS, rng.randbytes(rng.randint(1, 40))])
    return bytes(data)


def _delete(rng: Random, data: bytearray) -> bytes:
    place = _place(rng, data)
    del data[place : place + rng.choice([1, 2, 8, 100])]
    return bytes(data)


def _repeat(rng: Random, data: bytearray) -> bytes:
    place = _place(rng, data)
    piece = data[place : place + rng.choice([1, 4, 64])]
    data[place:place] = piece * rng.choice([1, 3, 50])
    return bytes(data)


def _cut(rng: Random, data: bytearray) -> bytes:
    return bytes(data[: _place(rng, data)])


CHANGES = (_flip, _flip, _overwrite, _overwrite, _insert, _delete, _repeat, _cut)
