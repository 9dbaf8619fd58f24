"""Training scenes: two views of one photo with the masks of the same objects in both.

Two views, because PerSAM compares features across photos: what the reference view says of an object must find it in the
other one, at another place, scale and colour, and among the objects of another photo (`pasted`).
"""

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

# how often a source is drawn: things before regions, however many photos a source has
SOURCE_SHARES = {"voc": 0.45, "ecssd": 0.14, "ccp": 0.1, "bsds": 0.09, "horse": 0.07, "human": 0.07, "coco": 0.08}
MASK_STRIDE = 4  # the decoder's masks have a quarter of the input's size
PAD_GREY = 128  # zero once normalised, as SAM pads


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
class View:
    """A square network input and its masks.

    rgb: uint8 (size, size, 3). cover: float32 (objects, size / 4, size / 4), the share of each quarter pixel that the
    object covers. weight: float32 (size / 4, size / 4), 0 where the annotators left pixels undecided.
    twin: whether the same things are there a second time, outside the masks.
    """

    rgb: np.ndarray
    cover: np.ndarray
    weight: np.ndarray
    twin: bool = False


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
        self._shares = np.array([share if self._by_source[s] else 0.0 for s, share in SOURCE_SHARES.items()])
        self._shares /= self._shares.sum()

    def draw(self, rng: np.random.Generator) -> Photo:
        source = list(SOURCE_SHARES)[rng.choice(len(self._shares), p=self._shares)]
        return self._by_source[source][rng.integers(len(self._by_source[source]))]

    def rgb(self, photo: Photo) -> np.ndarray:
        return cv2.imdecode(self._bytes(f"images/{photo.id}.jpg"), cv2.IMREAD_COLOR)[..., ::-1]

    def masks(self, photo: Photo) -> tuple[np.ndarray, np.ndarray]:
        """Masks (n, h, w) and the ignored pixels (h, w), both uint8 0 or 1."""
        stacked = cv2.imdecode(self._bytes(f"masks/{photo.id}.png"), cv2.IMREAD_GRAYSCALE) > 0
        stacked = stacked.reshape(-1, photo.height, photo.width).astype(np.uint8)
        ignore = stacked[photo.masks] if photo.ignore else np.zeros_like(stacked[0])
        return stacked[: photo.masks], ignore

    def _bytes(self, name: str) -> np.ndarray:
        return np.frombuffer(self._zip.read(name), np.uint8)


def draw_scene(photos: Photos, rng: np.random.Generator, *, size: int, objects: int, single: bool) -> tuple[View, View]:
    """Two views of one photo with the same `objects` masks; those of a photo with fewer are repeated.

    single: a mask is one thing, not all the dogs of a photo, and some views hold the photo a second time beside it.
    """
    chosen: list[int] = []
    while not chosen:
        photo = photos.draw(rng)
        masks, ignore = photos.masks(photo)
        fit = rng.permutation(np.flatnonzero(masks.mean(axis=(1, 2)) > 0.003))
        chosen = [i for i in fit[: 3 * objects] if not (single and _is_group(masks, i))][:objects]
    chosen = [chosen[i % len(chosen)] for i in range(objects)]
    rgb = photos.rgb(photo)
    first, second = (
        _view(photos, rng, rgb, masks[chosen], ignore, size=size, focus=masks[chosen[0]], twins=single)
        for _ in range(2)
    )
    return first, second


def _is_group(masks: np.ndarray, index: int) -> bool:
    """Whether a mask falls apart into things that have masks of their own: `train.zip` holds a class's union too."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(masks[index], connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    if (areas > 0.05 * areas.sum()).sum() < 2:
        return False
    inside = (masks & masks[index]).sum(axis=(1, 2)) > 0.9 * masks.sum(axis=(1, 2))
    inside[index] = False
    return bool(inside.sum() >= 2)


def whole_view(rgb: np.ndarray, masks: np.ndarray, ignore: np.ndarray, *, size: int) -> View:
    """The photo as inference sees it: long side to `size`, padding at the bottom and right."""
    scale = size / max(rgb.shape[:2])
    return _warp(rgb, masks, ignore, np.array([[scale, 0, 0], [0, scale, 0]]), size)


def _view(photos, rng, rgb, masks, ignore, *, size: int, focus: np.ndarray, twins: bool) -> View:
    kind = rng.choice(
        ["whole", "window", "pasted", "twin"], p=[0.3, 0.35, 0.2, 0.15] if twins else [0.3, 0.45, 0.25, 0]
    )
    height, width = focus.shape
    mirror = rng.random() < 0.5
    if kind == "window":
        view = _warp(rgb, masks, ignore, _window(rng, focus, size, mirror), size)
    else:
        scale = size / max(height, width) * (1 if kind == "whole" else rng.uniform(0.4, 0.75))
        extent = np.array([width, height]) * scale
        offset = np.zeros(2) if kind == "whole" else rng.uniform(0, 1, 2) * (size - extent)
        matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
        if mirror:
            matrix[0] = [-scale, 0, offset[0] + extent[0] - scale]
        view = _warp(rgb, masks, ignore, matrix, size)
        if kind in ("pasted", "twin"):
            surroundings = photos.rgb(photos.draw(rng)) if kind == "pasted" else rgb[:, :: rng.choice([-1, 1])]
            view = _paste(view, surroundings, np.concatenate([offset, offset + extent]).astype(int))
    return View(_recolour(view.rgb, rng), view.cover, view.weight, twin=bool(kind == "twin"))


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
        factor = np.diag([rgb.shape[1] / small.shape[1], rgb.shape[0] / small.shape[0]])
        picture = cv2.warpAffine(
            small, np.c_[matrix[:, :2] @ factor, matrix[:, 2]], (size, size), borderValue=[PAD_GREY] * 3
        )
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


def _recolour(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
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
