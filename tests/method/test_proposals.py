"""Proposals: what is asked, what counts as a thing, and how one becomes a reference."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from persam.errors import MaskError, PerSAMError
from persam.method import proposals
from persam.method.prompts import Proposed, parse_prompt
from persam.method.proposals import propose
from tests.colour import BLUE, RED, ColourBackbone, colour_model, mask, photo
from tests.method.rehearsed import EMBEDDING, NOTHING, Rehearsed, answer, square


@pytest.fixture(autouse=True)
def few_points(monkeypatch) -> None:
    """A grid of 8 points a side instead of 16, of which each takes the stand-in as long as a network."""
    monkeypatch.setattr(proposals, "POINTS", 8)


def scene() -> np.ndarray:
    """A red and a blue rectangle on grey."""
    rgb = photo(at_xyxy=(4, 8, 25, 29))
    rgb[40:56, 36:60] = BLUE
    return rgb


def of(shown: np.ndarray, **how) -> list[proposals.Proposal]:
    backbone = ColourBackbone()
    return propose(backbone, backbone.encode([shown]), **how)


def is_there(found: list[proposals.Proposal], where: np.ndarray) -> bool:
    return any(np.array_equal(one.mask(where.shape), where) for one in found)


# ---- what is asked


def test_the_grid_reaches_every_side_and_its_points_are_equally_far_from_each_other():
    backbone = ColourBackbone()
    propose(backbone, backbone.encode([photo(hw=(32, 64))]), points=8)
    points = torch.cat([prompt.points_xy for prompt in backbone.prompts])[:, 0]
    assert sorted({x for x, _ in points.tolist()}) == [3.5, 11.5, 19.5, 27.5, 35.5, 43.5, 51.5, 59.5]
    assert sorted({y for _, y in points.tolist()}) == [3.5, 11.5, 19.5, 27.5]
    assert len(points) == 32


def test_points_are_decoded_in_batches():
    backbone = ColourBackbone()
    propose(backbone, backbone.encode([photo()]), points=16)
    assert [len(prompt) for prompt in backbone.prompts] == [proposals.AT_ONCE] * 8
    assert backbone.batches == [1]


def test_a_strip_has_a_row_of_points():
    found = of(np.full((1, 64, 3), RED, np.uint8), points=4)
    assert is_there(found, np.ones((1, 64), bool))


# ---- what counts


def test_everything_of_a_scene_is_proposed_once_the_best_first():
    found = of(scene())
    for at in ((4, 8, 25, 29), (36, 40, 59, 55)):
        assert is_there(found, mask(at_xyxy=at))
    masks = [one.mask((64, 64)) for one in found]
    for number, one in enumerate(masks):
        for other in masks[:number]:
            assert (one & other).sum() / (one | other).sum() < proposals.ALIKE
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("scores", "height", "expected"),
    [
        ((0.9, 0.29, 0.2, 0.1), 5.0, 0),  # none is sure
        ((0.9, 0.9, 0.9, 0.9), 0.5, 0),  # all are sure, and none is stable: the border may be anywhere
        ((0.9, 0.9, 0.2, 0.1), 5.0, 1),  # the first is for prompts of several points
    ],
)
def test_a_mask_is_sure_and_stable(monkeypatch, scores, height, expected):
    monkeypatch.setattr(proposals, "SMALLEST", 1)
    masks = [square(0, 0, 4, 4, height=height)] * 2 + [square(0, 0, 1, 1, height=height)] * 2
    backbone = Rehearsed(answer(*scores, masks=masks))
    found = propose(backbone, EMBEDDING, points=1)
    assert len(found) == expected
    if found:
        assert found[0].score == pytest.approx(0.9)


def test_of_a_mask_in_pieces_the_one_at_the_point_is_proposed(monkeypatch):
    monkeypatch.setattr(proposals, "SMALLEST", 1)
    two = torch.maximum(square(2, 2, 4, 4), square(7, 7, 7, 7))
    [found] = propose(Rehearsed(answer(0.9, 0.9, 0.1, 0.1, masks=[two] * 4)), EMBEDDING, points=1)
    assert np.array_equal(found.mask((8, 8)), (square(2, 2, 4, 4) > 0).numpy())


def test_nothing_to_propose_is_an_empty_result():
    assert propose(Rehearsed(answer(0.9, 0.9, 0.9, 0.9, masks=[NOTHING] * 4)), EMBEDDING, points=2) == []


def test_there_are_so_many_at_most(monkeypatch):
    monkeypatch.setattr(proposals, "MOST", 2)
    assert len(of(scene())) == 2


# ---- crops


def test_crops_add_what_is_small_after_what_the_whole_image_shows():
    rgb = photo(at_xyxy=(4, 8, 25, 29))
    rgb[41:43, 42:44] = BLUE  # between the points of a grid of four
    small = mask(at_xyxy=(42, 41, 43, 42))
    whole, closer = of(rgb, points=4), of(rgb, points=4, rgb=rgb)
    assert not is_there(whole, small)
    assert [one.score for one in closer[: len(whole)]] == [one.score for one in whole]
    assert all(one.crop is not None for one in closer[len(whole) :])


def test_what_a_crop_cuts_is_not_proposed_from_it():
    rgb = photo(at_xyxy=(20, 20, 44, 44))  # lies in every crop, and goes beyond each
    found = of(rgb, rgb=rgb)
    reds = [one.mask((64, 64)) for one in found if (rgb[one.mask((64, 64))] == RED).all()]
    assert all(np.array_equal(one, mask(at_xyxy=(20, 20, 44, 44))) or one.sum() < 0.6 * 25 * 25 for one in reds)


def test_a_mask_from_a_crop_lies_where_it_is_in_the_image():
    rgb = photo(at_xyxy=(46, 44, 57, 53))
    backbone = ColourBackbone()
    [whole, *crops] = proposals.looked_at(backbone, backbone.encode([rgb]), rgb, points=8)
    assert len(crops) == 4
    places = [np.argwhere(one.mask((64, 64))) for own in crops for one in own if one.score == pytest.approx(0.9)]
    red = mask(at_xyxy=(46, 44, 57, 53))
    assert any(np.array_equal(place, np.argwhere(red)) for place in places)
    assert is_there(whole, red)


# ---- as a result, and as a reference


def test_a_result_names_its_proposals_by_number_and_knows_their_points():
    result = colour_model().propose(scene())
    assert [one.concept for one in result] == [f"proposal {number}" for number in range(1, len(result) + 1)]
    for one in result:
        [(x, y)] = one.points_xy.tolist()
        assert one.mask[round(y), round(x)]
        assert one.presence is None
        assert 0 <= one.score <= 1


def test_a_result_of_a_smaller_copy_fits_that_copy():
    rgb = np.kron(scene(), np.ones((4, 4, 1), np.uint8))
    result = colour_model().propose(rgb, max_side=64)
    assert result.size_hw == (64, 64)
    assert result.read().shape == (64, 64, 3)
    red = mask(at_xyxy=(4, 8, 25, 29))
    assert any(np.array_equal(one.mask, red) for one in result)
    assert all(one.mask[tuple(one.points_xy[0, ::-1].round().astype(int))] for one in result)


def test_a_number_is_a_reference_as_the_mask_is():
    model, rgb = colour_model(), scene()
    result = model.propose(rgb)
    for number, one in enumerate(result, start=1):
        [reference] = model.learn(rgb, f"propose:{number}").references
        assert np.array_equal(reference.mask, one.mask)


def test_a_number_beyond_what_the_whole_image_shows_is_looked_for_in_crops():
    model, rgb = colour_model(), scene()
    count = len(model.propose(rgb))
    more = model.propose(rgb, crops=True)
    assert len(more) >= count
    for number in range(count + 1, len(more) + 1):
        learned = model.learn(rgb, f"propose:{number}")
        assert np.array_equal(learned.references[0].mask, more[f"proposal {number}"].mask)


@pytest.mark.parametrize("number", [0, -3, 999])
def test_a_number_that_is_not_there_is_refused_and_says_how_many_there_are(number):
    model, rgb = colour_model(), scene()
    most = len(model.propose(rgb, crops=True))
    with pytest.raises(MaskError, match=rf"no proposal {number} in the 64x64 reference: there are \d+") as error:
        model.learn(rgb, f"propose:{number}")
    assert number < 1 or f"there are {most}." in str(error.value)


def test_the_text_of_a_number():
    assert parse_prompt("propose:7") == Proposed(7)
    with pytest.raises(MaskError, match=r"cannot read 'propose:seven'.*propose:N"):
        parse_prompt("propose:seven")


@pytest.mark.parametrize("points", [0, 65])
def test_a_grid_has_its_limits(points):
    with pytest.raises(PerSAMError, match="1 to 64 points"):
        colour_model().propose(scene(), points=points)


def test_one_photo_is_asked_for():
    with pytest.raises(PerSAMError, match="one photo is asked for, and 2 were given"):
        colour_model().propose([scene(), scene()])


@pytest.mark.slow
def test_nano_proposes_the_cat_first(nano, monkeypatch):
    monkeypatch.undo()
    examples = Path(__file__).parents[2] / "data" / "examples"
    result = nano.propose(examples / "photos" / "chelsea.jpg")
    cat = np.asarray(Image.open(examples / "masks" / "cat.png").convert("L")) > 127
    first = result["proposal 1"].mask
    assert (first & cat).sum() / (first | cat).sum() > 0.85
