"""A run's hold on its folder: nothing of others is replaced, every line is whole, and it can go on where it stopped."""

import errno
import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from persam.errors import OutputError
from persam.io import write
from persam.io.lock import only_writer
from persam.io.manifest import NAME, Manifest, Output, Plan, counted
from persam.io.names import key

Record = dict[str, Any]  # a line of results.jsonl
Existing = Literal["refuse", "resume", "overwrite"]
LINES = "results.jsonl"
OWN = (Output(NAME), Output(LINES))


class Run:
    """A run of a command, and the folder that it alone writes into, as a context manager.

    The folder holds manifest.json, which is there before anything else, results.jsonl, a line an item, written when
    the item's files are, and those files.

    Args:
        path: the folder; it is made when it is not there yet.
        manifest: what is run, and which files it may write.
        inputs: the files that it reads, none of which may be written.
        existing: what to do where the folder holds a run: refuse; resume, if it is the same; or overwrite, which
            removes what that run's manifest names and nothing else.
        keep: the records, of those there are, that a run that is resumed need not make again; it is given the manifests
            of then and now. None of a run that cannot be resumed.
        files: the files that a record names.

    Attributes:
        records: those in results.jsonl.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        *,
        inputs: Iterable[Path] = (),
        existing: Existing = "refuse",
        keep: Callable[[Sequence[Record], Manifest, Manifest], list[Record]] | None = None,
        files: Callable[[Record], list[Path]] = lambda record: [],
    ) -> None:
        self.path, self.manifest, self.existing = path, manifest, existing
        self.records: list[Record] = []
        self._lines: FileIO | None = None
        self._inputs, self._keep, self._files = tuple(inputs), keep, files
        self._open = ExitStack()

    def check(self) -> None:
        """Touches nothing.

        Raises:
            OutputError: the run would replace one of its inputs or a file of others, or the folder holds a run that
                may not be replaced or resumed.
        """
        old = Manifest.load(self.path) if self.path.is_dir() else None
        planned = Plan((*OWN, *self.manifest.outputs), folded=True)
        removed = set(Plan(old.outputs, folded=False).on_disk(self.path)) if old else set()
        in_the_way = set(planned.on_disk(self.path))
        self._spare_inputs(planned, in_the_way | removed)
        if old is None:
            self._check_empty(planned, in_the_way)
        else:
            self._check_old(old)
            own = removed | {self.path / one.start for one in OWN}
            self._check_foreign(sorted(in_the_way - own))

    def __enter__(self) -> "Run":
        self.check()
        with write.as_output_error(self.path / LINES):
            self.path.mkdir(parents=True, exist_ok=True)
            self._open.enter_context(only_writer(self.path))
        try:
            self.check()  # again, now that nobody else can change it
            old = Manifest.load(self.path)
            if old and self._keep and self.existing == "resume":  # killed anywhere in here, it can be resumed again
                self._write_lines(self._keep(read_lines(self.path / LINES), old, self.manifest))
                self._remove(old.outputs, but=[file for record in self.records for file in self._files(record)])
            elif old:
                self._remove((Output(LINES), *old.outputs))
            self.manifest.save(self.path)
            self.rewrite(self.records)
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def append(self, record: Record) -> None:
        """Adds a line, whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        assert self._lines is not None
        data = (json.dumps(record) + "\n").encode()
        with write.as_output_error(self.path / LINES):
            before = os.fstat(self._lines.fileno()).st_size
            try:
                if self._lines.write(data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except BaseException:
                self._lines.truncate(before)
                raise
        self.records.append(record)

    def rewrite(self, records: Sequence[Record]) -> None:
        """Makes these the lines, in this order, all at once."""
        if self._lines:
            self._lines.close()
        path = self._write_lines(records)
        with write.as_output_error(path):
            self._lines = self._open.enter_context(path.open("ab", buffering=0))

    def _write_lines(self, records: Sequence[Record]) -> Path:
        self.records = list(records)
        return write.write_bytes("".join(json.dumps(one) + "\n" for one in records).encode(), self.path / LINES)

    def _remove(self, outputs: Iterable[Output], *, but: Iterable[Path] = ()) -> None:
        """Removes those of the outputs that are there, also half written, and folders that are empty then."""
        plan, kept = Plan(outputs, folded=False), {os.path.abspath(path) for path in but}
        folders = [self.path / part for part in {".", *plan.folders}]
        parts = [one for folder in folders if folder.is_dir() for one in folder.iterdir() if write.is_part(one.name)]
        with write.as_output_error(self.path):
            for file in (*plan.on_disk(self.path), *parts):
                if os.path.abspath(file) not in kept:
                    file.unlink(missing_ok=True)
        for part in plan.folders - {"."}:
            with suppress(OSError):  # it holds more, or was never made
                (self.path / part).rmdir()

    def _spare_inputs(self, planned: Plan, files: set[Path]) -> None:
        """Inputs are compared as files, so also through links, and by name, where the output is not there yet."""
        known = {identity: path for path in self._inputs if (identity := _identity(path)) is not None}
        written = next((known[found] for file in sorted(files) if (found := _identity(file)) in known), None)
        if written is None:
            roots = {key(place) for place in (os.path.abspath(self.path), os.path.realpath(self.path))}
            for path in self._inputs:
                for place in {key(os.path.abspath(path)), key(os.path.realpath(path))}:
                    inside = [place[len(root) + 1 :] for root in roots if place.startswith(root + os.sep)]
                    if any(planned.holds(part.replace(os.sep, "/")) for part in inside):
                        written = path
        if written is not None:
            raise OutputError(
                f"{written} is an input of this run, and its results in {self.path} would replace it. "
                "Choose another folder."
            )

    def _check_empty(self, planned: Plan, in_the_way: set[Path]) -> None:
        """Without a manifest, nobody can tell which files in the folders of results are results."""
        within = (self.path / part for part in sorted(planned.folders - {"."}))
        others = [file for folder in within if folder.is_dir() for file in folder.iterdir()]
        self._check_foreign(sorted({*in_the_way, *others}))

    def _check_foreign(self, files: list[Path]) -> None:
        if files:
            names = [file.relative_to(self.path).as_posix() for file in files]
            raise OutputError(
                f"{self.path} holds {counted(names, 'file')} in the place of results, and no manifest says that "
                "a run of persam left them there. Move them, or choose another folder."
            )

    def _check_old(self, old: Manifest) -> None:
        if self.existing == "overwrite":
            return
        different = old.differences(self.manifest)
        if different and self.existing == "resume":
            raise OutputError(
                f"cannot resume the run in {self.path}: {'; '.join(different)}. Give the same as then, choose another "
                "folder, or begin again with --overwrite."
            )
        if different:
            raise OutputError(
                f"{self.path} holds the results of another run: {'; '.join(different)}. Choose another folder, or "
                "replace them with --overwrite."
            )
        if self.existing == "refuse":
            done = sum("error" not in record for record in read_lines(self.path / LINES))
            of = f"{done} of {len(old.items)}" if old.items else str(done)
            go_on = "go on with --resume, or " if self._keep else ""
            raise OutputError(
                f"{self.path} holds this run already, {of} done: {go_on}begin again with --overwrite, or choose "
                "another folder."
            )


def read_lines(path: Path) -> list[Record]:
    """The whole lines of a file of records; one that was cut off, or is damaged, is left out."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    records = []
    for line in lines:
        with suppress(ValueError):
            record = json.loads(line)
            if line.endswith(b"\n") and isinstance(record, dict):
                records.append(record)
    return records


def _identity(path: Path) -> tuple[int, int] | None:
    with suppress(OSError, ValueError):
        state = path.stat()
        return state.st_dev, state.st_ino
    return None
