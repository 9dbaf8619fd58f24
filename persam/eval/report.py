"""Rows as a table to read in a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from persam.eval.scores import Row

FRACTIONS = {"threshold"}  # everything else is a share, and shown in percent


def lines(rows: Mapping[str, Sequence[Row]], *, without: int = 0) -> Iterator[str]:
    """An aligned table: a line a row, in percent, with the metrics that any of them has; - where one does not.

    Args:
        rows: of every recipe, as `evaluate` gives them.
        without: how many of each recipe's first rows are left out: those of single objects.
    """
    shown = [(recipe, row) for recipe, own in rows.items() for row in own[without:]]
    metrics = [
        name
        for name in shown[0][1].metrics.__dataclass_fields__
        if any(getattr(row.metrics, name) is not None for _, row in shown)
    ]
    table = [["RECIPE", "OBJECT", "N", *(name.upper() for name in metrics), "S/PHOTO"]]
    for recipe, row in shown:
        values = asdict(row.metrics)
        numbers = [_number(values[name], percent=name not in FRACTIONS) for name in metrics]
        table.append([recipe, row.object, str(row.n), *numbers, f"{row.seconds / max(1, row.n):.3f}"])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        words = [cell.ljust(width) for cell, width in zip(cells[:2], widths[:2], strict=True)]
        numbers = [cell.rjust(width) for cell, width in zip(cells[2:], widths[2:], strict=True)]
        yield "  ".join(words + numbers)


def _number(value: float | None, *, percent: bool) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f}" if percent else f"{value:.3f}"
