"""The confidence map finds the object where it is, in every shape of photo."""

from dataclasses import replace

import pytest
import torch

from persam.geometry import Frame
from persam.method.concept import Concept
from persam.method.location import confidence_map, locate
from persam.method.prototypes import Cells, summarise
from persam.method.recipes import OFFICIAL_PERSAM, OFFICIAL_PERSAM_F, PERSAM, Recipe
from persam.types import ImageEmbedding
from tests.colour import no_portrait

OBJECT, GROUND = torch.eye(8)[0], torch.eye(8)[1]


def scene(hw: tuple[int, int], row: int, column: int) -> ImageEmbedding:
    """Ground everywhere, the object in one cell, and in the padding something that looks just like the object."""
    frame = Frame(hw, 512)
    features = GROUND[:, None, None].repeat(1, 32, 32)
    rows, columns = frame.valid_hw
    features[:, rows:] = OBJECT[:, None, None]
    features[:, :, columns:] = OBJECT[:, None, None]
    features[:, row, column] = OBJECT
    return ImageEmbedding(features, frame)


def concept(recipe: Recipe) -> Concept:
    """The object, learned from a photo of nothing but it and the ground."""
    prototypes = summarise(Cells(OBJECT[None], None), Cells(GROUND[None], None))
    return Concept("thing", recipe, "none", "0", OBJECT, OBJECT, prototypes, no_portrait(len(OBJECT)))


