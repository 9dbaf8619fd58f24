"""What every `persam bench` does with its measurements."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def tell(table: Path, costs: "Iterable[DataclassInstance]") -> None:
    """A row in the table and a line on stdout for each, as soon as it is measured."""
    from persam.eval import cost_rows

    for cost in costs:
        cost_rows.append(table, cost)
        values = {name: value for name, value in asdict(cost).items() if value is not None}
        print(", ".join(f"{name} {_short(value)}" for name, value in values.items()), flush=True)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) and abs(value) < 1000 else str(value)
