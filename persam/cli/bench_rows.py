"""What every `persam bench` does with its measurements."""

import argparse
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


RESULTS, EXAMPLES = Path("data/results"), Path("data/examples")


def table_option(command: argparse.ArgumentParser, name: str) -> None:
    """--csv, the table of that name unless another file is given."""
    default = RESULTS / f"{name}.csv"
    command.add_argument("--csv", type=Path, default=default, help="the table that grows (%(default)s)")


def examples_option(command: argparse.ArgumentParser, flag: str = "--data") -> None:
    command.add_argument(flag, type=Path, default=EXAMPLES, help="the example photos (%(default)s)")


def tell(table: Path, costs: "Iterable[DataclassInstance]") -> None:
    """A row in the table and a line on stdout for each, as soon as it is measured."""
    from persam.eval import cost_rows

    for cost in costs:
        cost_rows.append(table, cost)
        values = {name: value for name, value in asdict(cost).items() if value is not None}
        print(", ".join(f"{name} {_short(value)}" for name, value in values.items()), flush=True)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) and abs(value) < 1000 else str(value)
