"""The same object under other conditions: in another light, by another camera, from another side."""

import cv2
import numpy as np

from training.masks import box_xyxy

TURNED, RELIT = 0.3, 0.4  # how often another view is turned by a quarter or a half, or in quite another light


def jitter_colour(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """With other saturation, contrast, brightness and tint, at times blurred; one image in five as it was."""
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


def change_light(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """In quite another light, or by quite another camera: one to three changes, and perhaps noise."""
    picture = rgb.astype(np.float32) / 255
    changes = rng.permutation(["exposure", "gamma", "white", "channels", "grey"])
    for change in changes[: rng.choice([1, 2, 3], p=[0.55, 0.35, 0.1])]:
        if change == "exposure":
            picture = picture * np.exp2(rng.uniform(-2.3, 1.0))
        elif change == "gamma":
            picture = np.clip(picture, 0, 1) ** np.exp(rng.uniform(-0.8, 0.8))
        elif change == "white":
            warm = rng.normal(0, 0.25)
            picture = picture * np.exp([warm, rng.normal(0, 0.08), -warm]).astype(np.float32)
        elif change == "channels":
            picture = picture[..., rng.permutation(3)]
        else:
            picture = np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2)
    if rng.random() < 0.3:
        picture = picture + rng.normal(0, rng.uniform(0.01, 0.06), picture.shape)
    return (np.clip(picture, 0, 1) * 255).astype(np.uint8)


def draw_bar(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A bar across a mask (h w, bool) that is not empty: float32 (h w), 0 to 1, a tenth to a third of its box wide."""
    x0, y0, x1, y1 = box_xyxy(mask)
    extent = np.array([x1 - x0 + 1, y1 - y0 + 1])
    centre = np.array([x0, y0]) + extent * rng.uniform(0.3, 0.7, 2)
    angle = rng.choice([0, np.pi / 2]) + rng.normal(0, 0.3)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    length, width = 2.0 * extent.max(), max(2.0, np.abs(across) @ extent * rng.uniform(0.1, 0.33))
    corners = [centre + a * along * length + b * across * width / 2 for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    bar = np.zeros(mask.shape, np.float32)
    cv2.fillConvexPoly(bar, np.round(corners).astype(np.int32), 1.0)
    return bar


def motion_blur(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blurred as by a moving camera: averaged along a line of up to a fortieth of the side."""
    reach = int(rng.uniform(1, max(2, rgb.shape[0] / 80)))
    angle = rng.uniform(0, np.pi)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    end = reach * np.array([np.cos(angle), np.sin(angle)])
    first, last = ([int(v) for v in np.round(reach + sign * end)] for sign in (-1, 1))
    cv2.line(kernel, first, last, 1.0)
    return cv2.filter2D(rgb, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def other_view(rgb: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The object from another side, as far as a flat photo has one: photo (h w 3) and mask (h w, bool).

    Rotated, sheared, stretched and in perspective, perhaps mirrored, turned by a quarter or a half, smaller, occluded,
    with an inexact mask, with other colours, in another light, blurred and compressed.
    """
    x0, y0, x1, y1 = box_xyxy(mask)
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)
    quarters = rng.integers(1, 4) if rng.random() < TURNED else 0
    angle = np.deg2rad(rng.normal(0, 10) + 90 * quarters)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shear = np.array([[1, rng.normal(0, 0.15)], [0, 1]])
    stretch = np.diag(np.exp(rng.normal(0, 0.15, 2)) * [rng.choice([-1, 1]), 1])
    moved_to = (corners - corners.mean(0)) @ (turn @ shear @ stretch).T
    moved_to += rng.normal(0, 0.06 * max(x1 - x0, y1 - y0), (4, 2))
    if rng.random() < 0.6:
        moved_to *= np.exp(rng.uniform(np.log(0.25), 0))
    side = int(max(3.2 * np.abs(moved_to).max(), 40))
    place = cv2.getPerspectiveTransform(corners, (moved_to + side / 2).astype(np.float32))
    picture = cv2.warpPerspective(np.ascontiguousarray(rgb), place, (side, side), borderMode=cv2.BORDER_REPLICATE)
    shown = cv2.warpPerspective(mask.astype(np.float32), place, (side, side)) > 0.5
    for change in (_occluded, _inexact):
        changed = change(shown, rng) if shown.any() and rng.random() < 0.4 else shown
        shown = changed if changed.any() else shown
    picture = jitter_colour(picture, rng)
    if rng.random() < RELIT:
        picture = change_light(picture, rng)
    if rng.random() < 0.25:
        picture = motion_blur(picture, rng)
    if rng.random() < 0.3:
        picture = _compressed(picture, int(rng.integers(25, 80)))
    return picture, shown


def _occluded(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Without up to 45 % at one end of the object."""
    x0, y0, x1, y1 = box_xyxy(mask)
    left, across = mask.copy(), rng.integers(2)
    first, last = (x0, x1) if across else (y0, y1)
    cut = round((last - first) * rng.uniform(0.15, 0.45))
    gone = slice(first, first + cut) if rng.random() < 0.5 else slice(last - cut, last)
    left[(slice(None), gone) if across else gone] = False
    return left


def _inexact(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """With an outline that is a little too wide or too narrow."""
    reach = max(1, int(0.02 * np.sqrt(mask.sum())))
    change = cv2.erode if rng.random() < 0.4 else cv2.dilate
    return change(mask.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0


def _compressed(rgb: np.ndarray, quality: int) -> np.ndarray:
    _, file = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, quality])
    picture = cv2.imdecode(file, cv2.IMREAD_COLOR)
    assert picture is not None, "a JPEG written just now does not decode"
    return picture
