"""Presence is evidence on a fitted curve."""

import math

import numpy as np
import pytest

from persam.errors import PerSAMError
from persam.method.calibration import CALIBRATIONS, Calibration, fit, presence, threshold_of
from persam.model import PerSAM
from tests.colour import ColourBackbone


def test_presence_crosses_one_half_at_the_threshold_and_rises_with_evidence():
    curve = Calibration(threshold=0.2, spread=0.5)
    assert curve.presence(0.2) == 0.5
    # odds of 1 to 4 at the threshold, of 2 to 3 here: (2/3 over 1/4) to the power of one over the spread
    odds = (8 / 3) ** 2
    assert curve.presence(0.4) == pytest.approx(odds / (1 + odds))
    assert curve.presence(0.0) < 1e-9 < 1 - 1e-9 < curve.presence(1.0)


def test_an_odds_ratio_counts_the_same_wherever_the_threshold_is():
    low, high = Calibration(threshold=0.1, spread=0.3), Calibration(threshold=0.5, spread=0.3)
    assert low.presence(0.2 / 1.1) == pytest.approx(high.presence(2 / 3))  # twice the odds of 1 to 9, and of 1 to 1


def test_without_a_calibration_presence_is_the_evidence_and_nothing_is_refused(monkeypatch):
    assert presence(0.3, "never seen") == 0.3
    assert presence(-1.0, "never seen") == 0.0
    assert threshold_of("never seen") == 0.0
    monkeypatch.setitem(CALIBRATIONS, "seen", Calibration(threshold=0.6, spread=0.1))
    assert presence(0.6, "seen") == threshold_of("seen") == 0.5


def test_a_threshold_of_ones_own_takes_the_place_of_the_fitted_one():
    assert PerSAM(ColourBackbone(), threshold=0.7).threshold == 0.7
    assert PerSAM(ColourBackbone()).threshold == 0.0
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(PerSAMError, match="threshold must lie between 0 and 1"):
            PerSAM(ColourBackbone(), threshold=wrong)


def test_the_fitted_curve_crosses_between_the_kinds_whatever_their_numbers():
    # log-odds of 30 absent around -1 and of 3 present around 1, each spread evenly: the middle is 0, odds of 1 to 1
    absent = [1 / (1 + math.exp(1.5 - i / 29)) for i in range(30)]
    present = [1 / (1 + math.exp(-log_odds)) for log_odds in (0.5, 1.0, 1.5)]
    curve = fit([*absent, *present], [False] * 30 + [True] * 3)
    assert curve.threshold == pytest.approx(0.5, abs=0.03)
    assert curve.presence(absent[15]) < 0.2
    assert curve.presence(present[1]) > 0.8


def test_fitting_presence_that_is_calibrated_already_finds_the_same_border():
    rng = np.random.default_rng(0)
    held = rng.random(400) < 0.2
    evidence = 1 / (1 + np.exp(2 - 1.5 * held + 0.4 * rng.standard_normal(400)))
    bare = fit(evidence.tolist(), held.tolist())
    calibrated = [Calibration(threshold=0.3, spread=0.7).presence(one) for one in evidence]
    again = fit(calibrated, held.tolist())
    assert again.threshold == pytest.approx(Calibration(threshold=0.3, spread=0.7).presence(bare.threshold), abs=0.01)


def test_a_few_photos_next_to_the_border_do_not_decide_alone():
    # one absent photo among the present ones, and all others well apart: the border stays between the two kinds
    absent, present = np.linspace(0.02, 0.06, 40).tolist(), np.linspace(0.2, 0.6, 10).tolist()
    usual = fit([*absent, *present], [False] * 40 + [True] * 10).threshold
    misled = fit([*absent, 0.19, *present], [False] * 41 + [True] * 10).threshold
    assert 0.06 < usual < misled < 0.15


@pytest.mark.parametrize(
    ("values", "held", "message"),
    [
        ([0.1, 0.2], [True, True], "needs photos that hold the object, and photos that do not"),
        ([0.9, 0.8, 0.1, 0.2], [False, False, True, True], "no higher where the object is"),
    ],
)
def test_what_calibrates_nothing_is_an_error(values, held, message):
    with pytest.raises(PerSAMError, match=message):
        fit(values, held)
