"""Albums on many machines: photos by path or address, an actor a GPU or core, results as Parquet. Ray does the rest."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from persam.cluster.blocks import Block
    from persam.cluster.job import Workers, run, segment
    from persam.cluster.store import Summary, summary

_HOMES = {"segment": "job", "run": "job", "Workers": "job", "Block": "blocks", "Summary": "store", "summary": "store"}
__all__ = ["Block", "Summary", "Workers", "run", "segment", "summary"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'persam.cluster' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"persam.cluster.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
