"""Rows of what something costs: each says on which machine, with which code and libraries it was measured."""

import csv
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from persam.errors import OutputError
from persam.eval.table import machine_name, source_state

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def append(path: Path, cost: "DataclassInstance") -> None:
    """Adds a measurement, any dataclass of numbers and words, to its CSV; a new file gets a header.

    Raises:
        OutputError: the file cannot be written.
    """
    import torch

    commit, dirty = source_state()
    known = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "dirty": dirty,
        "machine": machine_name(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    columns = [*known, *(field.name for field in fields(cost))]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            if not file.tell():
                writer.writeheader()
            values = known | asdict(cost)
            writer.writerow({name: f"{v:.4g}" if isinstance(v, float) else v for name, v in values.items()})
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}. Name another file.") from error
