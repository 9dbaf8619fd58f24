"""Training scenes: two views of one photo with the masks of the same objects in both.

Two views, because PerSAM compares features across photos: what the reference view says of an object must find it in the
other one, at another place, scale and colour, and among the objects of another photo (`pasted`).
"""

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np

from persam.geometry import box_of

# how often a source is drawn: things before regions, however many photos a source has
SOURCE_SHARES = {"voc": 0.45, "ecssd": 0.14, "ccp": 0.1, "bsds": 0.09, "horse": 0.07, "human": 0.07, "coco": 0.08}
THING_SHARES = {"voc": 0.52, "ecssd": 0.18, "ccp": 0.06, "bsds": 0.02, "horse": 0.07, "human": 0.06, "coco": 0.09}
THINGS = ("voc", "ecssd", "horse", "human", "coco")  # sources whose masks are whole things, not clothes or regions
MASK_STRIDE = 4  # the decoder's masks have a quarter of the input's size
PAD_GREY = 128  # zero once normalised, as SAM pads
# kind of view: smallest and largest share of the input's side that the photo's long side takes
SHARES_OF_THE_SIDE = {"whole": (1.0, 1.0), "pasted": (0.4, 0.75), "twin": (0.4, 0.75), "mosaic": (0.35, 0.6)}


@dataclass(frozen=True)
class Photo:
    """One line of `index.jsonl`."""

    id: str
    source: str
    height: int
    width: int
    masks: int
    ignore: bool

    @property
    def held_out(self) -> bool:
        """One photo in twenty never enters training; the choice depends on its id alone."""
        return zlib.crc32(self.id.encode()) % 20 == 0


@dataclass(frozen=True)
class Mix:
    """What scenes are drawn from.

    sources: how often each source. views: how often each kind of view. single: a mask is one thing, not all the dogs of
    a photo. siblings: how often the scene's other objects are the first one's like, where the photo has them.
    joined: how often two things, one upon the other, are one object beside its two parts: a rider and the horse.
    composed: how often they come from two photos. motion: how often a view is blurred along a line.
    """

    sources: Mapping[str, float]
    views: Mapping[str, float]
    single: bool = True
    siblings: float = 0.0
    joined: float = 0.0
    composed: float = 0.0
    motion: float = 0.0


ANY = Mix(SOURCE_SHARES, {"whole": 0.3, "window": 0.45, "pasted": 0.25}, single=False)
SINGLES = Mix(SOURCE_SHARES, {"whole": 0.3, "window": 0.35, "pasted": 0.2, "twin": 0.15})
CROWDS = Mix(THING_SHARES, {"whole": 0.34, "window": 0.22, "pasted": 0.16, "mosaic": 0.16, "twin": 0.12}, siblings=0.5)
RIDERS = replace(CROWDS, joined=0.25, composed=0.2, motion=0.15)


@dataclass(frozen=True)
class View:
    """A square network input and its masks.

    rgb: uint8 (size, size, 3). cover: float32 (objects, size / 4, size / 4), the share of each quarter pixel that the
    object covers. weight: float32 (size / 4, size / 4), 0 where the annotators left pixels undecided.
    twin: whether the same things are there a second time, outside the masks. photo: where it was drawn from.
    """

    rgb: np.ndarray
    cover: np.ndarray
    weight: np.ndarray
    twin: bool = False
    photo: Photo | None = None


class Photos:
    """The photos of `train.zip`, read from the archive as they are needed."""

    def __init__(self, archive: Path, *, held_out: bool):
        self._zip = zipfile.ZipFile(archive)
        lines = self._zip.read("index.jsonl").decode().splitlines()
        photos = [Photo(**json.loads(line)) for line in lines]
        self.photos = [photo for photo in photos if photo.masks and photo.held_out == held_out]
        if not any(photo.source in SOURCE_SHARES for photo in self.photos):
            raise ValueError(
                f"{archive} has no {'held-out' if held_out else 'training'} photo with a mask among its {len(photos)}. "
                f"Add photos (one id in twenty is held out), or give their source, one of {', '.join(SOURCE_SHARES)}."
            )
        self._by_source = {s: [p for p in self.photos if p.source == s] for s in SOURCE_SHARES}

    def draw(self, rng: np.random.Generator, sources: Mapping[str, float] = SOURCE_SHARES) -> Photo:
        """A photo of the sources that the archive has, each as often as it says."""
        shares = np.array([share if self._by_source[source] else 0.0 for source, share in sources.items()])
        source = list(sources)[rng.choice(len(shares), p=shares / shares.sum())]
        return self._by_source[source][rng.integers(len(self._by_source[source]))]

    def rgb(self, photo: Photo) -> np.ndarray:
        return cv2.imdecode(self._bytes(f"images/{photo.id}.jpg"), cv2.IMREAD_COLOR)[..., ::-1]

    def masks(self, photo: Photo) -> tuple[np.ndarray, np.ndarray]:
        """Masks (n, h, w) and the ignored pixels (h, w), both uint8 0 or 1."""
        stacked = cv2.imdecode(self._bytes(f"masks/{photo.id}.png"), cv2.IMREAD_GRAYSCALE) > 0
        stacked = stacked.reshape(-1, photo.height, photo.width).astype(np.uint8)
        ignore = stacked[photo.masks] if photo.ignore else np.zeros_like(stacked[0])
        return stacked[: photo.masks], ignore

    @cached_property
    def joined(self) -> list[tuple[Photo, list[tuple[int, int]]]]:
        """Photos with two things of which one is upon the other, and the numbers of their masks."""
        found = []
        for photo in self.photos:
            if photo.source in THINGS and photo.masks > 1:
                masks, _ = self.masks(photo)
                single = [int(i) for i in _large_enough(masks) if not _is_group(masks, i)]
                pairs = [(i, j) for i, j in combinations(single, 2) if _is_upon(masks[i], masks[j])]
                found += [(photo, pairs)] if pairs else []
        return found

    def _bytes(self, name: str) -> np.ndarray:
        return np.frombuffer(self._zip.read(name), np.uint8)


