"""The same photo under other conditions: darker, turned, smaller, cut off. Its object's mask moves along.

Brightness is a factor on the pixel values as they are stored, except `+1EV`, which doubles the light itself. How much
everything else changes is ours: there is no published set for one object in an album.
"""

import math
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

Array = np.ndarray[Any, Any]
Rgb = UInt8[Array, "_ _ 3"]
Mask = Bool[Array, "_ _"]
# Photo, mask of its object and a seed, to both of them changed.
Change = Callable[[Rgb, Mask, int], tuple[Rgb, Mask]]

WARM = (1.2, 1.0, 0.75)  # factors on red, green and blue, as of a lamp that the camera does not balance
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
NOISE = 20.0  # standard deviation, of 255
BLUR = 0.003  # standard deviation, of the photo's diagonal: 3 pixels at 854 x 480
BEYOND = 1 / 3  # of the object's pixels lie beyond the border, at most
BAR = 1 / 5  # of the longer side of the object's box is behind the bar
BAR_GREY = 128


def apply(name: str, rgb: UInt8[Array, "h w 3"], mask: Bool[Array, "h w"], seed: int = 0) -> tuple[Rgb, Mask]:
    """The photo and its object's mask under a change, which is one of `CHANGES`. The two given stay as they are.

    A photo without an object is neither cut nor crossed by a bar.
    """
    changed_rgb, changed_mask = CHANGES[name](rgb, mask, seed)
    return np.ascontiguousarray(changed_rgb), np.ascontiguousarray(changed_mask)


def seed_of(path: Path) -> int:
    """A photo's own seed, from its name and its folder's: the same wherever the data lies."""
    return zlib.crc32(f"{path.parent.name}/{path.name}".encode())


def _stored(values: Float[Array, "*s"]) -> UInt8[Array, "*s"]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _brightness(factor: float) -> Change:
    table = _stored(np.arange(256) * factor)
    return lambda rgb, mask, seed: (table[rgb], mask)


def _exposure(stops: float) -> Change:
    """So many stops more light: sRGB values are decoded, doubled for each stop, and encoded (IEC 61966-2-1)."""
    stored = np.arange(256) / 255
    light = np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4) * 2**stops
    encoded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    table = _stored(255 * encoded)
    return lambda rgb, mask, seed: (table[rgb], mask)


def _warm(rgb: Rgb, mask: Mask, seed: int) -> tuple[Rgb, Mask]:
    return _stored(rgb * np.array(WARM)), mask


def _grey(rgb: Rgb, mask: Mask, seed: int) -> tuple[Rgb, Mask]:
    return np.repeat(_stored(rgb @ np.array(LUMA))[..., None], 3, axis=2), mask


def _bgr(rgb: Rgb, mask: Mask, seed: int) -> tuple[Rgb, Mask]:
    return rgb[..., ::-1], mask


def _noise(rgb: Rgb, mask: Mask, seed: int) -> tuple[Rgb, Mask]:
    return _stored(rgb + np.random.default_rng(seed).normal(0, NOISE, rgb.shape)), mask


def _blur(rgb: Rgb, mask: Mask, seed: int) -> tuple[Rgb, Mask]:
    return cv2.GaussianBlur(rgb, (0, 0), BLUR * math.hypot(*mask.shape)).astype(np.uint8), mask


def _turn(quarters: int) -> Change:
    """Counterclockwise."""
    return lambda rgb, mask, seed: (np.rot90(rgb, quarters), np.rot90(mask, quarters))


def _flip(rgb: Rgb, mask: Mask, seed: int) -> tuple[Rgb, Mask]:
    return rgb[:, ::-1], mask[:, ::-1]


def _smaller(divisor: int) -> Change:
    """Pixels are averaged. The mask has those that the object covers by half; if it covers none so far, the most."""

    def smaller(rgb: Rgb, mask: Mask, seed: int) -> tuple[Rgb, Mask]:
        height, width = (max(1, round(side / divisor)) for side in mask.shape)
        cover = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
        return small, (cover >= min(0.5, float(cover.max()))) & (cover > 0)

    return smaller


def _border(rgb: Rgb, mask: Mask, seed: int) -> tuple[Rgb, Mask]:
    """Cut off through the object: up to a third of it is lost, on the side where the least of the photo goes along."""
    cuts = []
    for quarters in range(4):  # each side is on the left once
        columns = np.rot90(mask, quarters).sum(axis=0)
        cut = int(np.searchsorted(np.cumsum(columns), BEYOND * columns.sum(), side="right"))
        if columns[:cut].any():
            cuts.append((cut / len(columns), quarters, cut))
    if not cuts:  # no object, or one pixel
        return rgb, mask
    _, quarters, cut = min(cuts)
    left_rgb, left_mask = (np.rot90(plane, quarters)[:, cut:] for plane in (rgb, mask))
    return np.rot90(left_rgb, -quarters), np.rot90(left_mask, -quarters)


def _bar(rgb: Rgb, mask: Mask, seed: int) -> tuple[Rgb, Mask]:
    """A grey bar from edge to edge over the middle of the object, across its longer side."""
    if not mask.any():
        return rgb, mask
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    upright = np.ptp(columns) >= np.ptp(rows)
    first, last = (columns if upright else rows)[[0, -1]]
    extent = int(last - first) + 1
    thick = int(BAR * extent)
    start = int(first) + (extent - thick) // 2
    bar = slice(start, start + thick)
    behind = (slice(None), bar) if upright else (bar, slice(None))
    crossed_rgb, crossed_mask = rgb.copy(), mask.copy()
    crossed_rgb[behind], crossed_mask[behind] = BAR_GREY, False
    return crossed_rgb, crossed_mask


UNCHANGED = "none"
CHANGES: Mapping[str, Change] = {
    UNCHANGED: lambda rgb, mask, seed: (rgb, mask),
    "x0.5": _brightness(0.5),
    "x0.35": _brightness(0.35),
    "x0.25": _brightness(0.25),
    "x0.1": _brightness(0.1),
    "+1EV": _exposure(1),
    "warm": _warm,
    "grey": _grey,
    "bgr": _bgr,
    "noise": _noise,
    "blur": _blur,
    "rot90": _turn(1),
    "rot180": _turn(2),
    "rot270": _turn(3),
    "flip": _flip,
    "half": _smaller(2),
    "quarter": _smaller(4),
    "eighth": _smaller(8),
    "border": _border,
    "bar": _bar,
}
