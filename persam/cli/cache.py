"""The options of the embedding cache, and the model with it."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from persam.model import PerSAM

UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def cache_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="keep the photos' embeddings in DIR, so that another concept is found in them without encoding them again",
    )
    command.add_argument(
        "--cache-size",
        type=size_of,
        default="4GB",
        metavar="SIZE",
        help="how much DIR may hold, as 500MB or 4GB (default: %(default)s; nano takes 10 MB a photo, vit_h 4); what "
        "was used longest ago goes first",
    )


def size_of(text: str) -> int:
    """Bytes of `500MB` or `4GB`; a number alone is bytes."""
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?B|)", text.strip().upper())
    if parts is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write it as 500MB or 4GB")
    return int(float(parts[1]) * UNITS.get(parts[2], 1))


def cache_of(options: argparse.Namespace) -> "Callable[[PerSAM], PerSAM]":
    """What gives a model the cache that the options name; the folder is tried at once."""
    folder = getattr(options, "cache", None)
    if folder is None:
        return lambda model: model
    from persam.engines.embedding_store import EmbeddingStore

    store = EmbeddingStore(folder, options.cache_size)

    def with_cache(model: "PerSAM") -> "PerSAM":
        from persam.engines.embedding_cache import CachedBackbone

        return model.with_backbone(CachedBackbone(model.backbone, store))

    return with_cache
