"""The location numbers are those by which known patches are told apart, on patches whose answer can be worked out."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from persam.errors import CalibrationError
from persam.eval.fit_location import KnownPhoto, fit_location, fit_slope, log_loss
from persam.geometry import Frame
from persam.method.calibration import Calibration
from persam.method.concept import Concept
from persam.method.prototypes import Prototypes
from persam.method.recipes import Recipe
from persam.types import ImageEmbedding

pytestmark = pytest.mark.slow  # seconds in all, and the quick loop has a minute

START = Calibration("colours-1")
OBJECT, GROUND = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
SHADED = (0.75, 0.66, 0.05)  # the object in another light: about 0.75 similar to it, and 0.66 to the ground
STRANGER = (0.7, 0.1, 0.7)  # what the reference did not show: 0.7 similar to the object, 0.1 to the ground
# a grid of 4 x 4 patches of 16 pixels, whose upper left quarter is the object
MASK = np.zeros((64, 64), bool)
MASK[:32, :32] = True


def known(inside=OBJECT, outside=GROUND, mask=MASK) -> KnownPhoto:
    """A photo of the object on some ground. Its prototypes are of a reference on GROUND."""
    features = torch.tensor(outside).view(1, 3, 1, 1).repeat(1, 1, 4, 4)
    features[..., :2, :2] = torch.tensor(inside).view(1, 3, 1, 1)
    share, colour = torch.ones(1), torch.zeros(1, 3)
    prototypes = Prototypes(torch.tensor([OBJECT]), colour, share, torch.tensor([GROUND]), colour, share)
    mean = torch.tensor(OBJECT)
    concept = Concept("rex", Recipe(), "colour", "colours-1", mean, mean, prototypes)
    return KnownPhoto.of(concept, ImageEmbedding(features, (Frame((64, 64), 64, 16),), ("key",)), mask)


@pytest.mark.parametrize("unit", [1.0, 0.01, 20.0])
def test_the_slope_gives_back_how_often_the_sign_is_right(unit):
    # three of four patches are right, so sigmoid(slope * ratio) ought to be 3/4: the slope is ln 3 a unit
    ratio, weight = np.array([1.0, 1.0, 1.0, -1.0]) * unit, np.full(4, 0.25)
    assert fit_slope(ratio, weight) * unit == pytest.approx(math.log(3), abs=2e-3)


def test_the_slope_follows_the_weights():
    # one patch of either kind, the wrong one a fifth: the slope is ln 4
    assert fit_slope(np.array([1.0, -1.0]), np.array([0.8, 0.2])) == pytest.approx(math.log(4), abs=2e-3)


def test_patches_that_are_told_apart_perfectly_have_a_slope_all_the_same():
    slope = fit_slope(np.array([0.1, 0.4]), np.array([0.5, 0.5]))
    assert 30 < slope < 1000


def test_guessing_costs_a_bit():
    ratio, weight = np.array([1.0, -1.0]), np.array([0.5, 0.5])
    assert log_loss(0.0, ratio, weight) == pytest.approx(math.log(2))
    # one patch right and one wrong by 2: -ln(sigmoid(2)) and -ln(sigmoid(-2)) are 0.126928 and 2.126928
    assert log_loss(2.0, ratio, weight) == pytest.approx(1.126928, abs=1e-6)


def test_patches_that_the_object_covers_by_half_show_it_and_those_at_its_edge_are_left_out():
    mask = np.zeros((64, 64), bool)
    mask[:40, :36] = True  # columns of patches are covered wholly, wholly, by a quarter, not; rows likewise, by a half
    photo = known(mask=mask)
    assert photo.covered.int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    assert photo.bare.int().tolist() == [[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1], [1, 1, 1, 1]]


def test_the_fit_is_sure_of_what_it_was_shown():
    fit = fit_location([known()], START)
    own = fit.calibration
    covered, bare = known().ratios(own)
    assert (1 / (1 + np.exp(-own.slope * covered))).min() > 0.99
    assert (1 / (1 + np.exp(-own.slope * bare))).max() < 0.01
    assert (fit.located, fit.loss) == (1.0, pytest.approx(0, abs=0.01))


def test_numbers_that_locate_every_object_stay():
    start = replace(START, temperature=33, stranger=0.45)
    assert replace(fit_location([known()], start).calibration, slope=START.slope) == start


def test_a_stranger_is_as_similar_as_backgrounds_are_that_the_reference_did_not_show():
    # at 0.5 the object has 0.75 - 0.66 for it and the background 0.7 - 0.5; at 0.7, 0.75 - 0.7 and nothing
    photo = known(inside=SHADED, outside=STRANGER)
    assert not photo.is_located(START)
    assert photo.is_located(replace(START, stranger=0.7))
    fit = fit_location([photo, known()], START)
    assert fit.calibration.stranger == pytest.approx(0.7, abs=0.01)
    assert fit.located == 1.0
    assert photo.is_located(fit.calibration)


def test_where_no_number_locates_more_the_posterior_does_not_decide():
    # on ground like this the object is found at 0.5 too, though other numbers are less surprised
    photo = known(outside=STRANGER)
    fit = fit_location([photo], START)
    assert (fit.calibration.temperature, fit.calibration.stranger) == (START.temperature, START.stranger)
    ratio, weight = (np.concatenate(parts) for parts in zip(*_of(photo, 0.7), strict=True))
    assert log_loss(fit_slope(ratio, weight), ratio, weight) < fit.loss


def _of(photo, stranger):
    """Signed log ratios and weights of covered and of bare patches."""
    covered, bare = photo.ratios(replace(START, stranger=stranger))
    return [(covered, np.full(4, 1 / 8)), (-bare, np.full(12, 1 / 24))]


def test_each_photo_weighs_the_same_and_in_it_the_object_as_much_as_the_rest():
    one, other = known(), known(outside=STRANGER)
    fits = [fit_location([one, other], START), fit_location([one, one, other, other], START)]
    assert fits[0].calibration == fits[1].calibration
    ratio, weight = (np.concatenate(parts) for parts in zip(*_of(other, START.stranger), strict=True))
    fit = fit_location([other], START)
    assert fit.calibration.slope == pytest.approx(fit_slope(ratio, weight), rel=1e-3)
    assert fit.loss == pytest.approx(log_loss(fit.calibration.slope, ratio, weight))


def test_what_cannot_be_fitted_is_said():
    nothing = np.zeros((64, 64), bool)
    with pytest.raises(CalibrationError, match="no object covers half a patch and leaves another bare"):
        fit_location([known(mask=nothing), known(mask=~nothing)], START)
    with pytest.raises(CalibrationError, match="are no more similar to it than others"):
        fit_location([known(inside=GROUND, outside=OBJECT)], START)
