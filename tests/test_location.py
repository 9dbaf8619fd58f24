"""The confidence map finds the object where it is, in every shape of photo."""

import pytest
import torch

from persam.geometry import Frame
from persam.location import confidence_map, locate
from persam.recipes import OFFICIAL_PERSAM, PERSAM, PERSAM_F
from persam.types import ImageEmbedding

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


@pytest.mark.parametrize("place", [(3, 4), (10, 20), (0, 0), (17, 31)])
@pytest.mark.parametrize("recipe", [PERSAM, OFFICIAL_PERSAM])
def test_peak_follows_the_object_and_ignores_the_padding(place, recipe):
    embedding = scene((288, 512), *place)
    prior = locate(OBJECT, embedding, recipe)
    x, y = prior.points_xy[0].tolist()
    assert (int(y) // 16, int(x) // 16) == place
    assert prior.labels.tolist() == [1, 0]
    assert prior.similarity.shape == (18, 32)


def test_guidance_sits_in_the_objects_own_cell():
    embedding = scene((576, 1024), 10, 20)
    attention = locate(OBJECT, embedding, PERSAM).attention
    assert divmod(int(attention.argmax()), 32) == (10, 20)
    assert attention[18:].max() == attention[:18].min()  # padding is told the least


def test_published_guidance_is_misplaced_on_a_wide_photo():
    # ledger 3: at 1024 x 576 a peak in row 26 of 64 lands in row 47; here row 10 of 32 lands near row 10 * 32 / 18
    attention = locate(OBJECT, scene((576, 1024), 10, 20), OFFICIAL_PERSAM).attention
    row, _ = divmod(int(attention.argmax()), 32)
    assert abs(row - 18) <= 1


def test_peak_between_two_cells_is_found_between_them():
    embedding = scene((512, 512), 8, 8)
    features = embedding.features.clone()
    features[:, 8, 9] = OBJECT * 0.9 + GROUND * 0.3
    features[:, 8, 7] = GROUND
    x, y = locate(OBJECT, ImageEmbedding(features, embedding.frame), PERSAM).points_xy[0].tolist()
    assert 8 * 16 + 7.5 < x < 9 * 16  # drawn to the right neighbour, by less than half a cell
    assert y == 8 * 16 + 7.5


def test_persam_f_gives_one_positive_point():
    prior = locate(OBJECT, scene((512, 512), 8, 8), PERSAM_F)
    assert prior.labels.tolist() == [1]
    assert prior.attention is None


@pytest.mark.parametrize("hw", [(1, 1), (10, 20000), (20000, 10)])
def test_a_flat_map_guides_nowhere_without_nan(hw):
    features = GROUND[:, None, None].repeat(1, 32, 32)
    prior = locate(OBJECT, ImageEmbedding(features, Frame(hw, 512)), PERSAM)
    assert torch.isfinite(prior.attention).all()
    assert torch.isfinite(prior.points_xy).all()


def test_a_cell_of_zeros_has_no_similarity_instead_of_nan():
    features = torch.zeros(8, 32, 32)
    assert confidence_map(OBJECT, ImageEmbedding(features, Frame((512, 512), 512))).abs().max() == 0