@dataclass(frozen=True)
class _Subject:
    """A photo and the masks (objects, h, w) that a scene is about, the most important one first."""

    photo: Photo
    rgb: np.ndarray
    masks: np.ndarray
    ignore: np.ndarray


def draw_scene(photos: Photos, rng: np.random.Generator, *, size: int, objects: int, mix: Mix) -> tuple[View, View]:
    """Two views of one photo with the same `objects` masks; those of a photo with fewer are repeated."""
    kind = rng.random() if mix.joined or mix.composed else 1.0
    if kind < mix.joined and photos.joined:
        subject = _joined(photos, rng)
    elif mix.joined <= kind < mix.joined + mix.composed:
        subject = _composed(photos, rng, objects, mix)
    else:
        subject = _things(photos, rng, objects, mix)
    masks = subject.masks[np.arange(objects) % len(subject.masks)]
    first, second = (
        replace(
            _view(photos, rng, subject.rgb, masks, subject.ignore, size=size, focus=masks[0], mix=mix),
            photo=subject.photo,
        )
        for _ in range(2)
    )
    return first, second


def draw_thing(photos: Photos, rng: np.random.Generator, mix: Mix, *, smallest: float) -> tuple[np.ndarray, np.ndarray]:
    """A photo (h w 3) and the mask (h w, bool) of a thing in it that covers at least that share of it."""
    while True:
        subject = _things(photos, rng, 1, mix)
        if subject.masks[0].mean() >= smallest:
            return subject.rgb, subject.masks[0] > 0


def _things(photos: Photos, rng: np.random.Generator, objects: int, mix: Mix) -> _Subject:
    chosen: list[int] = []
    while not chosen:
        photo = photos.draw(rng, mix.sources)
        masks, ignore = photos.masks(photo)
        fit = rng.permutation(_large_enough(masks))
        chosen = [i for i in fit[: 3 * objects] if not (mix.single and _is_group(masks, i))]
        if mix.siblings and chosen and rng.random() < mix.siblings:
            alike = _siblings(masks, chosen[0])
            chosen = [chosen[0], *(i for i in fit if i in alike), *(i for i in chosen[1:] if i not in alike)]
    return _Subject(photo, photos.rgb(photo), masks[chosen[:objects]], ignore)


def _joined(photos: Photos, rng: np.random.Generator) -> _Subject:
    """Two things of one photo as one object, and each by itself."""
    photo, pairs = photos.joined[rng.integers(len(photos.joined))]
    one, other = pairs[rng.integers(len(pairs))]
    masks, ignore = photos.masks(photo)
    return _Subject(photo, photos.rgb(photo), np.stack([masks[one] | masks[other], masks[one], masks[other]]), ignore)


