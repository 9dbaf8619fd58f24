"""What was tuned on one backbone's features, and from which similarity on an object counts as present.

Cosines mean something else for every encoder. A `Calibration` holds the numbers that depend on that; it is a small JSON
file. nano's is part of the package; `persam eval calibrate` fits another backbone's (`eval.calibrate`) and leaves it
where `load` finds it. Without one the location map works with starting values, and nothing is refused.
"""

import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from persam.errors import CalibrationError, NotCalibratedWarning
from persam.io.write import write_bytes
from persam.sam import weights

Array = np.ndarray[Any, Any]

RIDGE = 0.3  # on the slope over standardised log-odds: the few photos next to the border do not decide alone
REFUSED = 0.95  # of the photos without the object that a curve refuses at least
_TOLD: set[str] = set()  # fingerprints of backbones that `is_calibrated` has warned of
LEAST = 1e-6  # evidence this near to 0 or 1 counts as that: log-odds stay finite


@dataclass(frozen=True)
class Presence:
    """Evidence, 0..1, to presence: a logistic curve over the evidence's log-odds (Platt, 1999).

    It crosses one half at `threshold` and is `spread` wide in log-odds.
    """

    threshold: float
    spread: float

    def __call__(self, evidence: float) -> float:
        """The presence, 0 to 1."""
        above = (_log_odds(np.array([evidence])) - _log_odds(np.array([self.threshold])))[0] / self.spread
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, above))))

    def against(self, rival: float) -> "Presence":
        """The curve where something else is known to have evidence of its own, 0..1: it must be exceeded as well."""
        return replace(self, threshold=max(self.threshold, rival))


@dataclass(frozen=True)
class Calibration:
    """The numbers of one backbone. The defaults are where a fit starts.

    fingerprint: of the backbone's encoder that they belong to.
    temperature: how sharply the nearest prototype counts in the location map.
    stranger: similarity that anything may have to anything; below it, similarity to the object is no evidence.
    slope: of the logistic curve that turns the location map's log ratio into a posterior.
    same_part: similarity from which on two patches of a crop count as one part of the identity descriptor.
    choice: difference in similarity that makes a part prefer one counterpart to another e times.
    presence: the curve that turns the evidence of verification into presence; None before it is fitted.
    """

    fingerprint: str
    temperature: float = 30.0
    stranger: float = 0.5
    slope: float = 15.0
    same_part: float = 0.98
    choice: float = 0.03
    presence: Presence | None = None

    def save(self, path: str | Path) -> Path:
        """Writes a JSON file.

        Raises:
            OutputError: the file cannot be written.
        """
        return write_bytes((json.dumps(asdict(self), indent=2) + "\n").encode(), path)

    @classmethod
    def load(cls, path: str | Path) -> "Calibration":
        """A calibration that `save` wrote.

        Raises:
            CalibrationError: there is no such file, or it holds something else.
        """
        advice = "Make one with `persam eval calibrate`."
        try:
            values = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
            presence = values.pop("presence", None)
            curve = None if presence is None else Presence(float(presence["threshold"]), float(presence["spread"]))
            if curve is not None and not (0 <= curve.threshold <= 1 and 0 < curve.spread < math.inf):
                raise ValueError(f"it cannot have {curve}")
            numbers = {name: float(value) for name, value in values.items() if name != "fingerprint"}
            if not all(map(math.isfinite, numbers.values())) or set(values) != {f.name for f in fields(cls)[:-1]}:
                raise ValueError(f"it holds {', '.join(values)}")
            return cls(fingerprint=str(values["fingerprint"]), presence=curve, **numbers)
        except FileNotFoundError as error:
            raise CalibrationError(f"there is no calibration file {path}. {advice}") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CalibrationError(f"{path} is not a calibration file: {error}. {advice}") from error


def calibration_of(name: str, fingerprint: str) -> Calibration:
    """The calibration of a backbone: the user's own, else the package's, else starting values without presence.

    Raises:
        CalibrationError: its file is damaged.
    """
    for path in (own_file(fingerprint), weights.MODELS / f"{name}.calibration.json"):
        if path.is_file() and (found := Calibration.load(path)).fingerprint == fingerprint:
            return found
    return Calibration(fingerprint)


def is_calibrated(calibration: Calibration, name: str) -> bool:
    """Whether presence can be judged. Where it cannot, warns once and says which command changes that."""
    if calibration.presence is not None:
        return True
    if calibration.fingerprint in _TOLD:
        return False
    _TOLD.add(calibration.fingerprint)
    warnings.warn(
        f"presence is not calibrated for the model {name!r}: every photo gets a mask, and none is refused. "
        f"`persam eval calibrate --model {name} --data DIR` calibrates it.",
        NotCalibratedWarning,
        stacklevel=2,
    )
    return False


def own_file(fingerprint: str) -> Path:
    """Where `persam eval calibrate` leaves what `calibration_of` finds: in the cache, by the weights' fingerprint."""
    return weights.cache_folder() / "calibrations" / f"{fingerprint}.json"


def fit_presence(evidence: Sequence[float], held: Sequence[bool]) -> Presence:
    """The curve that tells photos with the object from those without: logistic regression, either kind weighs the same.

    Where it would accept more than one in twenty of those without, it is moved until it does not: that something is
    there that is not is the worse mistake.

    Args:
        evidence: of photos with and without the object, 0..1.
        held: whether each photo holds the object.

    Raises:
        CalibrationError: photos of one kind are missing, or evidence does not rise with presence.
    """
    values, truth = _log_odds(np.asarray(evidence, dtype=float)), np.asarray(held, dtype=bool)
    if truth.all() or not truth.any():
        raise CalibrationError("a calibration needs photos that hold the object, and photos that do not.")
    weight = np.where(truth, 0.5 / truth.mean(), 0.5 / (~truth).mean())
    middle, scale = values.mean(), max(values.std(), 1e-12)
    design = np.stack([(values - middle) / scale, np.ones_like(values)])
    slope, ridge = np.zeros(2), np.array([RIDGE, 1e-9])
    for _ in range(50):  # Newton's method
        probability = 1 / (1 + np.exp(-np.clip(slope @ design, -30, 30)))
        gradient = design @ (weight * (truth - probability)) - ridge * slope
        curvature = (design * (weight * probability * (1 - probability))) @ design.T + np.diag(ridge)
        slope = slope + np.linalg.solve(curvature, gradient)
    if not slope[0] > 0:
        raise CalibrationError("the evidence is no higher where the object is: these photos calibrate nothing.")
    border = max(middle - scale * slope[1] / slope[0], float(np.quantile(values[~truth], REFUSED)))
    return Presence(threshold=float(1 / (1 + np.exp(-border))), spread=float(scale / slope[0]))


def _log_odds(evidence: Float[Array, "n"]) -> Float[Array, "n"]:
    inner = np.clip(evidence, LEAST, 1 - LEAST)
    return np.log(inner / (1 - inner))
