"""DreamBooth that learns the object, not its background (section 3.4): loss, photos with masks, folders, score."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from persam.dreambooth.dataset import MaskedPhotos
    from persam.dreambooth.loss import MASKED_LOSSES, MaskedLoss, masked_mse
    from persam.dreambooth.pairs import Pair, read_pairs
    from persam.dreambooth.preparation import prepare
    from persam.dreambooth.scoring import score

_HOMES = {
    "masked_mse": "loss",
    "MaskedLoss": "loss",
    "MASKED_LOSSES": "loss",
    "MaskedPhotos": "dataset",
    "Pair": "pairs",
    "read_pairs": "pairs",
    "prepare": "preparation",
    "score": "scoring",
}
__all__ = ["MASKED_LOSSES", "MaskedLoss", "MaskedPhotos", "Pair", "masked_mse", "prepare", "read_pairs", "score"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'persam.dreambooth' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"persam.dreambooth.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
