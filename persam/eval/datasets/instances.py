"""Instances: photos that hold one thing several times, composed so that the mask of each is known.

The things are cut out of the photos that they are learned from, then scaled, turned and lightened, and pasted onto
ground without them: easier than other photographs of the same things. What is asked is another question: how many of
those that lie there, as they lie, come out as one each. There is no published protocol: this is ours.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from persam.errors import DataError
from persam.eval.metrics import parts_of
from persam.geometry import box_of
from persam.io.images import read_image
from persam.io.masks import read_mask

Array = np.ndarray[Any, Any]
Rgb = UInt8[Array, "h w 3"]

SCENE_HW, LARGE_HW = (480, 640), (1536, 2048)
TURNS = (0.0, 12.0, -9.0, 6.0, -14.0)  # of the pasted, one after the other, in degrees
GAINS = (1.0, 0.88, 1.08, 0.95)  # likewise, of their brightness
# photos of the examples and a part of each that shows nothing but ground: x0, y0, x1, y1
GROUNDS = (
    ("lawn_cup", (0, 0, 270, 480)),
    ("paving_cups", (0, 200, 170, 480)),
    ("toys", (400, 0, 640, 200)),
    ("other_cups", (330, 0, 640, 130)),
)
# name, photo and mask of the examples' things
THINGS = (("cup", "coffee", "cup"), ("cat", "chelsea", "cat"), ("shuttle", "astronaut", "shuttle"))
COIN = ("coin", "coin", "coin")
# photos of the examples that hold a thing several times, and whose truth is its parts that do not touch
PHOTOS = (("coins", COIN), ("coins_turned", COIN), ("paving_cups", THINGS[0]), ("mixed_cups", THINGS[0]))
VIVID = 60.0  # the mean spread of its pixels' channels from which on another hue is another look


@dataclass(frozen=True, eq=False)
class Thing:
    """A photo and where the thing is in it: what is learned, and what is pasted."""

    name: str
    rgb: UInt8[Array, "h w 3"]
    mask: Bool[Array, "h w"]

    @property
    def is_vivid(self) -> bool:
        """Whether it looks like another thing in other hues."""
        return float(np.ptp(self.rgb[self.mask].astype(float), axis=1).mean()) >= VIVID


@dataclass(frozen=True)
class Place:
    """Where one lies: its centre, the longer side of its box in pixels, and whether it is a look-alike."""

    x: float
    y: float
    side: float
    look_alike: bool = False


@dataclass(frozen=True)
class Layout:
    """How things lie in a photo. step: how far apart the pasted are, in widths of one; None where they lie freely."""

    places: tuple[Place, ...]
    hw: tuple[int, int] = SCENE_HW
    step: float | None = None


@dataclass(frozen=True, eq=False)
class Scene:
    """A photo with each thing's own mask, as far as it can be seen; and what to learn the thing from."""

    layout: str
    thing: Thing
    rgb: UInt8[Array, "h w 3"]
    truths: tuple[Bool[Array, "h w"], ...]

    @property
    def name(self) -> str:
        return f"{self.layout}_{self.thing.name}"


def _row(count: int, side: float, step: float) -> tuple[Place, ...]:
    return tuple(Place(SCENE_HW[1] / 2 + (n - (count - 1) / 2) * step, 240, side) for n in range(count))


LAYOUTS: Mapping[str, Layout] = {
    "apart_3": Layout((Place(120, 130, 140), Place(480, 170, 170), Place(290, 370, 150))),
    "row_8": Layout(_row(8, 56, 76)),
    "row_12_tiny": Layout(_row(12, 32, 40)),
    "grid_24": Layout(tuple(Place(70 + 100 * n, 66 + 116 * m, 78) for m in range(4) for n in range(6))),
    "touching_4": Layout(_row(4, 130, 0), step=1.0),
    "overlapping_4": Layout(_row(4, 150, 0), step=0.75),
    "look_alikes_3": Layout(
        (
            *(Place(120, 120, 120), Place(520, 240, 130), Place(250, 370, 120)),
            *(Place(320, 130, 120, True), Place(120, 300, 120, True), Place(460, 400, 120, True)),
        )
    ),
    "far_6": Layout(tuple(Place(260 + 300 * n, 760 + 130 * (-1) ** n, 72) for n in range(6)), LARGE_HW),
}


def scenes(examples: Path, things: Sequence[Thing] = ()) -> Iterator[Scene]:
    """Every layout with every thing of the examples and of those given, then the examples' own photos of several.

    A thing without much colour has no look-alike, and is not in that layout.

    Raises:
        DataError: the example photos are not there.
    """
    grounds = [_ground(examples, *one) for one in GROUNDS]
    pasted = [*(_thing(examples, *one) for one in (*THINGS, COIN)), *things]
    for name, layout in LAYOUTS.items():
        for number, thing in enumerate(pasted):
            if thing.is_vivid or not any(place.look_alike for place in layout.places):
                yield compose(name, layout, thing, grounds[number % len(grounds)])
    for photo, of in PHOTOS:
        thing = _thing(examples, *of)
        rgb = _read(examples, f"photos/{photo}.jpg")
        truth = read_mask(examples / "truth" / f"{photo}_{thing.name}.png", (rgb.shape[0], rgb.shape[1]))
        yield Scene(photo, thing, rgb, tuple(parts_of(truth)))


