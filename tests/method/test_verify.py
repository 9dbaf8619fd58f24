"""A find is recognised by its cells, seen close up, each the most alike of the other's."""

from itertools import combinations, product

import numpy as np
import pytest
import torch

from persam.method.verify import MARGIN, PARTS, Portrait, resemblance
from tests.colour import GREEN, GREY, RED, SIDE, ColourBackbone

FUR, NOSE, GRASS = torch.eye(3)


def portrait(*cells: torch.Tensor, photo: int = 0, colours: torch.Tensor | None = None) -> Portrait:
    shades = torch.zeros(len(cells), 3) if colours is None else colours
    return Portrait(torch.stack(cells), shades, torch.full((len(cells),), photo))


def taken(rgb: np.ndarray, mask: np.ndarray) -> Portrait:
    portrait = Portrait.of(ColourBackbone(), rgb, mask)
    assert portrait is not None
    return portrait


def test_an_object_resembles_itself_entirely_and_another_not():
    dog = portrait(FUR, NOSE)
    assert resemblance(dog, dog) == pytest.approx(1)
    alike_in_colour_alone = 0.3
    assert resemblance(dog, portrait(GRASS)) == pytest.approx(2 * alike_in_colour_alone / 3)


def test_only_cells_that_choose_each_other_count():
    # both cells of the second object are most like the first's fur: one of them is chosen back
    dog, blanket = portrait(FUR, NOSE), portrait(FUR, torch.tensor([0.8, 0.0, 0.6]))
    forward_alone = (1 + 0.3) / 2
    assert resemblance(dog, blanket) == pytest.approx(2 * 1 / 4, abs=0.01)  # the choice is a soft one
    assert resemblance(dog, blanket) < forward_alone


def test_a_part_shown_twice_shares_its_choice_and_counts_no_less():
    once, twice = portrait(FUR, NOSE), portrait(FUR, FUR, NOSE, NOSE)
    assert resemblance(twice, twice) == pytest.approx(1)
    assert resemblance(once, twice) == resemblance(twice, once)
    assert 0.9 < resemblance(once, twice) <= 1


def test_near_ties_do_not_decide():
    # whichever of two parts is the more alike by a hair, the resemblance is the same
    dog = portrait(FUR, NOSE)
    one, other = (portrait(FUR + 1e-4 * shift, FUR - 1e-4 * shift) for shift in (NOSE, GRASS))
    assert resemblance(dog, one) == pytest.approx(resemblance(dog, other), abs=2e-3)


def test_an_object_of_the_same_shape_and_another_colour_resembles_less():
    black, red = torch.tensor([[10.0, 0, 0]]), torch.tensor([[50.0, 60, 40]])
    car = portrait(FUR, colours=black)
    assert resemblance(car, portrait(FUR, colours=red)) == pytest.approx(0.7, abs=1e-3)
    darker = resemblance(car, portrait(FUR, colours=black + torch.tensor([10.0, 0, 0])))
    assert 0.95 < darker < 1  # a shadow changes lightness, which counts little


def test_of_several_photos_the_one_that_resembles_most_counts():
    side, front = portrait(FUR, FUR + 0.01 * NOSE), portrait(NOSE)
    known = Portrait.joined([side, front])
    assert known.photo.tolist() == [0, 0, 1]
    assert resemblance(known, front) == pytest.approx(1)
    assert resemblance(side, front) < 0.5


def test_nothing_found_resembles_nothing():
    nothing = Portrait.of(ColourBackbone(), np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), bool))
    assert nothing is None
    assert resemblance(portrait(FUR), nothing) == 0.0


def test_a_portrait_without_a_part_resembles_nothing():
    empty = Portrait.empty(ColourBackbone().encode(np.zeros((40, 60, 3), np.uint8)))
    assert empty.features.shape == (0, 3)
    assert resemblance(empty, portrait(FUR)) == 0.0


def test_it_is_taken_close_around_the_object_and_shows_nothing_else():
    rgb = np.full((300, 400, 3), GREY, np.uint8)
    mask = np.zeros((300, 400), bool)
    mask[100:150, 200:300] = True
    rgb[mask] = RED
    rgb[100:150, 200:250] = GREEN
    seen = []

    class Spy(ColourBackbone):
        def encode(self, rgb, **how):
            seen.append((*rgb.shape[:2], how["fill"]))
            return super().encode(rgb, **how)

    close = Portrait.of(Spy(), rgb, mask)
    assert close is not None
    assert seen == [(100 * MARGIN, 100 * MARGIN, 1.0)]
    colours = torch.stack([torch.tensor(colour, dtype=torch.float) for colour in (RED, GREEN, GREY)])
    expected = torch.nn.functional.normalize(colours - colours.mean(1, keepdim=True) + 1, dim=1)
    likeness = close.features @ expected.T
    assert (likeness[:, :2].amax(0) > 0.99).all()
    assert (likeness[:, 2] < 0.9).all()


def test_the_same_object_elsewhere_smaller_and_mirrored_resembles_more_than_another():
    def at(picture: np.ndarray, y: int, x: int) -> Portrait:
        rgb, mask = np.full((300, 300, 3), 127, np.uint8), np.zeros((300, 300), bool)
        height, width = picture.shape[:2]
        rgb[y : y + height, x : x + width], mask[y : y + height, x : x + width] = picture, True
        return taken(rgb, mask)

    hues = np.array([hue for hue in product((30, 220), repeat=3) if len(set(hue)) > 1])
    fours = list(combinations(range(6), 4))[::3]  # any two objects have two or three of their four colours in common
    patterns = [np.kron(hues[list(four)].reshape(2, 2, 3), np.ones((48, 48, 1))).astype(np.uint8) for four in fours]
    known = [at(pattern, 20, 30) for pattern in patterns]
    again = [at(pattern[::2, ::-2], 200, 120) for pattern in patterns]
    alike = np.array([[resemblance(one, other) for other in again] for one in known])
    assert np.diag(alike).min() > 0.6
    np.testing.assert_array_equal(alike.argmax(1), np.arange(5))
    assert np.diag(alike).mean() > alike[~np.eye(5, dtype=bool)].mean() + 0.2


def test_a_plain_surface_is_one_part_and_a_rich_one_many_up_to_a_limit():
    rng = np.random.default_rng(0)
    mask = np.ones((64, 64), bool)
    plain = taken(np.full((64, 64, 3), RED, np.uint8), mask)
    rich = taken(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), mask)
    assert len(plain.features) == 1
    assert resemblance(plain, plain) == pytest.approx(1, abs=1e-3)
    assert 20 < len(rich.features) <= PARTS < SIDE**2


def test_it_moves_to_a_device_whole():
    moved = portrait(FUR, NOSE).to("meta")
    assert {part.device.type for part in vars(moved).values()} == {"meta"}
