"""What was found, for people: a line an object with where it is and where its mask lies. Pipes get JSON lines."""

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from persam.cli.streams import printable

Record = dict[str, Any]
WIDEST = 40  # of a column, in letters


class Printer:
    """Prints the records of a run as they come.

    Args:
        names: of everything that will be told of, for the width of the first column.
        first: what that column is called.
        as_json: JSON lines, also on a terminal.
    """

    def __init__(self, first: str, names: Iterable[str], *, as_json: bool) -> None:
        self.as_json = as_json or not sys.stdout.isatty()
        self._first = first
        self._width = min(WIDEST, max([len(first), *map(len, names)]))
        self._begun = False

    def show(self, record: Record) -> None:
        from tqdm import tqdm

        for line in [json.dumps(record)] if self.as_json else self._lines(record):
            tqdm.write(printable(line, sys.stdout), file=sys.stdout)
        sys.stdout.flush()

    def _lines(self, record: Record) -> Iterator[str]:
        if not self._begun:
            self._begun = True
            yield self._row(self._first, "found", "sure", "where x0,y0 to x1,y1", "mask")
        name = str(record[self._first])
        if "error" in record:
            yield self._row(name, "error", "", "", "")
        for one in record.get("objects", ()):
            yield self._row(name, *_cells(one))
            name = ""

    def _row(self, name: str, found: str, sure: str, where: str, mask: str) -> str:
        name = name if len(name) <= self._width else "..." + name[3 - self._width :]
        return f"{name:<{self._width}}  {found:<24}  {sure:>4}  {where:<22}  {mask}".rstrip()


def _cells(one: Record) -> tuple[str, str, str, str]:
    """What was found, how sure that is, where, and its mask's file."""
    sure = "" if one["presence"] is None else f"{one['presence']:.2f}"
    if not one["present"]:
        return f"{one['concept']}: not here", sure, "", ""
    number = f" {one['instance']}" if one.get("instance", 1) > 1 else ""
    x0, y0, x1, y1 = one["box_xyxy"]
    return f"{one['concept']}{number}", sure, f"{x0},{y0} to {x1},{y1}", one["mask"]
