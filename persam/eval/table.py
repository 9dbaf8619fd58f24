"""The table that evaluations add to: a row an object, and where each number comes from."""

import csv
import hashlib
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from persam.errors import OutputError
from persam.eval.scores import Metrics, Row


@dataclass(frozen=True)
class Provenance:
    """Where a row comes from. commit: of this library, or its version where it was installed without one."""

    date: str
    commit: str
    dirty: bool
    model: str
    fingerprint: str
    recipe: str
    machine: str
    torch: str
    benchmark: str


COLUMNS = tuple(field.name for kind in (Provenance, Row, Metrics) for field in fields(kind) if field.name != "metrics")


def start_table(path: Path) -> None:
    """Makes the CSV with its header, unless it is there already. Worth doing before hours of predictions.

    Raises:
        OutputError: the file has other columns, or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+", newline="") as file:
            file.seek(0)
            header = next(csv.reader(file), None)
            if header is None:
                csv.writer(file, lineterminator="\n").writerow(COLUMNS)
            elif tuple(header) != COLUMNS:
                raise OutputError(
                    f"{path} has the columns {', '.join(header)}, not an evaluation's. Name another file."
                )
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}. Name another file.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise OutputError(f"{path} is no CSV. Name another file.") from error


def append_rows(path: Path, rows: Sequence[Row], provenance: Provenance) -> None:
    """Adds rows to a CSV; a new file gets the header.

    Raises:
        OutputError: the file has other columns, or cannot be written.
    """
    start_table(path)
    try:
        with path.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            for row in rows:
                values = {**asdict(provenance), **asdict(row), **asdict(row.metrics)}
                writer.writerow([_cell(values[column]) for column in COLUMNS])
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error}.") from error


def provenance(benchmark: str, model: str, recipe: str, fingerprint: str, *, machine: str | None = None) -> Provenance:
    """Now, here, at this commit."""
    commit, dirty = source_state()
    return Provenance(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit,
        dirty=dirty,
        model=model,
        fingerprint=fingerprint,
        recipe=recipe,
        machine=machine or machine_name(),
        torch=_version_of("torch"),
        benchmark=benchmark,
    )


def source_state() -> tuple[str, bool]:
    """This library's commit, and whether its files differ from it; its version where it lies in no repository."""
    package = Path(__file__).resolve().parents[1]

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(package), *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "errors.py")  # not merely inside somebody else's repository
        return git("rev-parse", "--short=12", "HEAD"), bool(git("status", "--porcelain", "--", "."))
    except (OSError, subprocess.CalledProcessError):
        return _version_of("persam"), False


@cache
def source_digest() -> str:
    """Twelve hex digits for this library's code: the same code gives the same predictions, committed or not.

    Taken once: what is edited while a run lasts is not the code that runs.
    """
    package, digest = Path(__file__).resolve().parents[1], hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def machine_name() -> str:
    """Processor and cores, as "Intel(R) Xeon(R) …, 2 cores"."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def _cell(value: object) -> object:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
