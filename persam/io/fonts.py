"""Text that can be read in whatever script it is: a font that has its glyphs, and never boxes in their place."""

import os
import sys
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

SUFFIXES = (".ttf", ".ttc", ".otf")
# Those with many scripts first; every other font of the system after them.
KNOWN = ("dejavusans", "notosanscjk", "notosans-regular", "arialunicode", "arial unicode", "pingfang", "msyh", "wqy")
MOST_FONTS = 300  # that are looked into for one text
TRIED_PX = 20
ELLIPSIS = "\u2026"
NO_CHARACTER = "\U0010ffff"


def legible(text: str, size: int) -> tuple[str, Font]:
    """The text as one line, and a font that draws all of it.

    PIL's own font has few more than the letters of English; for others a font of the system is used that has them all.
    Where there is none, accents are left out, and then what PIL's font does not have: the text may be empty.
    """
    line = " ".join(unicodedata.normalize("NFC", text).split())
    line = "".join(sign for sign in line if unicodedata.category(sign) not in ("Cf", "Cc", "Cs", "Co", "Cn"))
    path = _font_with("".join(sorted({*line} - {" "})))
    if path is None:
        known, own = ImageFont.load_default(TRIED_PX), unicodedata.normalize("NFKD", line)
        line = " ".join("".join(sign for sign in own if sign == " " or _has(known, sign)).split())
    return line, ImageFont.truetype(path, size) if path else ImageFont.load_default(size)


def font_folders() -> tuple[Path, ...]:
    """Where this system keeps fonts."""
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        local = Path(os.environ.get("LOCALAPPDATA", home), "Microsoft", "Windows", "Fonts")
        return Path(os.environ.get("WINDIR", r"C:\Windows"), "Fonts"), local
    if sys.platform == "darwin":
        return Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library" / "Fonts"
    return Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), home / ".local/share/fonts", home / ".fonts"


@lru_cache(maxsize=256)
def _font_with(signs: str) -> str | None:
    """The file of a font that has all of the signs; "" for PIL's own, None where there is none."""
    if _has_all(ImageFont.load_default(TRIED_PX), signs):
        return ""
    for path in _system_fonts():
        try:
            if _has_all(ImageFont.truetype(path, TRIED_PX), signs + ELLIPSIS):
                return path
        except OSError:  # damaged, or of pictures in one size
            continue
    return None


def _system_fonts() -> Iterator[str]:
    files = (Path(at, name) for folder in font_folders() for at, _, names in os.walk(folder) for name in names)
    fonts = [path for path in files if path.suffix.lower() in SUFFIXES]
    fonts.sort(key=lambda path: (not path.name.lower().startswith(KNOWN), len(path.name), str(path)))
    return map(str, fonts[:MOST_FONTS])


def _has_all(font: Font, signs: str) -> bool:
    return all(_has(font, sign) for sign in signs)


def _has(font: Font, sign: str) -> bool:
    """Whether the font draws the sign, and not what it draws for every sign that it does not have."""
    drawn, missing = font.getmask(sign), font.getmask(NO_CHARACTER)
    return drawn.getbbox() is not None and (drawn.size, bytes(drawn)) != (missing.size, bytes(missing))
