"""`persam eval calibrate`: from folders of photos to a calibration that a model works with."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from persam.errors import CalibrationError, DataError, MaskError
from persam.eval.calibrate import calibrate, read_episodes
from persam.method.calibration import Calibration, Presence
from persam.model import PerSAM
from tests.colour import BLUE, RED, VIEWS, ColourBackbone, mask, photo
from tests.eval import scenes

pytestmark = pytest.mark.slow  # seconds in all, and the quick loop has a minute

NUMBERS = Calibration("fresh", temperature=25, stranger=0.55, slope=12, same_part=0.97, choice=0.04)


@pytest.fixture
def roots(tmp_path):
    """Two objects in DAVIS's layout and one in PerSeg's."""
    return [scenes.davis(tmp_path / "davis"), scenes.perseg(tmp_path / "perseg")]


@pytest.fixture(autouse=True)
def few_candidates(monkeypatch):
    """The whole grids are tried in test_fit_location.py and test_fit_verification.py."""
    monkeypatch.setattr("persam.eval.fit_location.TEMPERATURES", (10.0, 70.0))
    monkeypatch.setattr("persam.eval.fit_verification.SAME_PART", (0.95,))
    monkeypatch.setattr("persam.eval.fit_verification.CHOICE", (0.03,))
    monkeypatch.setattr("persam.eval.calibrate.CHANGED", ("flip", "x0.5"))  # the stand-in knows objects by colour


@pytest.fixture
def fresh() -> PerSAM:
    """A model that nobody has calibrated."""
    return PerSAM(ColourBackbone("fresh"))


def test_folders_of_either_layout_are_read_and_their_objects_told_apart(roots):
    episodes = read_episodes(roots)
    assert [(episode.name, len(episode.targets)) for episode in episodes] == [
        ("davis/ant", 3),
        ("davis/bee", 3),
        ("perseg/cup", 2),
    ]


def test_folders_that_calibrate_nothing_are_named(roots, tmp_path):
    with pytest.raises(DataError, match=r"tmp.* is no folder of DAVIS-2016 .* or PerSeg"):
        read_episodes([tmp_path])
    with pytest.raises(DataError, match="1 object to calibrate on; two are needed"):
        read_episodes(roots[1:])
    with pytest.raises(DataError, match="an object is there twice: give each folder once"):
        read_episodes([roots[0], roots[0]])


@pytest.mark.slow
def test_a_model_without_a_calibration_gets_one_that_knows_what_is_there(roots, fresh):
    fit = calibrate(fresh, read_episodes(roots))
    assert (fit.model, fit.objects, fit.photos) == ("colour", 3, 16)
    assert fit.calibration.fingerprint == "fresh"
    assert (fit.auroc, fit.here.refused, fit.here.accepted) == (1.0, 1.0, 1.0)
    assert fit.location is not None
    assert fit.location.loss < 0.01
    model = PerSAM(fresh.backbone, calibration=fit.calibration)
    red = model.learn(photo(), mask(), name="red")
    here, gone = model.segment([photo(at_xyxy=(40, 5, 55, 30)), photo(colour=BLUE)], red)
    assert here.present
    assert here.presence > 0.9
    np.testing.assert_array_equal(here.mask, mask(at_xyxy=(40, 5, 55, 30)))
    assert not gone.present
    assert gone.presence < 0.1


@pytest.mark.slow
def test_each_half_of_the_objects_is_judged_by_the_other_ones_curve(roots, fresh):
    scenes.perseg(roots[1], [("dot", (220, 220, 30))])
    unseen = calibrate(fresh, read_episodes(roots)).unseen
    assert unseen is not None
    assert (unseen.refused, unseen.accepted) == (1.0, 1.0)


def test_presence_only_keeps_every_other_number_and_looks_at_each_photo_as_it_is_and_changed(roots):
    backbone = ColourBackbone("fresh")
    fit = calibrate(PerSAM(backbone, calibration=NUMBERS), read_episodes(roots), presence_only=True)
    assert fit.location is None
    assert replace(fit.calibration, presence=None) == NUMBERS
    assert fit.calibration.presence is not None
    # three references, and a crop of each in all views; then a photo, and crops of each find: to refine and to verify
    assert backbone.batches == 3 * [1] + VIEWS * [3] + 16 * [1, 3, 3]


@pytest.mark.slow
def test_a_fit_starts_from_the_same_numbers_whatever_the_model_has(roots, fresh):
    episodes = read_episodes(roots)
    refitted = PerSAM(ColourBackbone("fresh"), calibration=replace(NUMBERS, presence=Presence(0.9, 0.1)))
    assert calibrate(refitted, episodes).calibration == calibrate(fresh, episodes).calibration


def test_what_was_fitted_can_be_read(roots):
    model = PerSAM(ColourBackbone("fresh"), calibration=NUMBERS)
    watched = []
    fit = calibrate(
        model,
        read_episodes(roots),
        presence_only=True,
        watch=lambda photos, task: watched.append((task, len(photos))) or photos,
    )
    assert watched == [("verification", 16)]
    title, location, verification, presence, here, unseen = fit.lines()
    assert title == "colour (fresh) on 3 objects in 16 photos:"
    assert location.endswith("temperature 25, stranger 0.55, slope 12; kept")
    assert verification.endswith("same_part 0.97, choice 0.04; AUROC 100.0")
    curve = fit.calibration.presence
    assert presence.endswith(f"threshold {curve.threshold:g}, spread {curve.spread:g}")
    assert here.endswith("absent refused 100.0 %, present accepted 100.0 %")
    assert unseen.startswith("unseen ones")


def test_an_object_that_cannot_be_learned_is_named(roots, fresh):
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(roots[0] / "Annotations/480p/bee/00000.png")
    with pytest.raises(MaskError, match="davis/bee: the mask is empty"):
        calibrate(fresh, read_episodes(roots))


@pytest.mark.slow
def test_objects_that_look_the_same_calibrate_nothing(tmp_path, fresh):
    root = scenes.davis(tmp_path / "davis", [("ant", RED), ("bee", RED)])
    with pytest.raises(CalibrationError, match="no higher where the object is"):
        calibrate(fresh, read_episodes([root]))
