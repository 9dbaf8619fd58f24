"""Training scenes: two views, of one photo or of two, with the masks of the same objects in both.

Two views, because PerSAM compares features across images: the object's features in the reference view must locate it in
the other one, at another place, scale and colour, and among the objects of another photo (`pasted`).
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from training.archive import Photo, Photos, common
from training.masks import box_xyxy, is_group, large_enough, look_alikes
from training.mix import Mix
from training.views import Subject, View, draw_view


@dataclass(frozen=True)
class Scene:
    """Two views, of one photo or of two; the masks of both are of the same objects, in the same order."""

    photo: Photo
    views: tuple[View, View]


def draw_scene(photos: Photos, rng: np.random.Generator, *, size: int, objects: int, mix: Mix) -> Scene:
    """A scene with `objects` masks; those of a photo with fewer are repeated."""
    if mix.another_photo and photos.pairs and rng.random() < mix.another_photo:
        subjects = _two_photos(photos, rng, objects)
    else:
        subjects = 2 * (_repeated(_one_photo(photos, rng, objects, mix), objects),)
    first, second = (draw_view(photos, rng, subject, size=size, mix=mix) for subject in subjects)
    return Scene(subjects[0].photo, (first, second))


def _one_photo(photos: Photos, rng: np.random.Generator, objects: int, mix: Mix) -> Subject:
    kind = rng.random() if mix.joined or mix.composed else 1.0
    if kind < mix.joined and photos.joined:
        return _joined(photos, rng)
    if mix.joined <= kind < mix.joined + mix.composed:
        return _composed(photos, rng, objects, mix)
    return _things(photos, rng, objects, mix)


def _repeated(subject: Subject, objects: int) -> Subject:
    return replace(subject, masks=subject.masks[np.arange(objects) % len(subject.masks)])


def _two_photos(photos: Photos, rng: np.random.Generator, objects: int) -> tuple[Subject, Subject]:
    """Two photos of the same things, the things in the same order."""
    while True:
        pair = photos.pairs[rng.integers(len(photos.pairs))]
        planes = [photos.masks(photo) for photo in pair]
        fit = [set(large_enough(masks).tolist()) for masks, _ in planes]
        shown = [both for both in common(*pair) if both[0] in fit[0] and both[1] in fit[1]]
        if shown:
            break
    chosen = [shown[i] for i in rng.permutation(len(shown))[:objects]]
    one, other = (
        _repeated(Subject(photo, photos.rgb(photo), masks[[both[side] for both in chosen]], ignore), objects)
        for side, (photo, (masks, ignore)) in enumerate(zip(pair, planes, strict=True))
    )
    return one, other


def draw_object(
    photos: Photos, rng: np.random.Generator, mix: Mix, *, smallest: float
) -> list[tuple[np.ndarray, np.ndarray]]:
    """A photo (h w 3) and the mask (h w, bool) of a thing that covers at least that share of it; perhaps two photos."""
    while True:
        if mix.another_photo and photos.pairs and rng.random() < mix.another_photo:
            subjects = list(_two_photos(photos, rng, 1))
        else:
            subjects = [_things(photos, rng, 1, mix)]
        if all(subject.masks[0].mean() >= smallest for subject in subjects):
            return [(subject.rgb, subject.masks[0] > 0) for subject in subjects]


def _things(photos: Photos, rng: np.random.Generator, objects: int, mix: Mix) -> Subject:
    chosen: list[int] = []
    while not chosen:
        photo = photos.draw(rng, mix.sources)
        masks, ignore = photos.masks(photo)
        fit = rng.permutation(large_enough(masks)).tolist()
        chosen = [i for i in fit[: 3 * objects] if not (mix.single and is_group(masks, i))]
        if mix.look_alikes and chosen and rng.random() < mix.look_alikes:
            others = look_alikes(masks, chosen[0])
            chosen = [chosen[0], *(i for i in fit if i in others), *(i for i in chosen[1:] if i not in others)]
    return Subject(photo, photos.rgb(photo), masks[chosen[:objects]], ignore)


def _joined(photos: Photos, rng: np.random.Generator) -> Subject:
    """Two things of one photo as one object, and each by itself."""
    photo, pairs = photos.joined[rng.integers(len(photos.joined))]
    one, other = pairs[rng.integers(len(pairs))]
    masks, ignore = photos.masks(photo)
    return Subject(photo, photos.rgb(photo), np.stack([masks[one] | masks[other], masks[one], masks[other]]), ignore)


def _composed(photos: Photos, rng: np.random.Generator, objects: int, mix: Mix) -> Subject:
    """A thing of another photo pasted upon a thing of this one; the two as one object, and each by itself.

    After twenty pairs of which none fits, things as they are.
    """
    for _ in range(20):
        below, above = (_things(photos, rng, 1, mix) for _ in range(2))
        thing, (x0, y0, x1, y1) = below.masks[0], box_xyxy(below.masks[0])
        if not 0.01 < thing.mean() < 0.35:
            continue
        left, _, right, bottom = box_xyxy(above.masks[0])
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
            return Subject(below.photo, rgb, np.stack([seen | over, seen, over]), below.ignore & ~over & 1)
    return _things(photos, rng, objects, mix)
