"""Labels in any script: a font of the system that has the glyphs, or the rest of the text, and never boxes."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageFont

from persam.io import fonts
from persam.io.draw import WHITE, overlay, side_by_side
from persam.io.fonts import legible

CAT, REX = "\u732b", "\u0420\u0435\u043a\u0441"  # in Chinese, and in Cyrillic letters


@pytest.fixture(autouse=True)
def system(tmp_path: Path, monkeypatch) -> Path:
    """A system without fonts."""
    fonts._font_with.cache_clear()
    monkeypatch.setattr(fonts, "font_folders", lambda: (tmp_path,))
    yield tmp_path
    fonts._font_with.cache_clear()


def font_file(signs: str) -> bytes:
    """A TrueType font in which every one of the signs is a full square, and every other a box."""
    square = _glyph([(0, 0), (0, 1000), (1000, 1000), (1000, 0)])
    glyphs = [_glyph([(0, 0), (0, 900), (200, 900), (200, 0)]), *[square] * len(signs)]
    places = np.cumsum([0, *map(len, glyphs)]).tolist()
    codes = sorted(map(ord, signs))
    groups = b"".join(struct.pack(">3I", code, code, number) for number, code in enumerate(codes, start=1))
    count = len(glyphs)
    tables = {
        b"cmap": struct.pack(">4HI", 0, 1, 3, 10, 12)
        + struct.pack(">2H3I", 12, 0, 16 + len(groups), 0, len(codes))
        + groups,
        b"glyf": b"".join(glyphs),
        b"head": struct.pack(
            ">4I2H2q4h2H3h", 65536, 65536, 0, 0x5F0F3CF5, 0, 1000, 0, 0, 0, 0, 1000, 1000, 0, 8, 2, 1, 0
        ),
        b"hhea": struct.pack(">I3hH3h8hH", 65536, 1000, 0, 0, 1000, *[0] * 11, count),
        b"hmtx": struct.pack(">Hh", 1000, 0) * count,
        b"loca": struct.pack(f">{count + 1}I", *places),
        b"maxp": struct.pack(">I14H", 65536, count, 4, 1, *[0] * 11),
    }
    head, body, at = struct.pack(">I4H", 65536, len(tables), 64, 2, 48), b"", 12 + 16 * len(tables)
    for tag, data in sorted(tables.items()):
        head += struct.pack(">4s3I", tag, 0, at + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    return head + body


def _glyph(corners: list[tuple[int, int]]) -> bytes:
    (xs, ys), count = zip(*corners, strict=True), len(corners)
    steps = [struct.pack(f">{count}h", values[0], *np.diff(values)) for values in (xs, ys)]
    data = struct.pack(">5hHH", 1, min(xs), min(ys), max(xs), max(ys), count - 1, 0) + b"\1" * count + b"".join(steps)
    return data + b"\0" * (-len(data) % 4)


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("rex 0.93", "rex 0.93"),
        (f"{CAT} 0.93", "0.93"),
        (f"rex {CAT}\n2", "rex 2"),
        ("\u00e9t\u00e9 \u00fc", "ete u"),
        ("e\u0301te\u0301", "ete"),
        (f"{REX}\u200d", ""),
        (f"{CAT}, tom: not here", ", tom: not here"),
    ],
)
def test_without_a_font_what_cannot_be_drawn_is_left_out(text: str, drawn: str) -> None:
    assert legible(text, 20)[0] == drawn


def test_a_font_of_the_system_draws_what_it_has(system: Path) -> None:
    (system / "deep").mkdir()
    (system / "a.ttf").write_bytes(font_file("abc\u2026"))
    (system / "b.ttf").write_text("no font")
    (system / "deep/cat.ttf").write_bytes(font_file(f"{CAT}0.93\u2026"))
    text, font = legible(f"{CAT} 0.93", 20)
    assert text == f"{CAT} 0.93"
    assert font.path == str(system / "deep/cat.ttf")
    assert legible(f"{CAT} x", 20)[0] == "x"  # no font has both
    assert isinstance(legible("rex", 20)[1], ImageFont.FreeTypeFont)


def test_a_label_of_nothing_that_can_be_drawn_has_no_plate(system: Path) -> None:
    rgb = np.full((80, 80, 3), 90, np.uint8)
    empty = np.zeros((80, 80), bool)
    np.testing.assert_array_equal(overlay(rgb, empty, label=CAT), rgb)
    fonts._font_with.cache_clear()
    (system / "cat.ttf").write_bytes(font_file(f"{CAT}\u2026"))
    drawn = overlay(rgb, empty, label=CAT)
    assert (drawn == np.array(WHITE, np.uint8)).all(-1).sum() > 30  # the square that stands for a cat


def test_a_caption_is_drawn_likewise() -> None:
    black = np.zeros((40, 40, 3), np.uint8)
    np.testing.assert_array_equal(
        side_by_side([black], height=40, captions=[CAT]), side_by_side([black], height=40, captions=[""])
    )