def _composed(photos: Photos, rng: np.random.Generator, objects: int, mix: Mix) -> _Subject:
    """A thing of another photo cut out and set upon a thing of this one; the two as one object, and each by itself.

    After twenty pairs of which none fits, things as they are.
    """
    for _ in range(20):
        below, above = (_things(photos, rng, 1, mix) for _ in range(2))
        thing, (x0, y0, x1, y1) = below.masks[0], box_of(below.masks[0] > 0)
        if not 0.01 < thing.mean() < 0.35:
            continue
        left, _, right, bottom = box_of(above.masks[0] > 0)
        area = np.exp(rng.uniform(np.log(0.3), np.log(1.3))) * thing.sum()
        scale = np.sqrt(area / above.masks[0].sum()) * np.array([rng.choice([-1, 1]), 1])  # mirrored or not
        foot = np.array([rng.uniform(x0, x1 + 1), rng.uniform(y0 + 0.1 * (y1 - y0), y0 + 0.7 * (y1 - y0))])
        shift = foot - scale * np.array([(left + right) / 2, bottom])
        place = np.c_[np.diag(scale), shift]
        extent = thing.shape[::-1]
        cut = cv2.warpAffine(above.masks[0].astype(np.float32), place, extent, flags=cv2.INTER_AREA)
        over = (cut > 0.5).astype(np.uint8)
        seen = thing & ~over & 1
        if over.sum() > 0.7 * area and seen.sum() > 0.4 * thing.sum():
            soft = cv2.GaussianBlur(cut, (0, 0), 0.7)[..., None]
            pasted = cv2.warpAffine(np.ascontiguousarray(above.rgb), place, extent, borderMode=cv2.BORDER_REPLICATE)
            rgb = (below.rgb * (1 - soft) + pasted * soft).astype(np.uint8)
            return _Subject(below.photo, rgb, np.stack([seen | over, seen, over]), below.ignore & ~over & 1)
    return _things(photos, rng, objects, mix)


def _large_enough(masks: np.ndarray) -> np.ndarray:
    return np.flatnonzero(masks.mean(axis=(1, 2)) > 0.003)


def _siblings(masks: np.ndarray, index: int) -> set[int]:
    """The things that share a group with this one: the other dogs, if it is a dog."""
    planes = masks.reshape(len(masks), -1).astype(np.float32)
    area = planes.sum(1)
    inside = planes @ planes.T > 0.9 * area[:, None]  # row within column
    groups = [g for g in np.flatnonzero(inside[index]) if g != index and _is_group(masks, g)]
    alike = {int(i) for g in groups for i in np.flatnonzero(inside[:, g]) if i != g and not inside[i, index]}
    return {i for i in alike if area[i] > 0.003 * planes.shape[1] and not _is_group(masks, i)} - {index}


def _is_group(masks: np.ndarray, index: int) -> bool:
    """Whether a mask falls apart into things that have masks of their own: `train.zip` holds a class's union too."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(masks[index], connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    if (areas > 0.05 * areas.sum()).sum() < 2:
        return False
    inside = (masks & masks[index]).sum(axis=(1, 2)) > 0.9 * masks.sum(axis=(1, 2))
    inside[index] = False
    return bool(inside.sum() >= 2)


def _is_upon(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two things of like size meet along a piece of their outline, one above the other, both seen whole."""
    small, large = sorted((int(one.sum()), int(other.sum())))
    if large > 5 * small or (one & other).sum() > 0.2 * small:
        return False
    near = cv2.dilate(one, np.ones((5, 5), np.uint8)) & other
    if near.sum() < 2 * np.sqrt(small):
        return False
    boxes = sorted((box_of(thing > 0) for thing in (one, other)), key=lambda box: box[1] + box[3])
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = boxes
    height, width = one.shape
    edges = (min(ax0, bx0) < 3, min(ay0, by0) < 3, max(ax1, bx1) > width - 4, max(ay1, by1) > height - 4)
    return bool(
        sum(edges) <= 1
        and min(ax1, bx1) - max(ax0, bx0) > 0.6 * min(ax1 - ax0, bx1 - bx0)
        and ay0 < by0 < ay1
        and ay0 + ay1 < by0 + by1 - 0.3 * (by1 - by0)
    )


def whole_view(rgb: np.ndarray, masks: np.ndarray, ignore: np.ndarray, *, size: int) -> View:
    """The photo as inference sees it: long side to `size`, padding at the bottom and right."""
    scale = size / max(rgb.shape[:2])
    return _warp(rgb, masks, ignore, np.array([[scale, 0, 0], [0, scale, 0]]), size)


def _view(photos, rng, rgb, masks, ignore, *, size: int, focus: np.ndarray, mix: Mix) -> View:
    kind = rng.choice(list(mix.views), p=list(mix.views.values()))
    height, width = focus.shape
    mirror = rng.random() < 0.5
    if kind == "window":
        view = _warp(rgb, masks, ignore, _window(rng, focus, size, mirror), size)
    else:
        low, high = SHARES_OF_THE_SIDE[kind]
        scale = size / max(height, width) * (rng.uniform(low, high) if low < high else high)
        extent = np.array([width, height]) * scale
        offset = np.zeros(2) if kind == "whole" else rng.uniform(0, 1, 2) * (size - extent)
        matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
        if mirror:
            matrix[0] = [-scale, 0, offset[0] + extent[0] - scale]
        view = _warp(rgb, masks, ignore, matrix, size)
        if kind != "whole":
            if kind == "mosaic":
                surroundings = _mosaic(photos, rng, mix, size)
            elif kind == "pasted":
                surroundings = photos.rgb(photos.draw(rng, mix.sources))
            else:
                surroundings = rgb[:, :: rng.choice([-1, 1])]
            view = _paste(view, surroundings, np.concatenate([offset, offset + extent]).astype(int))
    picture = recolour(view.rgb, rng)
    if mix.motion and rng.random() < mix.motion:
        picture = moved(picture, rng)
    return View(picture, view.cover, view.weight, twin=bool(kind == "twin"))


