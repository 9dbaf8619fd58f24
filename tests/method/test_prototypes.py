"""A few features stand for many, and say what looks like the object, what like its surroundings, what like neither."""

import pytest
import torch

from persam.geometry import Frame
from persam.method.calibration import Calibration
from persam.method.prototypes import BACKGROUND, FOREGROUND, Patches, Prototypes, against, cluster, log_ratio, summarise
from persam.types import ImageEmbedding

RED, GREEN, BLUE, WHITE = torch.eye(4)


def patches(*features: torch.Tensor, colours: list[list[float]] | None = None) -> Patches:
    return Patches(torch.stack(features), None if colours is None else torch.tensor(colours))


CALIBRATION = Calibration("0")
NONE = Patches(torch.zeros(0, 4), None)


def test_two_parts_are_found_with_their_shares():
    centres, _, share = cluster(patches(*[RED] * 30, *[GREEN] * 10), 2)
    order = share.argsort(descending=True)
    torch.testing.assert_close(centres[order], torch.stack([RED, GREEN]), rtol=0, atol=1e-3)
    assert share[order].tolist() == [0.75, 0.25]


@pytest.mark.parametrize("count", [1, 3, 100])
def test_there_are_never_more_centres_than_patches_and_shares_sum_to_one(count):
    random = torch.randn(20, 6, generator=torch.Generator().manual_seed(1))
    centres, _, share = cluster(Patches(torch.nn.functional.normalize(random, dim=1), None), count)
    assert len(centres) == min(count, 20)
    assert share.sum() == pytest.approx(1, abs=2e-3)
    torch.testing.assert_close(centres.norm(dim=1), torch.ones(len(centres)), rtol=0, atol=2e-3)


def test_the_same_patches_give_the_same_prototypes():
    random = torch.nn.functional.normalize(torch.randn(50, 6, generator=torch.Generator().manual_seed(2)), dim=1)
    there, around = Patches(random, None), Patches(-random, None)
    first, second = summarise(there, around), summarise(Patches(random.clone(), None), around)
    for name in vars(first):
        assert torch.equal(getattr(first, name), getattr(second, name))
    assert first.foreground.shape == (FOREGROUND, 6)
    assert first.background.shape == (BACKGROUND, 6)


