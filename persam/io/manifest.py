"""What a run is, and which files it may leave in its folder: enough to go on with it, and to remove it again."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from persam.errors import OutputError
from persam.io import write
from persam.io.names import key

FORMAT = "persam-run-1"
NAME = "manifest.json"
SHOWN = 3  # files that a message names before it only counts


@dataclass(frozen=True)
class Output:
    """A file that a run may write, as a path within its folder; or with `most`, so many, numbered from 1.

    start: the path, or what stands before the number. end: what stands behind it.
    """

    start: str
    end: str = ""
    most: int = 0

    @property
    def folder(self) -> str:
        return str(PurePosixPath(self.start).parent)


@dataclass(frozen=True)
class Item:
    """One photo of a run, and how its file was when the run began. bytes, modified_ns: None where there is none."""

    name: str
    image: str
    bytes: int | None = None
    modified_ns: int | None = None


@dataclass(frozen=True)
class Manifest:
    """A run. Two of the same command, settings and items leave the same results.

    settings: plain values by name; None for what is not known yet.
    """

    command: str
    settings: Mapping[str, Any]
    outputs: tuple[Output, ...]
    items: tuple[Item, ...] = field(default=())

    def save(self, folder: Path) -> None:
        write.write_bytes(self.as_bytes(), folder / NAME)

    def as_bytes(self) -> bytes:
        """What its file holds."""
        plain: dict[str, Any] = {"format": FORMAT, "command": self.command, "settings": dict(self.settings)}
        plain["photos"] = [asdict(item) for item in self.items]
        plain["outputs"] = [[one.start, one.end, one.most] if one.most else one.start for one in self.outputs]
        text = "{\n" + ",\n".join(f'"{name}": {_lines(value)}' for name, value in plain.items()) + "\n}\n"
        return text.encode()

    @classmethod
    def load(cls, folder: Path) -> "Manifest | None":
        """The manifest in the folder; None where there is none.

        Raises:
            OutputError: a manifest.json that is none of ours.
        """
        path = folder / NAME
        if not path.is_file():
            return None
        try:
            data = path.read_bytes()
        except OSError as error:
            raise _not_ours(path, error) from error
        return cls.of_bytes(data, path)

    @classmethod
    def of_bytes(cls, data: bytes, path: object) -> "Manifest":
        """The manifest that a file holds. path: what messages call it.

        Raises:
            OutputError: it is none of ours.
        """
        try:
            plain = json.loads(data.decode("utf-8"))
            if plain["format"] != FORMAT:
                raise ValueError(f"its format is {plain['format']}")
            outputs = [Output(one) if isinstance(one, str) else Output(*one) for one in plain["outputs"]]
            if any(one.start.startswith("/") or ".." in PurePosixPath(one.start).parts for one in outputs):
                raise ValueError("it names files outside its folder")
            items = tuple(Item(**item) for item in plain["photos"])
            return cls(plain["command"], plain["settings"], tuple(outputs), items)
        except (ValueError, KeyError, TypeError) as error:
            raise _not_ours(path, error) from error

    def differences(self, now: "Manifest") -> list[str]:
        """Why `now` may not go on with this run, in words; nothing where it may. Photos may have been added."""
        if self.command != now.command:
            return [f"it is a run of `persam {self.command}`"]
        found = [
            f"{name} {_short(self.settings.get(name))} then, {_short(now.settings.get(name))} now"
            for name in dict.fromkeys([*now.settings, *self.settings])
            if self.settings.get(name) != now.settings.get(name)
            and (now.settings.get(name) is not None or name not in now.settings)
        ]
        given = {(item.name, item.image) for item in now.items}
        gone = [item.image for item in self.items if (item.name, item.image) not in given]
        if gone:
            found.append(f"{counted(gone, 'photo')} of it {'is' if len(gone) == 1 else 'are'} not given now")
        return found


def results_in(folder: Path) -> set[str]:
    """The real paths of what the run of this folder's manifest has left there; nothing where there is none."""
    manifest = Manifest.load(folder)
    return (
        {os.path.realpath(file) for file in Plan(manifest.outputs, folded=False).on_disk(folder)} if manifest else set()
    )


class Plan:
    """Finds outputs among the files of a folder.

    outputs: what is looked for. folded: whether names count as the same that some file system does not tell apart.
    """

    def __init__(self, outputs: Iterable[Output], *, folded: bool) -> None:
        self._same = key if folded else str
        self._files: set[str] = set()
        self._numbered: dict[tuple[str, str], int] = {}
        self.folders: set[str] = set()
        for one in outputs:
            self.folders.add(one.folder)
            if one.most:
                self._numbered[self._same(one.start), self._same(one.end)] = one.most
            else:
                self._files.add(self._same(one.start))

    def holds(self, path: str) -> bool:
        """Whether a path within the folder, with / between its parts, is one of the outputs."""
        known = self._same(path)
        if known in self._files:
            return True
        found = re.fullmatch(r"(.*?)([1-9][0-9]*)([^0-9]*)", known, re.DOTALL)
        return found is not None and int(found[2]) <= self._numbered.get((found[1], found[3]), 0)

    def on_disk(self, folder: Path) -> Iterator[Path]:
        """The outputs that are there."""
        for part in sorted(self.folders):
            within = folder / part
            for file in sorted(within.iterdir()) if within.is_dir() else ():
                if self.holds(str(PurePosixPath(part) / file.name)):
                    yield file


def counted(names: list[str], noun: str) -> str:
    """`2 photos (a.jpg, b.jpg)`."""
    more = ", ..." if len(names) > SHOWN else ""
    return f"{len(names)} {noun}{'s' if len(names) != 1 else ''} ({', '.join(names[:SHOWN])}{more})"


def _not_ours(path: object, error: Exception) -> OutputError:
    return OutputError(
        f"{path} is not the manifest of a run of this version of persam ({error}). Choose another folder."
    )


def _lines(value: Any) -> str:
    """JSON with one item of a list a line: an album of thousands can be read by people, and compared."""
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(json.dumps(item) for item in value) + "\n]"
    return json.dumps(value, indent=1 if isinstance(value, dict) else None)


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 160 else f"{text[:157]}..."