@pytest.mark.parametrize("place", [(3, 4), (10, 20), (0, 0), (17, 31)])
@pytest.mark.parametrize("recipe", [replace(PERSAM, parts=0), OFFICIAL_PERSAM])
def test_peak_follows_the_object_and_ignores_the_padding(place, recipe):
    embedding = scene((288, 512), *place)
    prior = locate(concept(recipe), embedding)
    x, y = prior.points_xy[0].tolist()
    assert (int(y) // 16, int(x) // 16) == place
    assert prior.labels.tolist() == [1, 0]
    assert prior.similarity.shape == (18, 32)


RIDER, BIKE = torch.eye(8)[0], torch.eye(8)[2]


def rider_and_bike() -> tuple[Concept, ImageEmbedding]:
    """A thing of two parts, learned as one; and a photo with the one above the other."""
    prototypes = summarise(Cells(torch.stack([RIDER, BIKE]), None), Cells(GROUND[None], None))
    learned = replace(concept(PERSAM), feature=RIDER, prototypes=prototypes)
    features = GROUND[:, None, None].repeat(1, 32, 32)
    features[:, 10:13, 20:23], features[:, 13:16, 20:23] = RIDER[:, None, None], BIKE[:, None, None]
    return learned, ImageEmbedding(features, Frame((512, 512), 512))


def test_every_part_has_a_positive_point_of_its_own():
    learned, photo = rider_and_bike()
    prior = locate(learned, photo)
    assert prior.labels.tolist() == [1, 0, 1, 1]
    cells = (prior.points_xy // 16).int()
    assert {int(row) // 13 for _, row in cells[2:].tolist()} == {0, 1}  # one on the rider, one on the bike
    assert all(10 <= row < 16 and 20 <= column < 23 for column, row in cells[[0, 2, 3]].tolist())


def test_points_of_parts_keep_off_what_is_taken_and_are_left_out_where_there_may_be_several():
    learned, photo = rider_and_bike()
    assert locate(learned, photo, alone=False).labels.tolist() == [1, 0]
    taken = torch.zeros(32, 32, dtype=torch.bool)
    taken[13:16] = True  # the bike
    prior = locate(learned, photo, taken=taken)
    rows = (prior.points_xy[:, 1] // 16).int()
    assert all(10 <= row < 13 for row in rows[prior.labels == 1].tolist())


def test_cells_beside_what_is_taken_are_no_likelier_for_it():
    features = GROUND[:, None, None].repeat(1, 32, 32)
    features[:, 6:12, 6:12] = OBJECT[:, None, None]
    features[:, 24, 24] = OBJECT
    photo = ImageEmbedding(features, Frame((512, 512), 512))
    first = locate(concept(PERSAM), photo).points_xy[0] // 16
    assert ((first >= 6) & (first < 12)).all()
    taken = torch.zeros(32, 32, dtype=torch.bool)
    taken[6:12, 6:11] = True  # an instance's mask that left a column of its cells out
    features[:, 6:12, 11] = (OBJECT + GROUND)[:, None] / 2**0.5
    second = locate(concept(PERSAM), ImageEmbedding(features, photo.frame), taken=taken, alone=False).points_xy[0] // 16
    assert second.tolist() == [24, 24]


def test_guidance_sits_in_the_objects_own_cell():
    embedding = scene((576, 1024), 10, 20)
    attention = locate(concept(PERSAM), embedding).attention
    assert divmod(int(attention.argmax()), 32) == (10, 20)
    assert attention[18:].max() == attention[:18].min()  # padding is told the least


def test_published_guidance_is_misplaced_on_a_wide_photo():
    # ledger 3: at 1024 x 576 a peak in row 26 of 64 lands in row 47; here row 10 of 32 lands near row 10 * 32 / 18
    attention = locate(concept(OFFICIAL_PERSAM), scene((576, 1024), 10, 20)).attention
    row, _ = divmod(int(attention.argmax()), 32)
    assert abs(row - 18) <= 1


def test_a_cell_like_the_references_background_is_not_the_object_however_alike():
    embedding = scene((512, 512), 8, 8)
    features = embedding.features.clone()
    sky = (OBJECT * 3 + torch.eye(8)[2]) / 10**0.5  # cosine 0.95 to the object
    features[:, 20:24, 20:24] = sky[:, None, None]
    here = (OBJECT * 2 + torch.eye(8)[3]) / 5**0.5  # the object as it looks in this photo: cosine 0.89
    features[:, 7:10, 7:10] = here[:, None, None]
    photo = ImageEmbedding(features, embedding.frame)
    by_mean = locate(concept(OFFICIAL_PERSAM), photo)
    assert by_mean.points_xy[0].tolist() != [8 * 16 + 7.5, 8 * 16 + 7.5]
    surroundings = Cells(torch.stack([GROUND, sky]), None)
    with_sky = replace(concept(PERSAM), prototypes=summarise(Cells(OBJECT[None], None), surroundings))
    prior = locate(with_sky, photo)
    assert ((prior.points_xy[0] >= 7 * 16) & (prior.points_xy[0] < 10 * 16)).all()
    assert prior.posterior[8, 8] > 0.5 > prior.posterior[21, 21]


def test_a_cell_like_nothing_in_the_reference_is_not_the_object():
    stranger = torch.eye(8)[5][:, None, None].repeat(1, 32, 32)
    prior = locate(concept(PERSAM), ImageEmbedding(stranger, Frame((512, 512), 512)))
    assert prior.posterior.max() < 0.01


def test_persam_f_gives_one_positive_point():
    prior = locate(concept(OFFICIAL_PERSAM_F), scene((512, 512), 8, 8))
    assert prior.labels.tolist() == [1]
    assert prior.attention is None


@pytest.mark.parametrize("hw", [(1, 1), (10, 20000), (20000, 10)])
def test_a_flat_map_guides_nowhere_without_nan(hw):
    features = GROUND[:, None, None].repeat(1, 32, 32)
    prior = locate(concept(PERSAM), ImageEmbedding(features, Frame(hw, 512)))
    assert torch.isfinite(prior.attention).all()
    assert torch.isfinite(prior.points_xy).all()


def test_a_cell_of_zeros_has_no_similarity_instead_of_nan():
    features = torch.zeros(8, 32, 32)
    assert confidence_map(OBJECT, ImageEmbedding(features, Frame((512, 512), 512))).abs().max() == 0