def ratio(
    prototypes: Prototypes,
    *features: torch.Tensor,
    colours: list[list[float]] | None = None,
    calibration: Calibration = CALIBRATION,
) -> list[float]:
    """Of each feature in a photo whose columns they are."""
    count = len(features)
    grid = torch.stack(features, dim=1)[None, :, None].repeat(1, 1, count, 1)
    shades = None if colours is None else torch.tensor(colours).T[None, :, None].repeat(1, 1, count, 1)
    embedding = ImageEmbedding(grid, (Frame((16, 16), 16, 16 // count),), ("0",), colour=shades)
    return log_ratio(prototypes, embedding, calibration)[0].tolist()


def test_object_surroundings_and_strangers():
    red, green, blue, both = ratio(summarise(patches(RED), patches(GREEN)), RED, GREEN, BLUE, RED + GREEN)
    # cosines 1 and 0: the stranger at 0.5 is the better explanation of what is not the object
    assert red == pytest.approx(1 - 0.5, abs=1e-3)
    assert green == pytest.approx(0 - 1, abs=1e-3)
    assert blue == pytest.approx(0 - 0.5, abs=1e-3)
    assert both == pytest.approx(0, abs=0.01)  # equally alike to both: undecided


def test_the_calibration_says_how_similar_a_stranger_is_and_how_sharply_the_nearest_counts():
    learned = summarise(patches(RED), NONE)
    (red,) = ratio(learned, RED, calibration=Calibration("0", stranger=0.7))
    assert red == pytest.approx(1 - 0.7, abs=1e-3)
    two = summarise(patches(RED, GREEN), NONE)
    for temperature in (5.0, 50.0):
        # half of the object is red: the similarity loses the log of that share, over the temperature
        (red,) = ratio(two, RED, calibration=Calibration("0", temperature=temperature))
        expected = torch.tensor([temperature, 0.0]).logsumexp(0) - torch.tensor(2.0).log()
        assert red == pytest.approx(float(expected) / temperature - 0.5, abs=2e-3)


def test_an_object_without_background_still_tells_strangers():
    red, green = ratio(summarise(patches(RED), NONE), RED, GREEN)
    assert red > 0 > green


def test_patches_of_zeros_give_no_nan():
    assert all(value < 0 for value in ratio(summarise(patches(RED), patches(GREEN)), torch.zeros(4), torch.zeros(4)))


def test_a_thing_of_the_same_kind_in_another_colour_is_not_the_thing():
    grey, black, crimson = [50.0, 0.0, 0.0], [30.0, 0.0, 0.0], [50.0, 70.0, 50.0]
    learned = summarise(patches(RED, colours=[black]), patches(GREEN, colours=[grey]))
    same, shaded, other = ratio(learned, RED, RED, RED, WHITE, colours=[black, [40.0, 2.0, 1.0], crimson, grey])[:3]
    assert same == pytest.approx(1 - 0.5, abs=2e-3)
    assert same > shaded > 0.4  # a shadow is no other colour
    assert other == pytest.approx(0.7 - 0.5, abs=0.02)  # all that is left is the share of the features


def test_parts_of_one_kind_are_told_apart_by_colour():
    white, brown = [90.0, 0.0, 0.0], [40.0, 20.0, 30.0]
    _, colours, share = cluster(patches(*[RED] * 4, colours=[white, white, white, brown]), 2)
    assert sorted(zip(share.tolist(), colours.tolist(), strict=True)) == [(0.25, brown), (0.75, white)]


def test_another_object_is_a_further_background():
    learned = summarise(patches(RED, GREEN), patches(BLUE))
    before, after = (ratio(known, RED, GREEN, BLUE, WHITE) for known in (learned, against(learned, [patches(GREEN)])))
    assert before[0] == pytest.approx(before[1], abs=1e-3)
    assert after[0] == pytest.approx(before[0], abs=1e-3)
    assert after[1] < 0 < before[1]
    assert after[2] == pytest.approx(before[2], abs=1e-3)
    assert against(learned, []) is not learned
    assert ratio(against(learned, []), RED, GREEN) == ratio(learned, RED, GREEN)


FRAME = Frame((2, 2), 4, 1, fill=0.5)  # 2 x 2 of 4 x 4 patches hold image


def embedded(*, colour: torch.Tensor | None = None, **maps: torch.Tensor) -> ImageEmbedding:
    features = maps.pop("features", torch.zeros(1, 4, 4, 4))
    return ImageEmbedding(features, (FRAME,), ("0",), colour=colour, **maps)


def test_patches_are_compared_by_the_map_for_that_where_there_is_one():
    features, location, identity = (torch.rand(1, width, 4, 4) + 0.1 for width in (4, 5, 3))
    plain, nano = embedded(features=features), embedded(features=features, location=location, identity=identity)
    everywhere = torch.ones(2, 2, dtype=torch.bool)
    for found, expected in (
        (Patches.of_image(plain), features),
        (Patches.of_crop(plain, everywhere), features),
        (Patches.of_image(nano), location),
        (Patches.of_crop(nano, everywhere), identity),
    ):
        unit = torch.nn.functional.normalize(expected[0, :, :2, :2].flatten(1).T, dim=1)
        torch.testing.assert_close(found.features, unit)


def test_patches_are_taken_row_by_row_without_padding_and_only_where_asked():
    features = torch.arange(1.0, 17).view(1, 1, 4, 4) * torch.tensor([1.0, -1]).view(1, 2, 1, 1)
    colour = torch.arange(16.0).view(1, 1, 4, 4).repeat(1, 3, 1, 1)
    image = embedded(features=features, colour=colour)
    half = torch.tensor([1.0, -1]) / 2**0.5
    whole = Patches.of_image(image)
    torch.testing.assert_close(whole.features, half.repeat(4, 1))
    assert whole.colours[:, 0].tolist() == [0, 1, 4, 5]
    some = Patches.of_image(image, torch.tensor([[False, True], [True, False]]))
    assert some.colours[:, 2].tolist() == [1, 4]


def test_patches_of_several_images_follow_each_other():
    first, second = patches(RED, colours=[[1.0, 0, 0]]), patches(GREEN, BLUE, colours=[[2.0, 0, 0], [3.0, 0, 0]])
    joined = Patches.joined([first, second])
    assert torch.equal(joined.features, torch.stack([RED, GREEN, BLUE]))
    assert joined.colours[:, 0].tolist() == [1, 2, 3]
    assert Patches.joined([first, patches(GREEN)]).colours is None  # one without: none can be compared by colour


def test_prototypes_move_to_a_device_whole():
    moved = summarise(patches(RED), patches(GREEN)).to("meta")
    assert {value.device.type for value in vars(moved).values()} == {"meta"}


def test_equal_patches_are_one_part_however_they_were_rounded():
    fur = torch.nn.functional.normalize(torch.tensor([0.8232, -0.4013, -0.4013, 0.1]), dim=0)
    assert len(summarise(patches(*[fur] * 20), patches(GREEN)).foreground) == 1
    again = cluster(patches(*[fur.half().float()] * 20), 3)
    assert len(again[0]) == 1
