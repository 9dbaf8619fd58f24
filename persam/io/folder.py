"""What `persam segment` leaves in its folder: masks, overlays to look at, and a JSON line for each photo."""

import os
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from persam.errors import DiskFullError, ImageError, OutOfMemoryError, OutputError
from persam.io import write
from persam.io.album import Target
from persam.io.background import in_background
from persam.io.manifest import Item, Manifest, Output
from persam.io.names import Endings, file_part, key, photo_names
from persam.io.results import ImageResult
from persam.io.run import Existing, Record, Run
from persam.io.segmentation import Segmentation

JPEG_SIDE_PX = 65_000  # a JPEG ends at 65,535
OVERLAYS = ("jpg", "png")
WRITERS = 2  # threads: a large photo takes longer to write than to read


@dataclass(frozen=True)
class Folder:
    """Where results go: masks/, overlays/, results.jsonl, and the manifest of the run that made them.

    Masks are named NAME.png; with several concepts NAME_<concept>.png; with instances NAME_1.png, NAME_2.png, …; with
    both NAME_<concept>_1.png, …

    concepts: names of what is looked for.
    max_instances: how many of a concept may be found in one photo.
    overlays: whether there are pictures to look at.
    settings: what else decides the results, plain values by name, for the manifest; None for what is not known yet.
    inputs: files that are read beside the album; like its photos, they are never replaced.
    existing: what to do where the folder holds a run: refuse, resume or overwrite, as for `Run`.

    Raises:
        OutputError: two concepts whose masks would have the same names.
    """

    path: Path
    concepts: tuple[str, ...]
    max_instances: int = 1
    overlays: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[Path, ...] = ()
    existing: Existing = "refuse"

    def __post_init__(self) -> None:
        taken: dict[str, str] = {}
        for concept in self.concepts:
            part = key(file_part(concept))
            if part in taken:
                raise OutputError(
                    f"the concepts {taken[part]!r} and {concept!r} would both write their masks as "
                    f"{file_part(concept)!r}: learn one of them again with another name."
                )
            taken[part] = concept

    def check(self, album: Sequence[Target]) -> None:
        """Touches nothing.

        Raises:
            OutputError: results would replace what is read or what is not ours, or the folder holds a run that may
                not be replaced or resumed.
        """
        self._run(album).check()

    def search(
        self,
        album: Iterable[Target],
        ask: Callable[[Target], ImageResult],
        *,
        kept: Callable[[list[Record]], None] = lambda records: None,
    ) -> Generator[Record, None, None]:
        """The record of every photo that is searched, on disk before the next one is read.

        A photo that cannot be used does not end an album, nor one whose results cannot be written, nor one for which
        the memory does not suffice: its record holds the image and the error, and it is tried again when the run is
        resumed. At the end, results.jsonl has the album's order.

        Args:
            album: the photos.
            ask: finds in a photo what is looked for. The result is stored under a name that no other photo has.
            kept: is given the records of photos that a run that is resumed had finished; they are not searched again.

        Raises:
            OutputError: as for `check`; another process writes into the folder; or results.jsonl cannot be written.
            DiskFullError: there is no room left.
        """
        return self.search_all(album, partial(map, ask), behind=0, kept=kept)

    def search_all(
        self,
        album: Iterable[Target],
        engine: Callable[[Sequence[Target]], Iterator[ImageResult]],
        *,
        behind: int = 1,
        kept: Callable[[list[Record]], None] = lambda records: None,
    ) -> Generator[Record, None, None]:
        """As `search`, with an engine for all photos; results are written while it goes on.

        Args:
            album: the photos.
            engine: gives the result of each photo, in order, or raises its error and goes on with the next.
            behind: how many photos may wait to be written. A line is there as soon as its photo's files are.
            kept: as for `search`.
        """
        photos = list(album)
        with self._run(photos) as run:
            items = run.manifest.items
            done = _by_name(run.records, items)
            kept(list(run.records))
            missing = [(target, item.name) for target, item in zip(photos, items, strict=True) if item.name not in done]
            results, one_line = engine([target for target, _ in missing]), Lock()

            def append(name: str, outcome: Record | ImageResult, target: Target) -> Record:
                record = outcome if isinstance(outcome, dict) else self._record(outcome, name, target)
                with one_line:
                    run.append(record)
                return record

            writes = (partial(append, name, _outcome(results, target), target) for target, name in missing)
            # closed before the run is: what is still being written belongs to it
            with closing(in_background(writes, ahead=behind, threads=WRITERS)) as records:
                for (_, name), record in zip(missing, records, strict=True):
                    done[name] = record.result()
                    yield done[name]
            in_order = [done[item.name] for item in items]
            if in_order != run.records:  # a photo was tried again, or is new, or was written before another
                run.rewrite(in_order)

    def write(self, result: ImageResult) -> Record:
        """Writes masks and overlay of one photo; the record says where they are and what is known of each object.

        Every record has the same keys: None for the mask and the box of what is not present, for a presence that was
        not judged, and for the overlay where there are none. Where one of the files cannot be written, none is left.
        """
        written: list[Path] = []
        try:
            return {
                "image": str(result.source or result.name),
                "present": result.present,
                "objects": [self._object(one, result.name, written) for one in result.segmentations],
                "overlay": self._overlay(result, written) if self.overlays else None,
            }
        except BaseException:
            for file in written:
                file.unlink(missing_ok=True)
            raise

    def _record(self, result: ImageResult, name: str, target: Target) -> Record:
        try:
            return self.write(replace(result, name=name, source=target.source))
        except DiskFullError:
            raise
        except (ImageError, OutOfMemoryError, OutputError) as error:
            return _failed(target, error)

    def _object(self, found: Segmentation, name: str, written: list[Path]) -> Record:
        mask = None
        if found.present:
            mask = found.save(self.path / "masks" / f"{self._mask_name(found, name)}.png")
            written.append(mask)
        return {
            "concept": found.concept,
            "instance": found.instance,
            **found.to_record(),
            "points_xy": [[round(float(x), 1), round(float(y), 1)] for x, y in found.points_xy],
            "labels": [int(label) for label in found.labels],
            "mask": None if mask is None else str(mask),
        }

    def _mask_name(self, found: Segmentation, name: str) -> str:
        concept = [file_part(found.concept)] if len(self.concepts) > 1 else []
        instance = [str(found.instance)] if self.max_instances > 1 else []
        return "_".join([name, *concept, *instance])

    def _overlay(self, result: ImageResult, written: list[Path]) -> str:
        suffix = "jpg" if max(result.size_hw) < JPEG_SIDE_PX else "png"
        written.append(write.write_picture(result.overlay(), self.path / "overlays" / f"{result.name}.{suffix}"))
        return str(written[-1])

    def _run(self, album: Sequence[Target]) -> Run:
        endings = Endings(tuple(map(file_part, self.concepts)) if len(self.concepts) > 1 else (), self.max_instances)
        names = photo_names([target.source.name if target.source else target.name for target in album], endings)
        items = tuple(_item(target, name) for target, name in zip(album, names, strict=True))
        sources = [target.source for target in album if target.source]
        places = [self.path, *sources]
        own = {
            "concept": list(self.concepts),
            "max_instances": self.max_instances,
            "overlays": self.overlays,
            "output": str(self.path),
            # lines say where photos and masks are as the command did
            "begun in": "anywhere" if all(place.is_absolute() for place in places) else os.getcwd(),
        }
        outputs = tuple(output for name in names for output in self._outputs(name, endings))
        manifest = Manifest("segment", {**self.settings, **own}, outputs, items)
        return Run(
            self.path, manifest, inputs=(*self.inputs, *sources), existing=self.existing, keep=_finished, files=_files
        )

    def _outputs(self, name: str, endings: Endings) -> Iterator[Output]:
        for stem in [f"{name}_{part}" for part in endings.concepts] or [name]:
            if endings.most > 1:
                yield Output(f"masks/{stem}_", ".png", endings.most)
            else:
                yield Output(f"masks/{stem}.png")
        if self.overlays:
            yield from (Output(f"overlays/{name}.{suffix}") for suffix in OVERLAYS)


