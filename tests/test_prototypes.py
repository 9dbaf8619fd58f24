"""A few features stand for many, and say what looks like the object, what like its surroundings, what like neither."""

import pytest
import torch

from persam.geometry import Frame
from persam.prototypes import BACKGROUND, FOREGROUND, Prototypes, cluster, log_ratio, summarise
from persam.types import ImageEmbedding

RED, GREEN, BLUE, WHITE = torch.eye(4)


def test_two_parts_are_found_with_their_shares():
    cells = torch.cat([RED.repeat(30, 1), 5 * GREEN.repeat(10, 1)])  # length says nothing, direction does
    centres, share = cluster(cells, 2)
    order = share.argsort(descending=True)
    torch.testing.assert_close(centres[order], torch.stack([RED, GREEN]), rtol=0, atol=1e-3)
    assert share[order].tolist() == [0.75, 0.25]


@pytest.mark.parametrize("count", [1, 3, 100])
def test_there_are_never_more_centres_than_cells_and_shares_sum_to_one(count):
    cells = torch.randn(20, 6, generator=torch.Generator().manual_seed(1))
    centres, share = cluster(cells, count)
    assert len(centres) == min(count, 20)
    assert share.sum() == pytest.approx(1)
    torch.testing.assert_close(centres.norm(dim=1), torch.ones(len(centres)), rtol=0, atol=2e-3)


def test_the_same_cells_give_the_same_prototypes():
    cells = torch.randn(50, 6, generator=torch.Generator().manual_seed(2))
    first, second = summarise(cells, -cells), summarise(cells.clone(), -cells)
    for name in vars(first):
        assert torch.equal(getattr(first, name), getattr(second, name))
    assert first.foreground.shape == (FOREGROUND, 6)
    assert first.background.shape == (BACKGROUND, 6)


def ratio(prototypes: Prototypes, *cells: torch.Tensor) -> list[float]:
    features = torch.stack(cells, dim=1)[:, None].repeat(1, len(cells), 1)
    return log_ratio(prototypes, ImageEmbedding(features, Frame((16, 16), 16, 16 // len(cells))))[0].tolist()


def test_object_surroundings_and_strangers():
    red, green, blue, both = ratio(summarise(RED[None], GREEN[None]), RED, GREEN, BLUE, RED + GREEN)
    # cosines 1 and 0: the stranger at 0.5 is the better explanation of what is not the object
    assert red == pytest.approx(1 - 0.5, abs=1e-3)
    assert green == pytest.approx(0 - 1, abs=1e-3)
    assert blue == pytest.approx(0 - 0.5, abs=1e-3)
    assert both == pytest.approx(0, abs=0.01)  # equally alike to both: undecided


def test_a_close_up_without_background_still_tells_strangers():
    close_up = summarise(RED[None], torch.zeros(0, 4))
    red, green = ratio(close_up, RED, GREEN)
    assert red > 0 > green


def test_cells_of_zeros_give_no_nan():
    assert all(value < 0 for value in ratio(summarise(RED[None], GREEN[None]), torch.zeros(4), torch.zeros(4)))
