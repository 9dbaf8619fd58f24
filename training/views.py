"""One view of a photo: a square network input with the masks of its objects at the decoder's resolution."""

from dataclasses import dataclass

import cv2
import numpy as np

from training.archive import Photo, Photos
from training.augment import change_light, draw_bar, jitter_colour, motion_blur
from training.mix import Mix

MASK_STRIDE = 4  # the decoder's masks have a quarter of the input's size
PAD_GREY = 128  # zero once normalised, as SAM pads
# kind of view: smallest and largest share of the input's side that the photo's long side takes
SHARES_OF_THE_SIDE = {"whole": (1.0, 1.0), "pasted": (0.4, 0.75), "twin": (0.4, 0.75), "mosaic": (0.35, 0.6)}


@dataclass(frozen=True)
class Subject:
    """What a scene is about.

    rgb: uint8 (h w 3), for the most part of `photo`. masks: uint8 (objects h w), the most important one first.
    ignore: uint8 (h w), 1 where the annotators left pixels undecided.
    """

    photo: Photo
    rgb: np.ndarray
    masks: np.ndarray
    ignore: np.ndarray


@dataclass(frozen=True)
class View:
    """A square network input and its masks.

    rgb: uint8 (size size 3). cover: float32 (objects size/4 size/4), the share of each quarter pixel that the object
    covers. weight: float32 (size/4 size/4), 0 where the annotators left pixels undecided.
    twin: whether the same things are there a second time, outside the masks.
    """

    rgb: np.ndarray
    cover: np.ndarray
    weight: np.ndarray
    twin: bool = False


def whole_view(rgb: np.ndarray, masks: np.ndarray, ignore: np.ndarray, *, size: int) -> View:
    """The photo as inference sees it: long side to `size`, padding at the bottom and right."""
    scale = size / max(rgb.shape[:2])
    return _warp(rgb, masks, ignore, np.array([[scale, 0, 0], [0, scale, 0]]), size)


def draw_view(photos: Photos, rng: np.random.Generator, subject: Subject, *, size: int, mix: Mix) -> View:
    """A view of the subject's photo, of a kind and with colours as the mix has them."""
    kind = rng.choice(list(mix.views), p=list(mix.views.values()))
    rgb, masks, ignore = subject.rgb, subject.masks, subject.ignore
    if mix.turned and rng.random() < mix.turned:
        quarters = int(rng.integers(1, 4))
        rgb, ignore = (np.ascontiguousarray(np.rot90(plane, quarters)) for plane in (rgb, ignore))
        masks = np.ascontiguousarray(np.rot90(masks, quarters, axes=(1, 2)))
    height, width = ignore.shape
    mirror = rng.random() < 0.5
    if kind in ("window", "fill"):
        view = _warp(rgb, masks, ignore, _window(rng, masks[0], size, mirror, fill=bool(kind == "fill")), size)
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
    picture, cover = view.rgb, view.cover
    if mix.barred and rng.random() < mix.barred:
        picture, cover = _barred(picture, cover, photos.rgb(photos.draw(rng, mix.sources)), rng)
    picture = jitter_colour(picture, rng)
    if mix.light and rng.random() < mix.light:
        picture = change_light(picture, rng)
    if mix.motion and rng.random() < mix.motion:
        picture = motion_blur(picture, rng)
    return View(picture, cover, view.weight, twin=bool(kind == "twin"))


def _mosaic(photos: Photos, rng: np.random.Generator, mix: Mix, size: int) -> np.ndarray:
    """Four photos in a square: many small things, sharper than a whole photo at this size."""
    half = size // 2
    canvas = np.empty((size, size, 3), np.uint8)
    for top, left in ((0, 0), (0, half), (half, 0), (half, half)):
        photo = photos.rgb(photos.draw(rng, mix.sources))
        canvas[top : top + half, left : left + half] = cv2.resize(photo, (half, half), interpolation=cv2.INTER_AREA)
    return canvas


def _barred(
    picture: np.ndarray, cover: np.ndarray, texture: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """With a bar of another photo across the first object, which is in two parts then."""
    if cover[0].max() <= 0.5:
        return picture, cover
    size = len(picture)
    over = draw_bar(cover[0] > 0.5, rng)
    large = cv2.resize(over, (size, size), interpolation=cv2.INTER_LINEAR)[..., None]
    mixed = picture * (1 - large) + cv2.resize(texture, (size, size)) * large
    return mixed.astype(np.uint8), cover * (1 - over)


def _window(rng: np.random.Generator, focus: np.ndarray, size: int, mirror: bool, *, fill: bool = False) -> np.ndarray:
    """Maps a random, slightly rotated square window that holds the focus object to the input.

    fill: the object fills the window, and may leave it at its edges.
    """
    ys, xs = np.nonzero(focus)
    box_side = max(np.ptp(ys), np.ptp(xs)) + 1
    largest = 1.3 if fill else max(1.3, 1.2 * max(focus.shape) / box_side)
    side = box_side * np.exp(rng.uniform(np.log(0.85 if fill else 1.05), np.log(largest)))
    slack = abs(side - box_side) / 2 if fill else max(side - box_side, 0) / 2
    centre = np.array([(xs.min() + xs.max()) / 2, (ys.min() + ys.max()) / 2]) + rng.uniform(-slack, slack, 2)
    scale, angle = size / side, np.deg2rad(rng.normal(0, 8))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if mirror:
        turn = turn @ np.diag([-1.0, 1.0])
    return np.concatenate([turn, (size / 2 - turn @ centre)[:, None]], axis=1)


def _warp(rgb: np.ndarray, masks: np.ndarray, ignore: np.ndarray, matrix: np.ndarray, size: int) -> View:
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
