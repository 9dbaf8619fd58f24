"""What an album costs in time and memory: `persam bench album`.

The photos are the examples again and again, each with a mark of its own in a corner, so that no two are the same. What
searching costs by itself, with photos in memory and results dropped, is measured before and after.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, cycle, islice
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from jaxtyping import UInt8

from persam.engines import batches
from persam.engines.embedding_cache import CachedBackbone
from persam.engines.embedding_store import EmbeddingStore
from persam.eval.peak_memory import peak_mb
from persam.io.album import Target, iter_targets
from persam.io.folder import Folder
from persam.io.results import ImageResult
from persam.method.concept import Concept
from persam.model import PerSAM
from persam.sam.wrapped import WrappedBackbone
from persam.types import ImageEmbedding

Array = np.ndarray[Any, Any]
PICTURE, OBJECTS = "picnic", ("cat", "cup")
STOPS = (10, 100, 300, 1000)  # photos after which a row is made
BARE = 10  # photos searched by themselves before, and again after
QUALITY = 92  # percent, of the photos' JPEG


@dataclass(frozen=True)
class AlbumCost:
    """One measurement, from the first photo on.

    way: `batches`, as `persam segment` does it; `one_by_one`; or with the cache: `cold`, then `warm` with another
        object.
    side_px: the longer side of the largest photo. at_once: photos searched together.
    encodings: time of a photo over that of encoding it by itself.
    of_bare: time of searching a photo in memory over that of a photo: 1 where reading and writing cost nothing.
    reading, encoding, method, writing: seconds of each over those of all; together more than 1 where they go on beside
        each other. method: searching by itself without its encodings.
    peak_mb: most memory of the process so far. cache_mb: what the cache holds.
    """

    way: str
    recipe: str
    photos: int
    side_px: int
    at_once: int
    photos_per_s: float
    encodings: float
    of_bare: float
    reading: float
    encoding: float
    method: float
    writing: float
    peak_mb: float
    cache_mb: float | None = None


@dataclass
class _Clock:
    """Seconds by name, of all threads."""

    seconds: dict[str, float] = field(default_factory=dict)
    lock: Any = field(default_factory=Lock)

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - begun
            with self.lock:
                self.seconds[what] = self.seconds.get(what, 0.0) + spent


class _TimedBackbone(WrappedBackbone):
    def __init__(self, inner: Any, clock: _Clock):
        super().__init__(inner)
        self.clock = clock

    def around(self, other: Any) -> "_TimedBackbone":
        return _TimedBackbone(other, self.clock)

    def encode(
        self, images: Sequence[UInt8[Array, "_ _ 3"]], *, fills: Sequence[float] | None = None
    ) -> ImageEmbedding:
        with self.clock.of("encoding"):
            return self.inner.encode(images, fills=fills)


@dataclass(frozen=True)
class _TimedFolder(Folder):
    clock: _Clock = field(default_factory=_Clock)

    def write(self, result: ImageResult) -> dict[str, Any]:
        with self.clock.of("writing"):
            return super().write(result)


def album(model: PerSAM, examples: Path, work: Path, photos: int, *, way: str, side_px: int | None) -> list[AlbumCost]:
    """Rows after some of so many photos, and after all; with the cache, after all alone.

    Args:
        model: what searches.
        examples: the folder of the example photos.
        work: an empty folder for the album and its results.
        photos: how many.
        way: `batches`, `one_by_one` or `cache`.
        side_px: the longer side that photos are scaled to; as they are when None.
    """
    files = list(islice(_marked(examples, work / "album", side_px), photos))
    if way != "cache":
        return list(_rows(model, examples, files, work / "out", way))
    store = EmbeddingStore(work / "cache", 10**15)
    rows = []
    for name, thing in zip(("cold", "warm"), OBJECTS, strict=True):
        rows += list(_rows(model, examples, files, work / name, name, store=store, thing=thing))[-1:]
    return rows


def _rows(
    model: PerSAM,
    examples: Path,
    files: list[Path],
    out: Path,
    way: str,
    *,
    store: EmbeddingStore | None = None,
    thing: str = OBJECTS[0],
) -> Iterator[AlbumCost]:
    concept = model.learn(examples / "photos" / f"{PICTURE}.jpg", examples / "truth" / f"{PICTURE}_{thing}.png")
    clock, some = _Clock(), files[:BARE]
    timed = model.with_backbone(_TimedBackbone(model.backbone, clock))
    measured = timed if store is None else model.with_backbone(CachedBackbone(timed.backbone, store))
    alone, sides = [_bare(model, concept, some)], []

    def read(target: Target) -> Callable[[], UInt8[Array, "h w 3"]]:
        def timed_read() -> UInt8[Array, "h w 3"]:
            with clock.of("reading"):
                rgb = target.read()
            sides.append(max(rgb.shape))
            return rgb

        return timed_read

    targets = [Target(one.name, one.source, read(one)) for one in iter_targets(files)]
    at_once = batches.photos_at_once(model.backbone)
    folder = _TimedFolder(out, (concept.name,), clock=clock)
    if way == "one_by_one":
        records = folder.search(targets, lambda one: next(measured.segment([one], concept)))
    else:
        records = folder.search_all(
            targets, lambda some: batches.search(measured, some, concept, hold=True), behind=at_once
        )
    stops = []
    begun = time.perf_counter()
    for number, record in enumerate(records, start=1):
        assert "error" not in record, record
        if number in STOPS or number == len(files):
            stops.append((number, time.perf_counter() - begun, dict(clock.seconds), peak_mb()))
    alone.append(_bare(model, concept, some))
    encoding, searching = (sum(one[place] for one in alone) / 2 for place in (0, 1))
    encoded_alone = sum(one[2] for one in alone) / 2
    for number, wall, spent, peak in stops:
        each = wall / number
        yield AlbumCost(
            way,
            concept.recipe.name,
            number,
            max(sides),
            1 if way == "one_by_one" else at_once,
            photos_per_s=1 / each,
            encodings=each / encoding,
            of_bare=searching / each,
            reading=spent.get("reading", 0.0) / wall,
            encoding=spent.get("encoding", 0.0) / wall,
            method=(searching - encoded_alone) / each,
            writing=spent.get("writing", 0.0) / wall,
            peak_mb=peak,
            cache_mb=None if store is None else sum(one.stat().st_size for one in store.folder.iterdir()) / 1e6,
        )


def _bare(model: PerSAM, concept: Concept, files: list[Path]) -> tuple[float, float, float]:
    """Seconds of a photo in memory: of encoding it by itself, of searching it, and of the encodings in the search."""
    photos = [target.read() for target in iter_targets(files)]
    clock = _Clock()
    timed = model.with_backbone(_TimedBackbone(model.backbone, clock))
    for rgb in photos:
        with clock.of("alone"):
            model.backbone.encode([rgb])
    targets = [Target(str(number), None, rgb.view) for number, rgb in enumerate(photos)]
    with clock.of("searching"):
        for _ in batches.search(timed, targets, concept):
            pass
    alone, searching, encoding = (clock.seconds[name] / len(photos) for name in ("alone", "searching", "encoding"))
    return alone, searching, encoding


def _marked(examples: Path, folder: Path, side_px: int | None) -> Iterator[Path]:
    """JPEG files of the example photos, over and over, no two with the same pixels."""
    from PIL import Image

    from persam.io.images import read_image

    folder.mkdir(parents=True)
    photos = [read_image(target.source) for target in iter_targets(examples / "photos")]
    for number, rgb in zip(count(), cycle(photos)):
        image = Image.fromarray(rgb)
        if side_px is not None:
            share = side_px / max(image.size)
            width, height = (max(16, round(share * side)) for side in image.size)
            image = image.resize((width, height), Image.Resampling.BICUBIC)
        mark = tuple(16 * (number >> shift & 15) for shift in (0, 4, 8))  # so far apart that JPEG keeps them apart
        image.paste(mark, (0, 0, 16, 16))
        path = folder / f"{number:05d}.jpg"
        image.save(path, quality=QUALITY)
        yield path
