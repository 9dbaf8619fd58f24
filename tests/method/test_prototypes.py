"""A few features stand for many, and say what looks like the object, what like its surroundings, what like neither."""

import pytest
import torch

from persam.geometry import Frame
from persam.method.prototypes import BACKGROUND, FOREGROUND, Cells, Prototypes, cluster, log_ratio, summarise
from persam.types import ImageEmbedding

RED, GREEN, BLUE, WHITE = torch.eye(4)


def cells(*features: torch.Tensor, colours: list[list[float]] | None = None) -> Cells:
    return Cells(torch.stack(features), None if colours is None else torch.tensor(colours))


NONE = Cells(torch.zeros(0, 4), None)


def test_two_parts_are_found_with_their_shares():
    centres, _, share = cluster(cells(*[RED] * 30, *[GREEN] * 10), 2)
    order = share.argsort(descending=True)
    torch.testing.assert_close(centres[order], torch.stack([RED, GREEN]), rtol=0, atol=1e-3)
    assert share[order].tolist() == [0.75, 0.25]


@pytest.mark.parametrize("count", [1, 3, 100])
def test_there_are_never_more_centres_than_cells_and_shares_sum_to_one(count):
    random = torch.randn(20, 6, generator=torch.Generator().manual_seed(1))
    centres, _, share = cluster(Cells(torch.nn.functional.normalize(random, dim=1), None), count)
    assert len(centres) == min(count, 20)
    assert share.sum() == pytest.approx(1, abs=2e-3)
    torch.testing.assert_close(centres.norm(dim=1), torch.ones(len(centres)), rtol=0, atol=2e-3)


def test_the_same_cells_give_the_same_prototypes():
    random = torch.nn.functional.normalize(torch.randn(50, 6, generator=torch.Generator().manual_seed(2)), dim=1)
    there, around = Cells(random, None), Cells(-random, None)
    first, second = summarise(there, around), summarise(Cells(random.clone(), None), around)
    for name in vars(first):
        assert torch.equal(getattr(first, name), getattr(second, name))
    assert first.foreground.shape == (FOREGROUND, 6)
    assert first.background.shape == (BACKGROUND, 6)


def ratio(prototypes: Prototypes, *features: torch.Tensor, colours: list[list[float]] | None = None) -> list[float]:
    """Of each feature in a photo whose columns they are."""
    count = len(features)
    grid = torch.stack(features, dim=1)[:, None].repeat(1, count, 1)
    shades = None if colours is None else torch.tensor(colours).T[:, None].repeat(1, count, 1)
    embedding = ImageEmbedding(grid, Frame((16, 16), 16, 16 // count), colour=shades)
    return log_ratio(prototypes, embedding)[0].tolist()


def test_object_surroundings_and_strangers():
    red, green, blue, both = ratio(summarise(cells(RED), cells(GREEN)), RED, GREEN, BLUE, RED + GREEN)
    # cosines 1 and 0: the stranger at 0.5 is the better explanation of what is not the object
    assert red == pytest.approx(1 - 0.5, abs=1e-3)
    assert green == pytest.approx(0 - 1, abs=1e-3)
    assert blue == pytest.approx(0 - 0.5, abs=1e-3)
    assert both == pytest.approx(0, abs=0.01)  # equally alike to both: undecided


def test_an_object_without_background_still_tells_strangers():
    red, green = ratio(summarise(cells(RED), NONE), RED, GREEN)
    assert red > 0 > green


def test_cells_of_zeros_give_no_nan():
    assert all(value < 0 for value in ratio(summarise(cells(RED), cells(GREEN)), torch.zeros(4), torch.zeros(4)))


def test_a_thing_of_the_same_kind_in_another_colour_is_not_the_thing():
    grey, black, crimson = [50.0, 0.0, 0.0], [30.0, 0.0, 0.0], [50.0, 70.0, 50.0]
    learned = summarise(cells(RED, colours=[black]), cells(GREEN, colours=[grey]))
    same, shaded, other = ratio(learned, RED, RED, RED, WHITE, colours=[black, [40.0, 2.0, 1.0], crimson, grey])[:3]
    assert same == pytest.approx(1 - 0.5, abs=2e-3)
    assert same > shaded > 0.4  # a shadow is no other colour
    assert other == pytest.approx(0.7 - 0.5, abs=0.02)  # all that is left is the share of the features


def test_parts_of_one_kind_are_told_apart_by_colour():
    white, brown = [90.0, 0.0, 0.0], [40.0, 20.0, 30.0]
    _, colours, share = cluster(cells(*[RED] * 4, colours=[white, white, white, brown]), 2)
    assert sorted(zip(share.tolist(), colours.tolist(), strict=True)) == [(0.25, brown), (0.75, white)]


def test_cells_are_compared_by_the_map_for_that_where_there_is_one():
    features, levels, identity = (torch.rand(width, 2, 2) + 0.1 for width in (4, 5, 3))
    frame = Frame((32, 32), 32, 16)
    plain, nano = ImageEmbedding(features, frame), ImageEmbedding(features, frame, levels=levels, identity=identity)
    for found, expected in (
        (Cells.of(plain), features),
        (Cells.of(plain, by="identity"), features),
        (Cells.of(nano), levels),
        (Cells.of(nano, by="identity"), identity),
    ):
        unit = torch.nn.functional.normalize(expected.flatten(1).T, dim=1)
        torch.testing.assert_close(found.features, unit)


def test_equal_cells_are_one_part_however_they_were_rounded():
    fur = torch.nn.functional.normalize(torch.tensor([0.8232, -0.4013, -0.4013, 0.1]), dim=0)
    assert len(summarise(cells(*[fur] * 20), cells(GREEN)).foreground) == 1
    again = cluster(cells(*[fur.half().float()] * 20), 3)
    assert len(again[0]) == 1
