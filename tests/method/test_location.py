"""The confidence map finds the object where it is, in every shape of image."""

from dataclasses import replace

import pytest
import torch

from persam.geometry import Frame
from persam.method.calibration import Calibration
from persam.method.concept import Concept
from persam.method.location import Location, aligned_attention, confidence_map, locate, locate_point, smooth
from persam.method.prototypes import Patches, Prototypes, summarise
from persam.method.recipes import PERSAM
from persam.types import ImageEmbedding

CALIBRATION = Calibration("0")
OBJECT, GROUND = torch.eye(8)[0], torch.eye(8)[1]
RIDER, BIKE = torch.eye(8)[0], torch.eye(8)[2]
PLAIN = summarise(Patches(OBJECT[None], None), Patches(GROUND[None], None))


def embedding_of(features: torch.Tensor, hw: tuple[int, int] = (512, 512)) -> ImageEmbedding:
    return ImageEmbedding(features[None], (Frame(hw, 512),), ("0",))


def ground() -> torch.Tensor:
    return GROUND[:, None, None].repeat(1, 32, 32)


def scene(hw: tuple[int, int], row: int, column: int) -> ImageEmbedding:
    """Ground everywhere, the object in one patch, and in the padding something that looks just like the object."""
    features = ground()
    rows, columns = Frame(hw, 512).valid_hw
    features[:, rows:] = OBJECT[:, None, None]
    features[:, :, columns:] = OBJECT[:, None, None]
    features[:, row, column] = OBJECT
    return embedding_of(features, hw)


def concept(prototypes: Prototypes = PLAIN) -> Concept:
    """The object, learned from an image of nothing but it and the ground."""
    return Concept("thing", PERSAM, "none", "0", OBJECT, OBJECT, prototypes)


def located(embedding: ImageEmbedding, prototypes: Prototypes = PLAIN) -> Location:
    return locate(concept(prototypes), prototypes, embedding, CALIBRATION)


@pytest.mark.parametrize("place", [(3, 4), (10, 20), (0, 0), (17, 31)])
def test_peak_follows_the_object_and_ignores_the_padding(place):
    location = located(scene((288, 512), *place))
    assert location.peak == place
    prior = location.prior
    assert prior.points_xy[0].tolist() == [place[1] * 16 + 7.5, place[0] * 16 + 7.5]  # the middle of its patch
    assert prior.labels.tolist() == [1, 0, 1]  # the likeliest, the unlikeliest, a point for its one part
    assert prior.points_xy[2].tolist() == prior.points_xy[0].tolist()
    assert prior.similarity.shape == location.posterior.shape == (18, 32)


def test_confidence_is_the_cosine_to_the_target_feature():
    features = torch.zeros(8, 32, 32)
    features[:, 2, 3] = 3 * OBJECT - 4 * GROUND
    confidence = confidence_map(OBJECT, embedding_of(features))
    assert confidence[2, 3] == pytest.approx(0.6)
    assert confidence.abs().sum() == pytest.approx(0.6)  # a patch of zeros is like nothing, instead of NaN


def rider_and_bike() -> tuple[Prototypes, ImageEmbedding]:
    """A thing of two parts, learned as one; and an image with the one above the other."""
    features = ground()
    features[:, 10:13, 20:23], features[:, 13:16, 20:23] = RIDER[:, None, None], BIKE[:, None, None]
    return summarise(Patches(torch.stack([RIDER, BIKE]), None), Patches(GROUND[None], None)), embedding_of(features)


