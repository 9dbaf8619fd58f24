"""Index files that benchmarks publish as pickles, read without running anything they name."""

import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

from persam.errors import DataError

_PLAIN = {
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): defaultdict,
    ("builtins", "list"): list,
    ("builtins", "dict"): dict,
    ("builtins", "set"): set,
}


class Inert:
    """Stands in for whatever class or function a pickle names: takes any arguments and does nothing."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        # Nothing is imported. Public lists name, besides plain containers, only enums of the tool that wrote them.
        return _PLAIN.get((module, name), Inert)


def read_plain_pickle(path: Path) -> Any:
    """The dicts, lists, numbers and texts of a pickle; anything else in it comes back as an `Inert`.

    Raises:
        DataError: the file is damaged, or is more than plain data.
    """
    try:
        with path.open("rb") as file:
            return _PlainUnpickler(file).load()
    except Exception as error:  # a damaged pickle may raise anything
        raise DataError(f"{path} is not a list that can be read safely ({error}). Download it again.") from error
