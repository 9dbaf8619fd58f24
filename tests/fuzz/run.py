"""Runs cases and keeps what failed: an error that is not persam's, a hang, or too much memory."""

import resource
import signal
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from tests.fuzz.kinds import EXPECTED, KINDS

SECONDS = 20  # for a case; the slowest takes a tenth of that
MEMORY = 2 << 30  # bytes that a case may ask for beyond what the process has
GROWTH = 1 << 20  # kilobytes that the process may grow to beyond its start, in all


@dataclass(frozen=True)
class Fault:
    """case: kind:seed:number, as `--only` takes it."""

    case: str
    what: str


class Hang(BaseException):
    """No Exception, so that nothing on the way takes it for damaged input."""


def cases(count: int, names: Iterable[str] | None = None) -> Iterator[tuple[str, int]]:
    """Kinds and numbers in turn, each kind by its share; so many of them. names: of the kinds; all when not given."""
    shares = {kind: KINDS[kind][0] for kind in names or KINDS}
    owed = dict.fromkeys(shares, 0)
    for number in range(count):
        for kind, share in shares.items():
            owed[kind] += share
        kind = max(owed, key=lambda one: owed[one])
        owed[kind] -= sum(shares.values())
        yield kind, number


def run_one(kind: str, seed: int, number: int) -> Fault | None:
    """What is wrong with a case, or None."""
    case = f"{kind}:{seed}:{number}"
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with TemporaryDirectory() as folder, warnings.catch_warnings(), _bounded():
        warnings.simplefilter("ignore")
        try:
            KINDS[kind][1](Random(case), Path(folder))
        except EXPECTED as error:
            if not str(error).strip():
                return Fault(case, f"{type(error).__name__} without a message")
        except Hang:
            return Fault(case, f"no end after {SECONDS} s\n{traceback.format_exc()}")
        except BaseException:
            return Fault(case, traceback.format_exc())
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start
    return Fault(case, f"{grown >> 10} MB") if grown > GROWTH else None


@contextmanager
def _bounded() -> Iterator[None]:
    """Time and memory end; what runs in C is ended by the system's own time limit of the test run."""

    def stop(*_: object) -> None:
        raise Hang

    old = signal.signal(signal.SIGALRM, stop)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
