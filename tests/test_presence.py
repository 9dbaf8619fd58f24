"""Presence is evidence on a fitted curve."""

import pytest

from persam.errors import PerSAMError
from persam.model import PerSAM
from persam.presence import CALIBRATIONS, Calibration, fit, presence, threshold_of
from tests.colour import ColourBackbone


def test_presence_crosses_one_half_at_the_threshold_and_rises_with_evidence():
    curve = Calibration(threshold=0.6, spread=0.1)
    assert curve.presence(0.6) == 0.5
    assert curve.presence(0.7) == pytest.approx(1 / (1 + 2.718281828**-1))
    assert curve.presence(-1e9) < 1e-9 < 1 - 1e-9 < curve.presence(1e9)


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
    # 30 absent around 0.4 and 3 present around 0.8, each spread evenly: the middle is 0.6
    absent = [0.3 + 0.2 * i / 29 for i in range(30)]
    curve = fit([*absent, 0.7, 0.8, 0.9], [False] * 30 + [True] * 3)
    assert curve.threshold == pytest.approx(0.6, abs=0.03)
    assert curve.presence(0.4) < 0.2
    assert curve.presence(0.8) > 0.8


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
