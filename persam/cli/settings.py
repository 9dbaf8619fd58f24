"""What the manifest of a run says of its model and of what it looks for."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from persam.model import PerSAM

SHOWN = 16  # hexadecimal digits of a digest


def settings_of(words: dict[str, Any], model: "PerSAM | None" = None) -> dict[str, Any]:
    """The words, this version, and the model: its name, the digest of all its weights, and its calibration.

    Without the model, what it decides is None: not known yet.
    """
    from persam import __version__

    if model is None:
        return {"persam": __version__, **words, "model": None, "weights": None, "calibration": None}
    from persam.sam.backbone import NetworkBackbone
    from persam.sam.wrapped import innermost

    backbone = innermost(model.backbone)
    weights = backbone.weights if isinstance(backbone, NetworkBackbone) else backbone.fingerprint
    calibration = _digest([repr(model.calibration).encode()])
    return {"persam": __version__, **words, "model": backbone.name, "weights": weights, "calibration": calibration}


def digest_of_marks(references: Iterable[tuple[Any, Any]]) -> str:
    """Of photos as they were read, and the mask or the prompt that goes with each."""
    return _digest(part for rgb, mark in references for part in (_bytes(rgb), _bytes(mark)))


def digests_of_files(paths: Sequence[str]) -> list[str]:
    return [_digest([Path(path).expanduser().read_bytes()]) for path in paths]


def _bytes(value: Any) -> bytes:
    import numpy as np

    if not isinstance(value, np.ndarray):
        return repr(value).encode()
    return f"{value.dtype} {value.shape} ".encode() + value.tobytes()


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:SHOWN]