def _outcome(results: Iterator[ImageResult], target: Target) -> Record | ImageResult:
    """The next result; or the record of a photo that could not be searched."""
    try:
        return next(results)
    except DiskFullError:
        raise
    except (ImageError, OutOfMemoryError, OutputError) as error:
        return _failed(target, error)


def _failed(target: Target, error: Exception) -> Record:
    return {"image": str(target.source or target.name), "error": str(error)}


def _item(target: Target, name: str) -> Item:
    try:
        state = os.stat(target.source) if target.source else None
    except OSError:  # it is said when the photo is read
        state = None
    image = str(target.source or target.name)
    return Item(name, image, *((state.st_size, state.st_mtime_ns) if state else ()))


def _by_name(records: Iterable[Record], items: Iterable[Item]) -> dict[str, Record]:
    """The record of each photo that has one. A photo that an album holds twice has two, in this order."""
    names: dict[str, list[str]] = defaultdict(list)
    for item in items:
        names[item.image].append(item.name)
    return {names[record["image"]].pop(0): record for record in records if names.get(record.get("image", ""))}


def _finished(records: Sequence[Record], before: Manifest, now: Manifest) -> list[Record]:
    """The records that need not be made again: without an error, their files there, their photo as it was."""
    unchanged = {item.image for item in set(before.items) & set(now.items)}
    again = {record.get("image") for record in records if "error" in record or not all(map(_is_whole, _files(record)))}
    named = _by_name(records, now.items).values()
    return [record for record in named if record["image"] in unchanged - again]


def _files(record: Record) -> list[Path]:
    """The files that a record names."""
    named = [*(one["mask"] for one in record.get("objects", ())), record.get("overlay")]
    return [Path(one) for one in named if one]


def _is_whole(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0
