"""The verification numbers are those by which an object stands out from others; an object is compared as in use."""

import pytest

from persam.eval.fit_verification import Comparison, Photo, candidates, compare, fit_verification
from persam.method.calibration import Calibration
from persam.method.recipes import Recipe
from tests.colour import BLUE, CALIBRATION, GREEN, RED, VIEWS, colour_model, mask, photo

START = Calibration("colours-1")
OWN, OTHER = (START.same_part, START.choice), (0.9, 0.1)
ELSEWHERE = (40, 5, 55, 30)


def compared(*evidence: tuple[bool, float, float]) -> list[Comparison]:
    """From whether it was held, its evidence with the numbers of START, and with others."""
    return [Comparison("rex", held, {OWN: own, OTHER: other}) for held, own, other in evidence]


def test_numbers_that_tell_more_pairs_apart_are_taken():
    tried = compared((True, 0.5, 0.9), (True, 0.2, 0.6), (False, 0.4, 0.3))
    fitted, auroc = fit_verification(tried, START)
    assert (fitted.same_part, fitted.choice, auroc) == (*OTHER, 1.0)
    assert (fitted.temperature, fitted.stranger, fitted.slope) == (START.temperature, START.stranger, START.slope)


def test_numbers_that_are_hardly_better_are_not():
    # of 1000 pairs one more is told apart: 0.1 points
    tried = compared((True, 0.5, 0.9), *[(False, 0.1, 0.1)] * 999, (False, 0.6, 0.1))
    assert fit_verification(tried, START) == (START, 0.999)
    tried = compared((True, 0.5, 0.9), *[(False, 0.1, 0.1)] * 99, (False, 0.6, 0.1))  # a whole point
    assert fit_verification(tried, START)[1] == 1.0


def test_photos_of_one_kind_change_nothing():
    assert fit_verification(compared((True, 0.1, 0.9)), START) == (START, None)


def test_the_numbers_before_are_the_first_candidate_and_the_only_one_when_they_are_fixed():
    assert candidates(START, fixed=True) == [OWN]
    several = candidates(START, fixed=False)
    assert several[0] == OWN
    assert len(set(several)) == len(several) > 10


@pytest.fixture
def model():
    return colour_model(recipe=Recipe(verify=False))


@pytest.fixture
def concepts(model):
    return [model.learn(photo(colour=one), mask(), name=name) for name, one in (("red", RED), ("blue", BLUE))]


def test_every_concept_is_compared_with_what_is_found_of_it_in_every_photo(model, concepts):
    model.backbone.batches.clear()
    photos = [Photo(photo(at_xyxy=ELSEWHERE), frozenset({"red"})), Photo(photo(colour=GREEN), frozenset())]
    found = compare(model, concepts, iter(photos), candidates(CALIBRATION, fixed=False))
    assert [(one.concept, one.held) for one in found] == [
        ("red", True),
        ("blue", False),
        ("red", False),
        ("blue", False),
    ]
    assert all(list(one.evidence) == candidates(CALIBRATION, fixed=False) for one in found)
    assert found[0].evidence[OWN] == pytest.approx(1, abs=1e-3)
    assert max(one.evidence[OWN] for one in found[1:]) < 0.5
    # crops of the references in all views; then a photo, and crops of each find: to refine it, and to describe it once
    assert model.backbone.batches == VIEWS * [2] + 2 * [1, 2, 2]


def test_the_evidence_is_what_the_model_itself_judges_by(model, concepts):
    scene = photo(at_xyxy=ELSEWHERE)
    found = compare(model, concepts, [Photo(scene, frozenset({"red"}))], [OWN])
    verifying = colour_model()
    known = [verifying.learn(photo(colour=colour), mask(), name=str(colour)) for colour in (RED, BLUE)]
    finds = verifying.find(scene, verifying.backbone.encode([scene]), known)
    assert CALIBRATION.presence is not None
    assert [CALIBRATION.presence(one.evidence[OWN]) for one in found] == [find.presence for find in finds]


def test_where_nothing_is_found_there_is_no_evidence(model, concepts, monkeypatch):
    from persam.types import Candidates

    decode = model.backbone.decode

    def empty(*given):
        candidates = decode(*given)
        return Candidates(candidates.logits.clamp(max=-1), candidates.predicted_iou)

    monkeypatch.setattr(model.backbone, "decode", empty)
    found = compare(model, concepts, [Photo(photo(), frozenset({"red"}))], [OWN])
    assert [one.evidence[OWN] for one in found] == [0.0, 0.0]
