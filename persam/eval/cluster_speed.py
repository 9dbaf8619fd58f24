"""How many photos a second a cluster searches, against one process: `persam bench cluster`.

The album is the example photos, again and again, as files of their own. A run is timed from its first block's beginning
to its last block's end: starting Ray and loading models is a column of its own, since a large album pays it once.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persam.cluster import job
from persam.cluster.store import Store
from persam.errors import DataError
from persam.io.rows import Row, rows_of, table_of

if TYPE_CHECKING:
    from persam.method.concept import Concept
    from persam.model import PerSAM

REFERENCE, MASK = "photos/coffee.jpg", "box:75,15,482,392"
MILLION = 1_000_000


@dataclass(frozen=True)
class Speed:
    """One measurement.

    ray: its version. engine: `process`, this one alone, or `ray`. start_s: until the first photo is begun. search_s:
    from then to the last photo's end. photos_per_s: within search_s. photos_per_s_worker: of one worker, a core on a
    CPU. worker_hours: those of a million photos at that speed. differing: photos whose rows are not those of one
    process.
    """

    ray: str
    model: str
    device: str
    engine: str
    workers: int
    photos: int
    block: int
    start_s: float
    search_s: float
    photos_per_s: float
    photos_per_s_worker: float
    worker_hours: float
    differing: int


def measure(
    model: "PerSAM",
    examples: Path,
    folder: Path,
    *,
    photos: int,
    workers: tuple[int, ...],
    block: int,
    device: str = "cpu",
) -> Iterator[Speed]:
    """One process with one thread on the CPU first, then each number of workers.

    Args:
        model: on the CPU.
        examples: the example photos.
        folder: an empty one for the album and the results.
        photos: how many the album holds.
        workers: how many workers, one run each.
        block: photos in a block.
        device: of the workers, `cpu` (a core each, one thread) or `cuda`.

    Raises:
        DataError: there are no example photos.
        PerSAMError: as for `persam.cluster.run`.
    """
    places = album_of(examples, folder / "album", photos)
    concept = model.learn(examples / REFERENCE, MASK, name="cup")
    with one_thread():
        begun = time.time()
        expected = {place: _plain(rows_of(place, found)) for place, found in _one_by_one(model, concept, places)}
        ended = time.time()
    yield _speed(model, "cpu", "process", 1, block, (begun, begun, ended), expected, expected)
    job.connect(quiet=True)  # only now: it takes processor time of its own
    for count in workers:
        place = folder / f"found-{count}"
        asked = job.Workers(count=count, device=device, block=block)
        begun = time.time()
        blocks = list(job.run(places, concept, place, model=model, workers=asked))
        times = (begun, min(one.began for one in blocks), max(one.ended for one in blocks))
        found: dict[str, list[Row]] = {}
        for table in Store.of(place).tables(table_of([]).column_names):
            for row in table.to_pylist():
                found.setdefault(row["photo"], []).append(row)
        yield _speed(model, device, "ray", count, block, times, found, expected)


@contextmanager
def one_thread() -> Iterator[None]:
    """As a worker on a core has."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def album_of(examples: Path, folder: Path, count: int) -> list[str]:
    """The example photos, copied in turn until there are so many.

    Raises:
        DataError: there are none.
    """
    sources = sorted((examples / "photos").glob("*.jpg"))
    if not sources:
        raise DataError(f"{examples} holds no photos/*.jpg. Name the folder of the example photos with --data.")
    folder.mkdir(parents=True)
    copies = (shutil.copy(sources[number % len(sources)], folder / f"{number:06}.jpg") for number in range(count))
    return [str(Path(copy).absolute()) for copy in copies]


def _one_by_one(model: "PerSAM", concept: "Concept", places: list[str]) -> Iterator[tuple[str, Any]]:
    return zip(places, model.segment(places, concept, on_error="skip"), strict=True)


def _plain(rows: Iterator[Row]) -> list[Row]:
    """The rows as they come out of Parquet."""
    plain: list[Row] = table_of(list(rows)).to_pylist()
    return plain


def _speed(
    model: "PerSAM",
    device: str,
    engine: str,
    workers: int,
    block: int,
    times: tuple[float, float, float],
    found: dict[str, list[Row]],
    expected: dict[str, list[Row]],
) -> Speed:
    begun, first, last = times
    rate = len(expected) / (last - first)
    return Speed(
        ray=version("ray"),
        model=model.backbone.name,
        device=device,
        engine=engine,
        workers=workers,
        photos=len(expected),
        block=block,
        start_s=first - begun,
        search_s=last - first,
        photos_per_s=rate,
        photos_per_s_worker=rate / workers,
        worker_hours=MILLION / (rate / workers) / 3600,
        differing=sum(found.get(photo) != rows for photo, rows in expected.items()),
    )