def compose(name: str, layout: Layout, thing: Thing, ground: Rgb) -> Scene:
    """The thing pasted at every place of the layout; one pasted later covers those before it."""
    rgb: Float[Array, "h w 3"] = _tiled(ground, layout.hw).astype(np.float32)
    truths: list[Bool[Array, "h w"]] = []
    for number, place in enumerate(layout.places):
        colours, alpha = _pasted(thing, place, TURNS[number % len(TURNS)] if layout.step is None else 0.0)
        x = place.x
        if layout.step is not None:
            x = layout.hw[1] / 2 + (number - (len(layout.places) - 1) / 2) * layout.step * _width(alpha)
        at = _window(alpha.shape, (x, place.y), layout.hw)
        over = np.zeros((*layout.hw, 4), np.float32)
        over[at[0]] = np.dstack([colours * GAINS[number % len(GAINS)], alpha])[at[1]]
        rgb = rgb * (1 - over[..., 3:]) + over[..., :3].clip(0, 255) * over[..., 3:]
        truths = [truth & (over[..., 3] < 0.5) for truth in truths]
        if not place.look_alike:
            truths.append(over[..., 3] >= 0.5)
    return Scene(name, thing, np.rint(rgb).clip(0, 255).astype(np.uint8), tuple(truths))


def _pasted(thing: Thing, place: Place, turn: float) -> tuple[Float[Array, "s s 3"], Float[Array, "s s"]]:
    """Colours and cover of the thing at a place's size, in a square; by area where that is smaller."""
    import cv2

    bounds = box_of(thing.mask)
    if bounds is None:
        raise DataError(f"the mask of {thing.name!r} is empty: there is nothing to paste.")
    x0, y0, x1, y1 = bounds
    cut = np.s_[y0 : y1 + 1, x0 : x1 + 1]
    rgb = np.roll(thing.rgb[cut], 1, axis=2) if place.look_alike else thing.rgb[cut]
    mask = thing.mask[cut].astype(np.float32)
    scale = place.side / max(mask.shape)
    size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    # premultiplied: no fringe of the old ground
    layers = cv2.resize(np.dstack([rgb.astype(np.float32) * mask[..., None], mask]), size, interpolation=how)
    side = math.ceil(math.hypot(*size)) + 2
    move = cv2.getRotationMatrix2D(((size[0] - 1) / 2, (size[1] - 1) / 2), turn, 1.0)
    move[:, 2] += (side - size[0]) / 2, (side - size[1]) / 2
    turned = np.asarray(cv2.warpAffine(layers, move, (side, side), flags=cv2.INTER_LINEAR))
    alpha = turned[..., 3].clip(0, 1)
    return turned[..., :3] / np.maximum(alpha, 1e-3)[..., None], alpha


def _width(alpha: Float[Array, "s s"]) -> int:
    columns = np.flatnonzero((alpha >= 0.5).any(axis=0))
    return int(columns[-1] - columns[0]) + 1 if len(columns) else 1


def _window(
    size_hw: tuple[int, ...], centre_xy: tuple[float, float], hw: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The part of the scene that a patch around a centre takes, and the part of the patch that lies in the scene."""
    scene, patch = [], []
    for length, centre, most in zip(size_hw[:2], (centre_xy[1], centre_xy[0]), hw, strict=True):
        start = round(centre - length / 2)
        first, last = max(0, start), max(0, min(most, start + length))
        scene.append(slice(first, last))
        patch.append(slice(first - start, max(first, last) - start))
    return (scene[0], scene[1]), (patch[0], patch[1])


def _tiled(ground: Rgb, hw: tuple[int, int]) -> UInt8[Array, "H W 3"]:
    """The ground again and again, mirrored, so that no edge shows."""
    missing = [max(0, most - length) for most, length in zip(hw, ground.shape, strict=False)]
    return np.pad(ground, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")[: hw[0], : hw[1]]


def _ground(examples: Path, photo: str, box: tuple[int, int, int, int]) -> Rgb:
    x0, y0, x1, y1 = box
    return _read(examples, f"photos/{photo}.jpg")[y0:y1, x0:x1]


def _thing(examples: Path, name: str, photo: str, mask: str) -> Thing:
    rgb = _read(examples, f"photos/{photo}.jpg")
    return Thing(name, rgb, read_mask(examples / "masks" / f"{mask}.png", (rgb.shape[0], rgb.shape[1])))


def _read(examples: Path, name: str) -> Rgb:
    if not (examples / name).is_file():
        raise DataError(
            f"there is no {name} in {examples}. Run this in a clone of the repository, or name its data/examples with "
            "--examples."
        )
    return read_image(examples / name)
