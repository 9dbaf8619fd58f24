"""The folder or address that a cluster writes into: a manifest, Parquet files, masks, and what of them is finished."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from persam.cluster.addresses import file_system, is_address
from persam.errors import DataError, OutputError
from persam.io import manifest, write
from persam.io.manifest import Manifest
from persam.io.rows import from_parquet, to_parquet
from persam.io.run import Existing

if TYPE_CHECKING:
    import pyarrow as pa

Made = TypeVar("Made")
COMMAND = "segment --engine ray"
PARTS, MASKS = "results", "masks"
AT_ONCE = 16  # files that are read at a time: a store far away answers each late


@dataclass(frozen=True)
class Store:
    """place: a folder, or an address of one, that every machine of the cluster reaches by this name."""

    place: str

    @classmethod
    def of(cls, place: str | os.PathLike[str]) -> "Store":
        text = os.fspath(place)
        return cls(text.rstrip("/") if is_address(text) else os.path.abspath(os.path.expanduser(text)))

    @property
    def is_remote(self) -> bool:
        return is_address(self.place)

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None where there is none."""

        def read() -> bytes | None:
            try:
                if not self.is_remote:
                    return Path(self.place, name).read_bytes()
                system, path = file_system(self.place)
                return bytes(system.cat_file(f"{path}/{name}"))
            except FileNotFoundError:
                return None

        return self._tried("read", name, read)

    def write(self, name: str, data: bytes) -> None:
        """The file appears whole or not at all: a store of objects does so by itself."""
        if not self.is_remote:
            write.write_bytes(data, Path(self.place, name))
            return
        system, path = file_system(self.place)

        def put() -> None:
            folder = f"{path}/{name}".rpartition("/")[0]
            system.makedirs(folder, exist_ok=True)
            system.pipe_file(f"{path}/{name}", data)

        self._tried("write", name, put)

    def parts(self, pattern: str = "part-*.parquet") -> list[str]:
        """The Parquet files that are there, or others of the results' folder."""

        def listed() -> list[str]:
            if not self.is_remote:
                return [str(path) for path in Path(self.place, PARTS).glob(pattern)]
            system, path = file_system(self.place)
            system.invalidate_cache()  # others write here too
            return list(map(str, system.glob(f"{path}/{PARTS}/{pattern}")))

        return sorted(f"{PARTS}/{one.rsplit('/', 1)[-1]}" for one in self._tried("list", PARTS, listed))

    def remove(self, names: Sequence[str]) -> None:
        def removed() -> None:
            for name in names:
                if not self.is_remote:
                    Path(self.place, name).unlink(missing_ok=True)
                else:
                    system, path = file_system(self.place)
                    system.rm_file(f"{path}/{name}")

        self._tried("remove files of", "", removed)

    def manifest(self) -> Manifest | None:
        data = self.read(manifest.NAME)
        return None if data is None else Manifest.of_bytes(data, f"{self.place}/{manifest.NAME}")

    def check(self, now: Manifest, existing: Existing) -> None:
        """Touches nothing.

        Raises:
            OutputError: the place holds a run that may not be replaced or resumed, or Parquet files of others.
        """
        old = self.manifest()
        if old is None:
            if self.parts():
                raise OutputError(
                    f"{self.place}/{PARTS} holds Parquet files, and no manifest says that a run of persam left them "
                    "there. Move them, or choose another folder."
                )
            return
        different = old.differences(now)
        if old.command != COMMAND or (different and existing != "overwrite"):
            go_on = "Choose another folder" + ("" if old.command != COMMAND else ", or begin again with --overwrite")
            raise OutputError(f"{self.place} holds the results of another run: {'; '.join(different)}. {go_on}.")
        if existing == "refuse":
            raise OutputError(
                f"{self.place} holds this run already: go on with --resume, begin again with --overwrite, or choose "
                "another folder."
            )

    def begin(self, now: Manifest, existing: Existing) -> set[str]:
        """Makes the place this run's own; the photos that are finished there already.

        With `resume`, photos with an error are forgotten, and so tried again. With `overwrite`, nothing is kept.

        Raises:
            OutputError: as for `check`, or the place cannot be read or written.
        """
        self.check(now, existing)
        with ThreadPoolExecutor(AT_ONCE) as threads:
            done = set[str]().union(*threads.map(self._kept if existing == "resume" else self._removed, self.parts()))
        self.remove(self.parts("_begun-*.json"))  # of workers that were stopped with their job
        self.write(manifest.NAME, now.as_bytes())
        return done

    def tables(self, columns: Sequence[str]) -> "Iterator[pa.Table]":
        """These columns of every part, a part at a time.

        Raises:
            OutputError: a part cannot be read.
        """
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for part, table in zip(self.parts(), threads.map(partial(self._table, columns), self.parts()), strict=True):
                if table is None:
                    raise OutputError(f"{self.place}/{part} is damaged. Its photos are done again with --resume.")
                yield table

    def _table(self, columns: Sequence[str] | None, part: str) -> "pa.Table | None":
        """None for a part that is damaged."""
        try:
            return from_parquet(self.read(part) or b"", columns)
        except DataError:
            return None

    def _kept(self, part: str) -> set[str]:
        table = self._table(None, part)
        if table is None:
            self.remove([part])
            return set()
        errors = table.column("error")
        if errors.null_count == len(table):
            return set(table.column("photo").to_pylist())
        whole = table.filter(errors.is_null())
        if len(whole):
            self.write(part, to_parquet(whole))
        else:
            self.remove([part])
        return set(whole.column("photo").to_pylist())

    def _removed(self, part: str) -> set[str]:
        table = self._table(["mask"], part)
        masks = [] if table is None else table.column("mask").to_pylist()
        self.remove([name for name in masks if name and name.startswith(f"{MASKS}/") and ".." not in name])
        self.remove([part])
        return set()

    def _tried(self, what: str, name: str, act: Callable[[], Made]) -> Made:
        try:
            return act()
        except OutputError:
            raise
        except Exception as error:  # every store has errors of its own
            where = f"{self.place}/{name}".rstrip("/")
            raise OutputError(
                f"cannot {what} {where} ({type(error).__name__}: {error}). Check the place and its rights."
            ) from error


@dataclass(frozen=True)
class Summary:
    """What the Parquet files of a folder hold.

    photos: how many were tried. failed: those that could not be searched. found: in how many each concept is.
    """

    photos: int
    failed: int
    found: dict[str, int] = field(default_factory=dict)


def summary(place: str | os.PathLike[str]) -> Summary:
    """Of the results in a folder or at an address.

    Raises:
        OutputError: it cannot be read.
    """
    photos: set[object] = set()
    failed, found = 0, Counter[str]()
    for table in map(_columns, Store.of(place).tables(["photo", "concept", "present", "error"])):
        photos.update(table["photo"])
        failed += sum(error is not None for error in table["error"])
        rows = zip(table["photo"], table["concept"], table["present"], strict=True)
        found.update(str(concept) for _, concept in {(photo, concept) for photo, concept, here in rows if here})
    return Summary(len(photos), failed, dict(found))


def _columns(table: "pa.Table") -> dict[str, list[object]]:
    columns: dict[str, list[object]] = table.to_pydict()
    return columns
