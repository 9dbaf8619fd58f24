"""What was tuned on one backbone's features: the curve of presence, the file, and where it is looked for."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from persam.errors import CalibrationError, NotCalibratedWarning, PerSAMError
from persam.method import calibration as module
from persam.method.calibration import (
    Calibration,
    Presence,
    calibration_of,
    fit_presence,
    is_calibrated,
    own_file,
)
from persam.model import PerSAM
from persam.sam import weights
from tests.colour import CALIBRATION, ColourBackbone, mask, photo

FITTED = Calibration("abc", 20.0, 0.4, 12.5, 0.97, 0.05, Presence(threshold=0.2, spread=0.5))

# ---- the curve


def test_presence_crosses_one_half_at_the_threshold_and_rises_with_evidence():
    curve = Presence(threshold=0.2, spread=0.5)
    assert curve(0.2) == 0.5
    # odds of 1 to 4 at the threshold, of 2 to 3 here: (2/3 over 1/4) to the power of one over the spread
    odds = (8 / 3) ** 2
    assert curve(0.4) == pytest.approx(odds / (1 + odds))
    assert curve(0.0) < 1e-9 < 1 - 1e-9 < curve(1.0)


def test_an_odds_ratio_counts_the_same_wherever_the_threshold_is():
    low, high = Presence(threshold=0.1, spread=0.3), Presence(threshold=0.5, spread=0.3)
    assert low(0.2 / 1.1) == pytest.approx(high(2 / 3))  # twice the odds of 1 to 9, and of 1 to 1


def test_a_rival_with_evidence_of_its_own_must_be_exceeded():
    curve = Presence(threshold=0.2, spread=0.5)
    assert curve.against(0.1) == curve
    assert curve.against(0.6)(0.6) == pytest.approx(0.5)
    assert curve.against(0.6)(0.59) < 0.5 < curve.against(0.6)(0.61)
    assert curve.against(1.0)(0.9) < 0.01
    assert all(0 <= curve.against(rival)(evidence) <= 1 for rival in (0.0, 1.0) for evidence in (0.0, 1.0))


def test_the_fitted_curve_crosses_between_the_kinds_whatever_their_numbers():
    # log-odds of 30 absent around -1 and of 3 present around 1, each spread evenly: the middle is 0, odds of 1 to 1
    absent = [1 / (1 + math.exp(1.5 - i / 29)) for i in range(30)]
    present = [1 / (1 + math.exp(-log_odds)) for log_odds in (0.5, 1.0, 1.5)]
    curve = fit_presence([*absent, *present], [False] * 30 + [True] * 3)
    assert curve.threshold == pytest.approx(0.5, abs=0.03)
    assert curve(absent[15]) < 0.2
    assert curve(present[1]) > 0.8


def test_of_photos_without_the_object_one_in_twenty_is_accepted_at_most():
    rng = np.random.default_rng(0)
    absent, present = rng.beta(2, 5, 200), rng.beta(4, 3, 200)  # far from apart
    curve = fit_presence([*absent, *present], [False] * 200 + [True] * 200)
    assert (absent >= curve.threshold).mean() == pytest.approx(0.05, abs=0.005)


def test_fitting_presence_that_is_calibrated_already_finds_the_same_border():
    rng = np.random.default_rng(0)
    held = rng.random(400) < 0.2
    evidence = 1 / (1 + np.exp(2 - 1.5 * held + 0.4 * rng.standard_normal(400)))
    curve = Presence(threshold=0.3, spread=0.7)
    bare = fit_presence(evidence.tolist(), held.tolist())
    again = fit_presence([curve(one) for one in evidence], held.tolist())
    assert again.threshold == pytest.approx(curve(bare.threshold), abs=0.01)


def test_a_few_photos_next_to_the_border_do_not_decide_alone():
    # one absent photo among the present ones, and all others well apart: the border stays between the two kinds
    absent, present = np.linspace(0.02, 0.06, 40).tolist(), np.linspace(0.2, 0.6, 10).tolist()
    usual = fit_presence([*absent, *present], [False] * 40 + [True] * 10).threshold
    misled = fit_presence([*absent, 0.19, *present], [False] * 41 + [True] * 10).threshold
    assert 0.06 < usual < misled < 0.15


@pytest.mark.parametrize(
    ("values", "held", "message"),
    [
        ([0.1, 0.2], [True, True], "needs photos that hold the object, and photos that do not"),
        ([0.9, 0.8, 0.1, 0.2], [False, False, True, True], "no higher where the object is"),
    ],
)
def test_what_calibrates_nothing_is_an_error(values, held, message):
    with pytest.raises(CalibrationError, match=message):
        fit_presence(values, held)


# ---- the file


@pytest.mark.parametrize("before", [FITTED, replace(FITTED, presence=None)], ids=["fitted", "without presence"])
def test_what_is_saved_is_what_is_loaded(tmp_path, before):
    path = before.save(tmp_path / "new" / "mine.json")
    assert path == tmp_path / "new" / "mine.json"
    assert Calibration.load(path) == before
    assert Calibration.load(str(path)) == before


def changed(**changes: object) -> str:
    return json.dumps(asdict(FITTED) | changes)


DAMAGED = {
    "missing": (None, r"there is no calibration file .*mine\.json. Make one with `persam eval calibrate`"),
    "empty": ("", r"mine\.json is not a calibration file: .*persam eval calibrate"),
    "no JSON": ("temperature = 3", "is not a calibration file"),
    "a list": ("[1, 2]", "is not a calibration file"),
    "a number": ("3", "is not a calibration file"),
    "something else": ('{"weights": 3}', "is not a calibration file"),
    "a value missing": (json.dumps({"fingerprint": "abc", "slope": 3, "presence": None}), "is not a calibration file"),
    "a value too many": (changed(colour=1.0), "is not a calibration file: it holds .*colour"),
    "a word for a value": (changed(slope="steep"), "is not a calibration file: could not convert .*'steep'"),
    "a list for a value": (changed(slope=[1.0]), "is not a calibration file"),
    "NaN": (changed(slope=math.nan), "is not a calibration file"),
    "presence without a spread": (changed(presence={"threshold": 0.5}), "is not a calibration file: 'spread'"),
    "presence as a number": (changed(presence=0.5), "is not a calibration file"),
    "NaN in presence": (changed(presence={"threshold": math.nan, "spread": 1}), "is not a calibration file"),
    "a spread of nothing": (changed(presence={"threshold": 0.5, "spread": 0}), "is not a calibration file"),
}


@pytest.mark.parametrize(("text", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_file_that_is_no_calibration_is_refused(tmp_path, text, message):
    path = tmp_path / "mine.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(CalibrationError, match=message):
        Calibration.load(path)


def test_a_file_of_bytes_and_a_folder_are_refused(tmp_path):
    (tmp_path / "bytes").write_bytes(b"\xff\x00\xfe")
    for path in (tmp_path / "bytes", tmp_path):
        with pytest.raises(CalibrationError, match="is not a calibration file"):
            Calibration.load(path)


# ---- where it is looked for


@pytest.fixture
def folders(monkeypatch, tmp_path):
    """An empty cache and an empty package."""
    monkeypatch.setenv("PERSAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "MODELS", tmp_path / "models")
    return tmp_path


def test_ones_own_file_wins_over_the_packages(folders):
    assert own_file("abc") == folders / "cache" / "calibrations" / "abc.json"
    package, own = replace(FITTED, slope=1.0), replace(FITTED, slope=2.0)
    package.save(folders / "models" / "vit_q.calibration.json")
    assert calibration_of("vit_q", "abc") == package
    own.save(own_file("abc"))
    assert calibration_of("vit_q", "abc") == own
    assert calibration_of("another name", "abc") == own  # a file of the same weights


def test_the_packages_file_of_other_weights_is_passed_over(folders):
    FITTED.save(folders / "models" / "vit_q.calibration.json")
    assert calibration_of("vit_q", "fine-tuned") == Calibration("fine-tuned")
    assert calibration_of("never seen", "abc") == Calibration("abc")
    assert Calibration("abc").presence is None


def test_a_damaged_file_is_an_error_and_not_passed_over(folders):
    own_file("abc").parent.mkdir(parents=True)
    own_file("abc").write_text("{")
    with pytest.raises(CalibrationError, match=r"abc\.json is not a calibration file"):
        calibration_of("vit_q", "abc")


def test_the_bundled_model_is_calibrated(nano):
    file = weights.MODELS / "nano.calibration.json"
    assert Calibration.load(file).fingerprint == nano.backbone.fingerprint
    assert nano.calibration == Calibration.load(file)
    assert nano.calibration.presence is not None


def test_a_model_takes_what_it_is_given_and_refuses_another_backbones():
    own = replace(CALIBRATION, slope=3.0)
    assert PerSAM(ColourBackbone(), calibration=own).calibration == own
    assert PerSAM(ColourBackbone()).calibration == CALIBRATION
    message = (
        r"of weights abc, and colour has colours-1. Fit one with `persam eval calibrate --model colour --data DIR`"
    )
    with pytest.raises(CalibrationError, match=message):
        PerSAM(ColourBackbone(), calibration=FITTED)


# ---- a backbone without one


@pytest.fixture
def untold(monkeypatch):
    monkeypatch.setattr(module, "_TOLD", set())


@pytest.mark.usefixtures("untold")
def test_that_presence_cannot_be_judged_is_said_once_with_the_command_that_changes_it():
    bare = Calibration("abc")
    with pytest.warns(NotCalibratedWarning, match=r"`persam eval calibrate --model vit_q --data DIR`"):
        assert not is_calibrated(bare, "vit_q")
    assert not is_calibrated(bare, "vit_q")  # and a warning would be an error
    with pytest.warns(NotCalibratedWarning, match="for the model 'vit_p'"):
        assert not is_calibrated(Calibration("other weights"), "vit_p")


@pytest.mark.usefixtures("untold")
def test_a_calibrated_backbone_is_no_reason_to_warn():
    assert is_calibrated(FITTED, "vit_q")


@pytest.mark.usefixtures("untold")
def test_without_a_calibration_presence_is_unknown_and_nothing_is_refused():
    model = PerSAM(ColourBackbone("never seen"), threshold=1.0)
    with pytest.warns(NotCalibratedWarning):
        red = model.learn(photo(), mask())
    other, empty = model.segment([photo(colour=(30, 30, 220)), photo(ground=(220, 30, 30))], red)
    assert red.identity is None
    assert (other.presence, other.present) == (None, True)
    assert (empty.presence, empty.present) == (None, True)


# ---- the threshold


def test_a_threshold_of_ones_own_takes_the_place_of_one_half():
    assert PerSAM(ColourBackbone(), threshold=0.7).threshold == 0.7
    assert PerSAM(ColourBackbone()).threshold == 0.5
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(PerSAMError, match="threshold must lie between 0 and 1"):
            PerSAM(ColourBackbone(), threshold=wrong)