def _mosaic(photos: Photos, rng: np.random.Generator, mix: Mix, size: int) -> np.ndarray:
    """Four photos in a square: many small things, sharper than a whole photo at this size."""
    half = size // 2
    canvas = np.empty((size, size, 3), np.uint8)
    for top, left in ((0, 0), (0, half), (half, 0), (half, half)):
        photo = photos.rgb(photos.draw(rng, mix.sources))
        canvas[top : top + half, left : left + half] = cv2.resize(photo, (half, half), interpolation=cv2.INTER_AREA)
    return canvas


def _window(rng, focus: np.ndarray, size: int, mirror: bool) -> np.ndarray:
    """Maps a random, slightly turned square window that holds the focus object to the input."""
    ys, xs = np.nonzero(focus)
    box_side = max(np.ptp(ys), np.ptp(xs)) + 1
    side = box_side * np.exp(rng.uniform(np.log(1.05), np.log(max(1.3, 1.2 * max(focus.shape) / box_side))))
    slack = max(side - box_side, 0) / 2
    centre = np.array([(xs.min() + xs.max()) / 2, (ys.min() + ys.max()) / 2]) + rng.uniform(-slack, slack, 2)
    scale, angle = size / side, np.deg2rad(rng.normal(0, 8))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if mirror:
        turn = turn @ np.diag([-1.0, 1.0])
    return np.concatenate([turn, (size / 2 - turn @ centre)[:, None]], axis=1)


def _warp(rgb, masks, ignore, matrix: np.ndarray, size: int) -> View:
    shrink = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if shrink < 0.7:  # warpAffine does not average: bring the photo near its final size first
        small = cv2.resize(rgb, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        factor = np.array([rgb.shape[1] / small.shape[1], rgb.shape[0] / small.shape[0]])
        shift = matrix[:, :2] @ (factor - 1) / 2 + matrix[:, 2]  # between pixel centres before and after
        picture = cv2.warpAffine(small, np.c_[matrix[:, :2] * factor, shift], (size, size), borderValue=[PAD_GREY] * 3)
    else:
        picture = cv2.warpAffine(np.ascontiguousarray(rgb), matrix, (size, size), borderValue=[PAD_GREY] * 3)
    quarter = (size // MASK_STRIDE, size // MASK_STRIDE)

    def at_quarter(plane: np.ndarray) -> np.ndarray:
        full = cv2.warpAffine(plane.astype(np.float32), matrix, (size, size), flags=cv2.INTER_LINEAR)
        return cv2.resize(full, quarter, interpolation=cv2.INTER_AREA)

    cover = np.stack([at_quarter(mask) for mask in masks])
    return View(picture, cover, (at_quarter(ignore) < 0.01).astype(np.float32))


def _paste(view: View, surroundings: np.ndarray, box_xyxy: np.ndarray) -> View:
    """The view's photo inside another photo, whose objects are distractors."""
    size = view.rgb.shape[0]
    height, width = surroundings.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    canvas = cv2.resize(surroundings[top : top + side, left : left + side], (size, size))
    x0, y0, x1, y1 = box_xyxy
    canvas[y0:y1, x0:x1] = view.rgb[y0:y1, x0:x1]
    return View(canvas, view.cover, view.weight)


def recolour(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Under another light, by another camera: saturation, contrast, brightness, tint, at times blur; or as it was."""
    if rng.random() < 0.2:
        return rgb
    picture = rgb.astype(np.float32)
    grey = picture.mean(axis=2, keepdims=True)
    saturation = 0.0 if rng.random() < 0.04 else rng.uniform(0.6, 1.4)
    picture = grey + (picture - grey) * saturation
    picture = (picture - 128) * rng.uniform(0.7, 1.3) + 128 + rng.uniform(-25, 25)
    picture = picture * rng.uniform(0.92, 1.08, 3).astype(np.float32)
    if rng.random() < 0.1:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 1.5))
    return np.clip(picture, 0, 255).astype(np.uint8)


def moved(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blurred as by a moving camera: averaged along a line of up to a fortieth of the side."""
    reach = int(rng.uniform(1, max(2, rgb.shape[0] / 80)))
    angle = rng.uniform(0, np.pi)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    end = reach * np.array([np.cos(angle), np.sin(angle)])
    first, last = (tuple(int(v) for v in np.round(reach + sign * end)) for sign in (-1, 1))
    cv2.line(kernel, first, last, 1.0)
    return cv2.filter2D(rgb, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)
