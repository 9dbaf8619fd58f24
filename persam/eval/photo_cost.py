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
    encodings; None for the first. peak_mb: most memory of the process so far.
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


def costs(model: Any, examples: Path, *, repeats: int, counts: Sequence[int] | None = None) -> Iterator[Cost]:
    """Of learning, of a photo, of more concepts in one, and, where the recipe finds them, of more instances in one.

    counts: ascending; of concepts, and of instances; `COUNTS` when not given.
    """
    from persam.method.recipes import Recipe

    rgb, shown = _photo(examples, PHOTO), _reference(examples, REFERENCE, OBJECT)
    yield _measured("learn", 1, model, shown[0], partial(model.learn, *shown, name=OBJECT), repeats)
    concept = model.learn(*shown, name=OBJECT)
    alone = _measured("photo", 1, model, rgb, partial(_found, model, rgb, concept), repeats)
    yield alone
    for count in counts or COUNTS:
        several = [replace(concept, name=f"{OBJECT} {number}") for number in range(count)]
        yield _measured("concepts", count, model, rgb, partial(_found, model, rgb, several), repeats, alone)
    if not isinstance(model.recipe, Recipe):
        return  # the published ones find one
    coin, first = model.learn(*(shown := _reference(examples, COIN, COIN)), name=COIN), None
    for count in counts or COUNTS:
        many = coins(*shown, count)
        act = partial(_found, model, many, coin, max_instances=count + 1)  # it looks for one more than there are
        cost = _measured("instances", count, model, many, act, repeats, first)
        first = first or cost
        yield cost


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
    what: str, count: float, model: Any, photo: Array, act: Callable[[], Any], repeats: int, first: Cost | None = None
) -> Cost:
    """The medians of an act and of encoding the photo; once before, as a warm-up, it tells what was found."""
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
    each = None if first is None or first.count == count else (spent - first.encodings) / (count - first.count)
    found = made if isinstance(made, int) else None
    return Cost(
        what, model.recipe.name, count, found, frame.input_size, repeats, 1000 * seconds, spent, each, peak_mb()
    )


def _photo(examples: Path, name: str) -> Array:
    from persam.io.images import read_image

    return read_image(examples / "photos" / f"{name}.jpg")


def _reference(examples: Path, photo: str, name: str) -> tuple[Array, Array]:
    from persam.io.masks import read_mask

    rgb = _photo(examples, photo)
    return rgb, read_mask(examples / "masks" / f"{name}.png", (rgb.shape[0], rgb.shape[1]))
