"""The whole examination, in the order in which one thing needs the other."""

from collections.abc import Iterable, Iterator
from itertools import chain

from persam.doctor.line import Line
from persam.doctor.machine import check_codecs, check_model, check_places, check_python, check_torch, check_weights
from persam.doctor.packages import check_packages


def examine() -> Iterator[Line]:
    """Every line of the report, as it is found out. Nothing is changed, and nothing fetched."""
    yield check_python()
    installed = []
    for line in chain(check_packages(), check_torch()):
        installed.append(line)
        yield line
    if works(installed):
        yield from check_codecs()
        yield from check_model()
    else:
        yield Line("search", "broken", "what it needs is not in order, see above", needed=True)
    yield from check_weights()
    yield from check_places()


def works(lines: Iterable[Line]) -> bool:
    """Whether photos can be searched with the bundled model."""
    return all(line.state == "ok" for line in lines if line.needed)
