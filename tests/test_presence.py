"""Evidence for the object is that its parts are found again; presence is the evidence on a fitted curve."""

import pytest
import torch

from persam.concept import Concept
from persam.errors import PerSAMError
from persam.geometry import Frame
from persam.model import PerSAM
from persam.presence import CALIBRATIONS, Calibration, evidence, fit, presence, threshold_of
from persam.prototypes import Cells, summarise
from persam.recipes import PERSAM
from persam.types import ImageEmbedding
from tests.colour import ColourBackbone

FUR, NOSE, GRASS = torch.eye(3)


def dog() -> Concept:
    cells = Cells(torch.stack([FUR, FUR, FUR, NOSE]), None)
    return Concept("dog", PERSAM, "none", "0", FUR, FUR, summarise(cells, Cells(GRASS[None], None)))


def photo(*left: torch.Tensor) -> tuple[ImageEmbedding, torch.Tensor]:
    """Four cells a side: the given features in the left columns, grass elsewhere; and logits of a mask around them."""
    features = GRASS[:, None, None].repeat(1, 4, 4)
    logits = torch.full((16, 16), -5.0)
    for column, feature in enumerate(left):
        features[:, :, column] = feature[:, None]
        logits[:, 4 * column : 4 * column + 4] = 5.0
    return ImageEmbedding(features, Frame((16, 16), 16, 4)), logits


@pytest.mark.parametrize(
    ("inside", "expected"),
    [((FUR, NOSE), 1.0), ((FUR,), 0.75), ((NOSE,), 0.25), ((GRASS,), 0.0), ((), -1.0)],
    ids=["all of it", "without its nose", "a nose", "grass", "nothing"],
)
def test_evidence_is_the_share_of_parts_found_again(inside, expected):
    embedding, logits = photo(*inside)
    assert evidence(dog(), embedding, logits) == pytest.approx(expected, abs=2e-3)


def test_a_part_outside_the_mask_is_no_evidence():
    embedding, logits = photo(FUR, NOSE)
    logits[:, 4:] = -5.0
    assert evidence(dog(), embedding, logits) == pytest.approx(0.75, abs=2e-3)


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