def test_every_part_has_a_positive_point_of_its_own():
    prototypes, image = rider_and_bike()
    prior = located(image, prototypes).prior
    assert prior.labels.tolist() == [1, 0, 1, 1]
    patches = (prior.points_xy // 16).int()
    assert {int(row) // 13 for _, row in patches[2:].tolist()} == {0, 1}  # one on the rider, one on the bike
    assert all(10 <= row < 16 and 20 <= column < 23 for column, row in patches[[0, 2, 3]].tolist())


def test_without_parts_there_is_one_positive_point_at_the_same_place():
    prototypes, image = rider_and_bike()
    whole = located(image, prototypes).prior
    point = locate_point(concept(prototypes), prototypes, image, CALIBRATION).prior
    assert point.labels.tolist() == [1, 0]
    assert torch.equal(point.points_xy, whole.points_xy[:2])


def test_the_unlikeliest_place_is_the_negative_point():
    features = torch.eye(8)[5][:, None, None].repeat(1, 32, 32)  # nothing in the reference is like it
    features[:, 4, 4] = OBJECT
    features[:, 25:32, 25:32] = GROUND[:, None, None]
    x, y = (located(embedding_of(features)).prior.points_xy[1] // 16).tolist()
    assert x >= 25
    assert y >= 25


def test_guidance_sits_in_the_objects_own_patch():
    embedding = scene((576, 1024), 10, 20)
    attention = located(embedding).prior.attention
    assert divmod(int(attention.argmax()), 32) == (10, 20)
    assert attention[18:].max() == attention[:18].min()  # padding is told the least


def test_guidance_is_the_logistic_of_the_z_score():
    inside = torch.tensor([[0.0, 1.0], [2.0, 3.0]])  # mean 1.5, variance 1.25
    attention = aligned_attention(inside, 3)
    expected = 1 / (1 + torch.exp(-(inside - 1.5) / 1.25**0.5))
    torch.testing.assert_close(attention[:2, :2], expected)
    assert attention[2].tolist() == attention[:, 2].tolist() == [expected[0, 0]] * 3


def test_smoothing_is_a_mean_of_twenty_five_with_the_middle_counted_four_times():
    inside = torch.zeros(9, 9)
    inside[4, 4] = 28.0
    smoothed = smooth(inside)
    assert smoothed[4, 4] == 4
    assert torch.equal(smoothed[2:7, 2:7] > 0, torch.ones(5, 5, dtype=torch.bool))
    assert smoothed.sum() == 28
    torch.testing.assert_close(smooth(torch.full((1, 3), 0.7)), torch.full((1, 3), 0.7))  # the edge repeats


def test_a_shorter_reach_smooths_over_nine_with_the_middle_counted_twice():
    peak = torch.zeros(9, 9)
    peak[4, 4] = 1.0
    smoothed = smooth(peak, reach=1)
    assert smoothed[4, 4] == pytest.approx(2 / 10)
    assert smoothed[3, 5] == pytest.approx(1 / 10)
    assert smoothed[4, 6] == 0


def test_a_patch_like_the_references_background_is_not_the_object_however_similar():
    features = scene((512, 512), 8, 8).features[0].clone()
    sky = (OBJECT * 3 + torch.eye(8)[2]) / 10**0.5  # cosine 0.95 to the object
    features[:, 20:24, 20:24] = sky[:, None, None]
    here = (OBJECT * 2 + torch.eye(8)[3]) / 5**0.5  # the object as it looks in this image: cosine 0.89
    features[:, 7:10, 7:10] = here[:, None, None]
    image = embedding_of(features)
    row, _ = divmod(int(confidence_map(OBJECT, image).argmax()), 32)
    assert 20 <= row < 24  # by the mean alone it is the sky
    surroundings = Patches(torch.stack([GROUND, sky]), None)
    location = located(image, summarise(Patches(OBJECT[None], None), surroundings))
    assert ((location.prior.points_xy[0] >= 7 * 16) & (location.prior.points_xy[0] < 10 * 16)).all()
    assert location.posterior[8, 8] > 0.5 > location.posterior[21, 21]


def test_a_patch_like_nothing_in_the_reference_is_not_the_object():
    stranger = torch.eye(8)[5][:, None, None].repeat(1, 32, 32)
    assert located(embedding_of(stranger)).posterior.max() < 0.01


def test_the_calibration_says_how_steeply_the_posterior_rises():
    image = scene((512, 512), 8, 8)
    for slope in (2.0, 8.0):
        calibration = replace(CALIBRATION, slope=slope)
        posterior = locate(concept(), PLAIN, image, calibration).posterior
        # log ratio at the object: similarity 1 against a stranger's 0.5
        assert posterior[8, 8] == pytest.approx(torch.tensor(0.5 * slope).sigmoid().item(), abs=1e-3)


@pytest.mark.parametrize("hw", [(1, 1), (10, 20000), (20000, 10)])
def test_a_flat_map_guides_nowhere_without_nan(hw):
    prior = located(embedding_of(ground(), hw)).prior
    assert torch.isfinite(prior.attention).all()
    assert torch.isfinite(prior.points_xy).all()
