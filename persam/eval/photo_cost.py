"""What a photo costs, in plain encodings of it: `persam bench photo`.

Encodings are taken in turn with what is measured, so that a busy machine changes both.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from persam.eval.peak_memory import peak_mb

Array = np.ndarray[Any, Any]
PHOTO, REFERENCE, OBJECT = "picnic", "chelsea", "cat"  # a photo with the object, and one to learn it from
COIN = "coin"  # what there are many of
MANY_HW, CELL = (960, 1280), 120  # the photo of many, and the room for each
GROUND = (90, 110, 80)  # its colour, RGB
COUNTS = (1, 2, 5, 10, 20, 50)
SIZES = (0.3, 1, 3, 12, 24, 50, 100)  # megapixels


@dataclass(frozen=True)
class Cost:
    """One measurement.

    what: "learn" a concept, segment a "photo", a photo for several "concepts", one of several "instances", or a file of
    so many "megapixels"; count: of these. found: how many of them are found in the photo. ms: the median time.
    encodings: that over the median time of encoding the same photo. each: what one more adds to the first, in
    encodings; None for the first. peak_mb: most memory of the process so far. marginal: what one more adds to the count
    measured before, in encodings: without what several of them cost once.
    """

    what: str
    recipe: str
    count: float
    found: int | None
    input_size: int
    repeats: int
    ms: float
    encodings: float
    each: float | None
    peak_mb: float
    marginal: float | None = None


def costs(model: Any, examples: Path, *, repeats: int, counts: Sequence[int] | None = None) -> Iterator[Cost]:
    """Of learning, of a photo, and of more concepts in one.

    counts: of concepts, ascending; `COUNTS` when not given.
    """
    rgb, shown = _photo(examples, PHOTO), _reference(examples, REFERENCE, OBJECT)
    yield _measured("learn", 1, model, shown[0], partial(model.learn, *shown, name=OBJECT), repeats)
    concept = model.learn(*shown, name=OBJECT)
    before = [_measured("photo", 1, model, rgb, partial(_found, model, rgb, concept), repeats)]
    yield before[0]
    for count in counts or COUNTS:
        several = [replace(concept, name=f"{OBJECT} {number}") for number in range(count)]
        before.append(_measured("concepts", count, model, rgb, partial(_found, model, rgb, several), repeats, before))
        yield before[-1]


def instances(model: Any, examples: Path, *, repeats: int, counts: Sequence[int] | None = None) -> Iterator[Cost]:
    """Of more instances in a photo. counts: ascending; `COUNTS` when not given."""
    shown, before = _reference(examples, COIN, COIN), list[Cost]()
    coin = model.learn(*shown, name=COIN)
    for count in counts or COUNTS:
        many = coins(*shown, count)
        act = partial(_found, model, many, coin, max_instances=count + 1)  # it looks for one more than there are
        before.append(_measured("instances", count, model, many, act, repeats, before))
        yield before[-1]


def sizes(model: Any, examples: Path, folder: Path, *, repeats: int, megapixels: Sequence[float]) -> Iterator[Cost]:
    """Of photos in files of several sizes, reading included.

    folder: where the files are written. megapixels: ascending, so that the peak memory is that of each.
    """
    import multiprocessing

    shown = _reference(examples, REFERENCE, OBJECT)
    concept = model.learn(*shown, name=OBJECT)
    for number in megapixels:
        path = folder / f"{number}.jpg"
        # in a process of its own, whose memory is not counted
        maker = multiprocessing.get_context("spawn").Process(
            target=scaled, args=(examples / "photos" / f"{PHOTO}.jpg", path, number)
        )
        maker.start()
        maker.join()
        yield _measured("megapixels", number, model, shown[0], partial(_found, model, path, concept), repeats)


def scaled(photo: Path, path: Path, megapixels: float) -> None:
    """Writes the photo as a JPEG of so many megapixels."""
    from PIL import Image

    with Image.open(photo) as image:
        factor = (megapixels * 1e6 / (image.width * image.height)) ** 0.5
        size = (round(image.width * factor), round(image.height * factor))
        image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(path, quality=90)


def coins(rgb: Array, mask: Array, count: int) -> Array:
    """A photo with so many of the object in rows, up to as many as there are cells of `CELL` pixels.

    rgb, mask: of the photo that it is cut from.
    """
    import cv2

    from persam.geometry import box_of

    box = box_of(mask)
    assert box is not None
    x0, y0, x1, y1 = box
    scale = 0.7 * CELL / max(x1 - x0, y1 - y0)
    thing = cv2.resize(rgb[y0:y1, x0:x1], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    inside = cv2.resize(mask[y0:y1, x0:x1].astype(np.uint8), (thing.shape[1], thing.shape[0])) > 0
    photo = np.full((*MANY_HW, 3), GROUND, np.uint8)
    columns = MANY_HW[1] // CELL
    for number in range(count):
        top, left = (CELL * place + CELL // 8 for place in divmod(number, columns))
        photo[top : top + thing.shape[0], left : left + thing.shape[1]][inside] = thing[inside]
    return photo


def _found(model: Any, photo: Array | Path, concepts: Any, max_instances: int = 1) -> int:
    """How many instances of all are found."""
    [result] = model.segment(photo, concepts, max_instances=max_instances)
    return sum(one.present for one in result.segmentations)


def _measured(
    what: str,
    count: float,
    model: Any,
    photo: Array,
    act: Callable[[], Any],
    repeats: int,
    before: Sequence[Cost] = (),
) -> Cost:
    """The medians of an act and of encoding the photo; once before, as a warm-up, it tells what was found.

    before: what was measured of fewer.
    """
    made = act()
    acts, encodings = [], []
    for _ in range(repeats):
        begun = time.perf_counter()
        act()
        between = time.perf_counter()
        frame = model.backbone.encode([photo]).frame
        acts.append(between - begun)
        encodings.append(time.perf_counter() - between)
    seconds = statistics.median(acts)
    spent = seconds / statistics.median(encodings)
    fewer = [one for one in before if one.count < count]
    each, marginal = (
        ((spent - one.encodings) / (count - one.count) for one in (fewer[0], fewer[-1])) if fewer else (None, None)
    )
    found = made if isinstance(made, int) else None
    size, peak = frame.input_size, peak_mb()
    return Cost(what, model.recipe.name, count, found, size, repeats, 1000 * seconds, spent, each, peak, marginal)


def _photo(examples: Path, name: str) -> Array:
    from persam.io.images import read_image

    return read_image(examples / "photos" / f"{name}.jpg")


def _reference(examples: Path, photo: str, name: str) -> tuple[Array, Array]:
    from persam.io.masks import read_mask

    rgb = _photo(examples, photo)
    return rgb, read_mask(examples / "masks" / f"{name}.png", (rgb.shape[0], rgb.shape[1]))
