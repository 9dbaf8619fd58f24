"""Whether the object is in the photo at all: evidence on a curve that is fitted for every backbone.

The peak of the similarity says little: in every photo some cell is the most similar one. The evidence is instead how
much what was found resembles the object, both seen close up (`portrait`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from persam.errors import PerSAMError

Array = np.ndarray[Any, Any]

RIDGE = 0.3  # on the slope over standardised log-odds: the few photos next to the border do not decide alone
LEAST = 1e-6  # evidence this near to 0 or 1 counts as that: log-odds stay finite


@dataclass(frozen=True)
class Calibration:
    """Evidence, 0..1, to presence: a logistic curve over the evidence's log-odds (Platt, 1999).

    It crosses one half at `threshold`, and is `spread` wide in log-odds: how much an object's like resembles it differs
    between objects by factors.
    """

    threshold: float
    spread: float

    def presence(self, evidence: float) -> float:
        """0 to 1."""
        above = (_log_odds(np.array([evidence])) - _log_odds(np.array([self.threshold])))[0] / self.spread
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, above))))


# By backbone: `fit` to the evidence of the absence protocol, PerSeg's examples beside DAVIS's videos. What a threshold
# fitted on half of the videos does on the other half is a row of data/results/eval.csv.
CALIBRATIONS: dict[str, Calibration] = {"nano": Calibration(threshold=0.0932, spread=0.179)}


def fit(evidence: Sequence[float], held: Sequence[bool]) -> Calibration:
    """The curve for a backbone that has none: logistic regression in which either kind of photo weighs the same.

    Args:
        evidence: of photos with and without the object, 0..1: `Segmentation.presence`, calibrated or not.
        held: whether each photo holds the object.

    Raises:
        PerSAMError: photos of one kind are missing, or evidence does not rise with presence.
    """
    values, truth = _log_odds(np.asarray(evidence, dtype=float)), np.asarray(held, dtype=bool)
    if truth.all() or not truth.any():
        raise PerSAMError("a calibration needs photos that hold the object, and photos that do not.")
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
        raise PerSAMError("the evidence is no higher where the object is: these photos calibrate nothing.")
    border = middle - scale * slope[1] / slope[0]
    return Calibration(threshold=float(1 / (1 + np.exp(-border))), spread=float(scale / slope[0]))


def presence(value: float, backbone: str) -> float:
    """Evidence as presence, 0..1: by the backbone's calibration, or the bare evidence where it has none."""
    if backbone in CALIBRATIONS:
        return CALIBRATIONS[backbone].presence(value)
    return min(1.0, max(0.0, value))


def threshold_of(backbone: str) -> float:
    """The presence from which on an object counts as there: one half; 0, which refuses nothing, without calibration."""
    return 0.5 if backbone in CALIBRATIONS else 0.0


def _log_odds(evidence: Float[Array, "n"]) -> Float[Array, "n"]:
    inner = np.clip(evidence, LEAST, 1 - LEAST)
    return np.log(inner / (1 - inner))
