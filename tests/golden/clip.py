"""Deterministic clips for golden tests of video.

`frame(seed, t, height, width, objects)` is the picture of time t, `labels(...)` its label map: 0 background, then the
objects, later ones in front. Object 1 is a striped star, object 2 a chequered box with round corners, the others are
plain discs. All move a little each frame, the first two turn as well, and object 2 leaves over the right edge.
Everything is NumPy, as in `fill.py`; the order of the draws is part of the numbers.
"""

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


class Motion(NamedTuple):
    """Centre and its speed per frame as shares of width and height; radius as a share of the shorter side; radians."""

    x: float
    y: float
    speed_x: float
    speed_y: float
    radius: float
    angle: float = 0.0
    turn: float = 0.0


MOTIONS = (
    Motion(0.30, 0.48, 0.022, 0.010, 0.22, 0.3, 0.06),
    Motion(0.70, 0.55, 0.050, -0.015, 0.20, 1.0, -0.04),
    Motion(0.48, 0.80, -0.02, -0.02, 0.11),
    Motion(0.15, 0.84, -0.02, -0.02, 0.11),
    Motion(0.84, 0.17, -0.02, -0.02, 0.11),
    Motion(0.14, 0.16, -0.02, -0.02, 0.11),
)


def frame(seed: int, t: int, height: int, width: int, objects: int = 2) -> Array:
    """H x W x 3 uint8 RGB picture."""
    rng = np.random.default_rng([seed, 0])
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    picture = np.zeros((height, width, 3)) + rng.uniform(90, 150, 3)
    for _ in range(6):  # background: slow waves that drift by a pixel or so a frame
        fy, fx = rng.uniform(-0.12, 0.12, 2)
        phase, drift = rng.uniform(0, 6.3), rng.uniform(-0.12, 0.12)
        picture += np.cos(x * fx + y * fy + phase + drift * t)[..., None] * rng.uniform(5, 25, 3)
    where = labels(seed, t, height, width, objects)
    for label in range(1, objects + 1):
        picture[where == label] = _texture(label, *_axes(seed, label, t, height, width))[where == label]
    noise = np.random.default_rng([seed, 10_000 + t]).normal(0, 6, picture.shape)
    return np.clip(picture + noise, 0, 255).round().astype(np.uint8)


def labels(seed: int, t: int, height: int, width: int, objects: int = 2) -> Array:
    """H x W uint8 label map."""
    found = np.zeros((height, width), np.uint8)
    for label in range(1, objects + 1):
        u, v = _axes(seed, label, t, height, width)
        if label == 1:
            inside = u**2 + v**2 < 1 + 0.25 * np.cos(5 * np.arctan2(v, u))
        elif label == 2:
            inside = u**4 + v**4 < 1
        else:
            inside = u**2 + v**2 < 1
        found[inside] = label
    return found


def _axes(seed: int, label: int, t: int, height: int, width: int) -> tuple[Array, Array]:
    """Each pixel in the object's own axes, which are 1 at its edge."""
    motion, rng = MOTIONS[label - 1], np.random.default_rng([seed, label])
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    jitter_x, jitter_y = rng.uniform(-0.04, 0.04, 2)
    centre_x = (motion.x + jitter_x + motion.speed_x * t) * width
    centre_y = (motion.y + jitter_y + motion.speed_y * t) * height
    angle = motion.angle + rng.uniform(-0.3, 0.3) + motion.turn * t
    side = min(height, width)
    radius_u = motion.radius * side * rng.uniform(0.95, 1.15)
    radius_v = motion.radius * side * rng.uniform(0.75, 0.95)
    u = ((x - centre_x) * np.cos(angle) + (y - centre_y) * np.sin(angle)) / radius_u
    v = (-(x - centre_x) * np.sin(angle) + (y - centre_y) * np.cos(angle)) / radius_v
    return u, v


def _texture(label: int, u: Array, v: Array) -> Array:
    """The object's colour at every pixel, whether it is there or not."""
    if label == 1:
        return np.array([200.0, 90.0, 60.0]) + 55 * np.sign(np.sin(u * 12))[..., None]
    if label == 2:
        return np.array([70.0, 120.0, 200.0]) + 50 * np.sign(np.sin(u * 9) * np.sin(v * 9))[..., None]
    plain = np.array([230.0, 210.0 - 50 * (label - 3), 60.0 + 40 * (label - 3)])
    return np.broadcast_to(plain, (*u.shape, 3))
