"""The whole examination, in the order in which one thing needs the other."""

from collections.abc import Iterable, Iterator

from persam.doctor.line import Line
from persam.doctor.machine import check_codecs, check_model, check_places, check_python, check_torch, check_weights
from persam.doctor.packages import check_packages


def examine() -> Iterator[Line]:
    """Every line of the report, as it is found out. Nothing is changed, and nothing fetched."""
    yield check_python()
    sound = True
    for line in check_packages():
        sound = sound and (line.state == "ok" or not line.needed)
        yield line
    for line in check_torch():
        sound = sound and (line.state == "ok" or not line.needed)
        yield line
    if sound:
        yield from check_codecs()
        yield from check_model()
    else:
        yield Line("search", "broken", "what it needs is not in order, see above", needed=True)
    yield from check_weights()
    yield from check_places()


def works(lines: Iterable[Line]) -> bool:
    """Whether photos can be searched with the bundled model."""
    return all(line.state == "ok" for line in lines if line.needed)
