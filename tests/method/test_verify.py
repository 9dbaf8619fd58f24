"""A find is verified by its patches in a close crop, each the most similar of the other's."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
import torch

from persam.geometry import patch_colours, resize_to_input
from persam.method.calibration import Calibration
from persam.method.object_crop import AFAR, MARGIN, REFERENCE_VIEWS, View
from persam.method.verify import (
    PARTS,
    SMALL,
    IdentityDescriptor,
    describe,
    describe_references,
    identity_similarity,
    mutual_similarity,
)
from persam.sam.crop import Crop
from tests.colour import GREEN, GREY, RED, SIDE, ColourBackbone

FUR, NOSE, GRASS = torch.eye(3)
CALIBRATION = Calibration("0")


def descriptor(*patches: torch.Tensor, colours: torch.Tensor | None = None) -> IdentityDescriptor:
    shades = torch.zeros(len(patches), 3) if colours is None else colours
    image = torch.zeros(len(patches), dtype=torch.long)
    return IdentityDescriptor(torch.stack(patches), shades, image, image.bool())


def similarity(known: IdentityDescriptor, found: IdentityDescriptor | None) -> float:
    return identity_similarity(known, found, CALIBRATION.choice)


def described(rgb: np.ndarray, mask: np.ndarray) -> IdentityDescriptor:
    (one,) = describe(ColourBackbone(), [(rgb, mask)], CALIBRATION)
    assert one is not None
    return one


def test_mutual_similarity_by_hand():
    between = torch.tensor([[1.0, 0.0], [0.5, 0.0]])
    # a wide choice: each side chooses between its two by a softmax of the similarities themselves
    e, root = torch.e, torch.e**0.5
    there = torch.tensor([[e / (e + root), 0.5], [root / (e + root), 0.5]])  # columns choose among rows
    back = torch.tensor([[e / (e + 1), 1 / (e + 1)], [root / (root + 1), 1 / (root + 1)]])
    expected = 2 * float((there * back * between).sum()) / 4
    assert float(mutual_similarity(between, 1.0)) == pytest.approx(expected)
    # a narrow one: the first of each choose each other, and the last two, which are not similar
    assert float(mutual_similarity(between, 0.001)) == pytest.approx(2 * 1 / 4)


def test_dissimilar_pairs_do_not_count_against_it():
    assert float(mutual_similarity(torch.tensor([[1.0, -1.0], [-1.0, -0.5]]), 0.001)) == pytest.approx(2 * 1 / 4)


def test_an_object_is_similar_to_itself_entirely_and_to_another_not():
    dog = descriptor(FUR, NOSE)
    assert similarity(dog, dog) == pytest.approx(1)
    in_colour_alone = 0.3
    assert similarity(dog, descriptor(GRASS)) == pytest.approx(2 * in_colour_alone / 3)


def test_only_patches_that_choose_each_other_count():
    # both patches of the second object are most similar to the first's fur: one of them is chosen back
    dog, blanket = descriptor(FUR, NOSE), descriptor(FUR, torch.tensor([0.8, 0.0, 0.6]))
    forward_alone = (1 + 0.3) / 2
    assert similarity(dog, blanket) == pytest.approx(2 * 1 / 4, abs=0.01)  # the choice is a soft one
    assert similarity(dog, blanket) < forward_alone


def test_a_part_shown_twice_shares_its_choice_and_counts_no_less():
    once, twice = descriptor(FUR, NOSE), descriptor(FUR, FUR, NOSE, NOSE)
    assert similarity(twice, twice) == pytest.approx(1)
    assert similarity(once, twice) == similarity(twice, once)
    assert 0.9 < similarity(once, twice) <= 1


def test_near_ties_do_not_decide():
    # whichever of two parts is the more similar by a hair, the similarity of the objects is the same
    dog = descriptor(FUR, NOSE)
    one, other = (descriptor(FUR + 1e-4 * shift, FUR - 1e-4 * shift) for shift in (NOSE, GRASS))
    assert similarity(dog, one) == pytest.approx(similarity(dog, other), abs=2e-3)


def test_an_object_of_the_same_shape_and_another_colour_is_less_similar():
    black, red = torch.tensor([[10.0, 0, 0]]), torch.tensor([[50.0, 60, 40]])
    car = descriptor(FUR, colours=black)
    assert similarity(car, descriptor(FUR, colours=red)) == pytest.approx(0.7, abs=1e-3)
    darker = similarity(car, descriptor(FUR, colours=black + torch.tensor([10.0, 0, 0])))
    assert 0.95 < darker < 1  # a shadow changes lightness, which counts little


def test_what_is_found_in_a_photo_without_colour_is_compared_without():
    red, grey = torch.tensor([[50.0, 60, 40]]), torch.tensor([[50.0, 0, 0]])
    car = descriptor(FUR, colours=red)
    found = replace(descriptor(FUR, colours=grey), colourless=True)
    assert similarity(car, found) == pytest.approx(1, abs=1e-3)
    assert similarity(car, replace(found, colourless=False)) == pytest.approx(0.7, abs=1e-3)  # a grey car
    assert similarity(car, replace(descriptor(GRASS, colours=grey), colourless=True)) < 0.35  # not alike


class WithColour(ColourBackbone):
    """Tells the colour of patches too, as real backbones do."""

    def encode(self, images, *, fills=None):
        embedding = super().encode(images, fills=fills)
        small = [resize_to_input(image, frame) for image, frame in zip(images, embedding.frames, strict=True)]
        colour = torch.stack([patch_colours(*one) for one in zip(small, embedding.frames, strict=True)])
        return replace(embedding, colour=colour)


@pytest.mark.parametrize(("ground", "colourless"), [(GREY, True), (RED, False)])
def test_a_grey_thing_in_a_photo_with_colour_is_of_that_colour(ground, colourless):
    rgb, mask = np.full((80, 80, 3), ground, np.uint8), np.zeros((80, 80), bool)
    mask[20:60, 20:60] = True
    rgb[mask] = (90, 90, 90)
    (found,) = describe(WithColour(), [(rgb, mask)], CALIBRATION)
    assert found.colourless == colourless


def test_of_several_images_the_most_similar_one_counts():
    side, front = descriptor(FUR, FUR + 0.01 * NOSE), descriptor(NOSE)
    known = IdentityDescriptor.joined([side, front])
    assert known.image.tolist() == [0, 0, 1]
    assert similarity(known, front) == pytest.approx(1)
    assert similarity(side, front) < 0.5


def test_nothing_is_similar_to_nothing():
    image = torch.zeros(0, dtype=torch.long)
    empty = IdentityDescriptor(torch.zeros(0, 3), torch.zeros(0, 3), image, image.bool())
    assert similarity(descriptor(FUR), None) == 0.0
    assert similarity(empty, descriptor(FUR)) == 0.0


class Spy(ColourBackbone):
    """Remembers what it encodes."""

    def encode(self, images, *, fills=None):
        self.seen = [(image.shape[:2], fill) for image, fill in zip(images, fills, strict=True)]
        return super().encode(images, fills=fills)


def test_it_is_taken_close_around_the_object_and_shows_nothing_else():
    rgb = np.full((300, 400, 3), GREY, np.uint8)
    mask = np.zeros((300, 400), bool)
    mask[100:150, 200:300] = True
    rgb[mask] = RED
    rgb[100:150, 200:250] = GREEN
    backbone = Spy()
    (close,) = describe(backbone, [(rgb, mask)], CALIBRATION)
    assert backbone.seen == [((100 * MARGIN, 100 * MARGIN), 1.0)]
    assert close is not None
    colours = torch.stack([torch.tensor(colour, dtype=torch.float) for colour in (RED, GREEN, GREY)])
    expected = torch.nn.functional.normalize(colours - colours.mean(1, keepdim=True) + 1, dim=1)
    cosine = close.features @ expected.T
    assert (cosine[:, :2].amax(0) > 0.99).all()
    assert (cosine[:, 2] < 0.9).all()


def test_several_objects_are_encoded_as_one_batch_and_an_empty_mask_takes_no_part():
    rgb, other = np.full((40, 60, 3), GREY, np.uint8), np.full((90, 50, 3), GREY, np.uint8)
    red, green, nothing = np.zeros((40, 60), bool), np.zeros((90, 50), bool), np.zeros((40, 60), bool)
    red[10:20, 10:30], green[50:80, 10:40] = True, True
    rgb[red], other[green] = RED, GREEN
    backbone = ColourBackbone()
    first, none, second = describe(backbone, [(rgb, red), (rgb, nothing), (other, green)], CALIBRATION)
    assert backbone.batches == [2]
    assert none is None
    for together, (image, mask) in ((first, (rgb, red)), (second, (other, green))):
        alone = described(image, mask)
        assert torch.equal(together.features, alone.features)
        assert torch.equal(together.colours, alone.colours)
        assert torch.equal(together.image, torch.zeros(len(alone.features), dtype=torch.long))
    assert similarity(first, second) < 0.5


def test_nothing_at_all_is_not_encoded():
    backbone = ColourBackbone()
    assert describe(backbone, [], CALIBRATION) == []
    assert describe(backbone, [(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), bool))], CALIBRATION) == [None]
    assert backbone.batches == []


def test_the_same_object_elsewhere_smaller_and_mirrored_is_more_similar_than_another():
    def at(picture: np.ndarray, y: int, x: int) -> IdentityDescriptor:
        rgb, mask = np.full((300, 300, 3), 127, np.uint8), np.zeros((300, 300), bool)
        height, width = picture.shape[:2]
        rgb[y : y + height, x : x + width], mask[y : y + height, x : x + width] = picture, True
        return described(rgb, mask)

    hues = np.array([hue for hue in product((30, 220), repeat=3) if len(set(hue)) > 1])
    fours = list(combinations(range(6), 4))[::3]  # any two objects have two or three of their four colours in common
    patterns = [np.kron(hues[list(four)].reshape(2, 2, 3), np.ones((48, 48, 1))).astype(np.uint8) for four in fours]
    known = [at(pattern, 20, 30) for pattern in patterns]
    again = [at(pattern[::2, ::-2], 200, 120) for pattern in patterns]
    table = np.array([[similarity(one, other) for other in again] for one in known])
    assert np.diag(table).min() > 0.6
    np.testing.assert_array_equal(table.argmax(1), np.arange(5))
    assert np.diag(table).mean() > table[~np.eye(5, dtype=bool)].mean() + 0.2


def test_a_plain_surface_is_one_part_and_a_rich_one_many_up_to_a_limit():
    rng = np.random.default_rng(0)
    mask = np.ones((64, 64), bool)
    plain = described(np.full((64, 64, 3), RED, np.uint8), mask)
    rich = described(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), mask)
    assert len(plain.features) == 1
    assert similarity(plain, plain) == pytest.approx(1, abs=1e-3)
    assert 20 < len(rich.features) <= PARTS < SIDE**2


def test_it_moves_to_a_device_whole():
    moved = descriptor(FUR, NOSE).to("meta")
    assert {part.device.type for part in (moved.features, moved.colours, moved.image, moved.afar)} == {"meta"}


# ---- other views


def halves() -> tuple[np.ndarray, np.ndarray]:
    """An object that is red above and green below, left of the middle of a grey photo."""
    rgb, mask = np.full((48, 64, 3), GREY, np.uint8), np.zeros((48, 64), bool)
    rgb[10:20, 8:24], rgb[20:38, 8:24] = RED, GREEN
    mask[10:38, 8:24] = True
    return rgb, mask


@pytest.mark.parametrize("turn", range(4))
def test_a_turned_crop_shows_the_same_parts_at_their_new_places(turn):
    rgb, mask = halves()
    backbone = ColourBackbone()
    [straight] = describe(backbone, [(rgb, mask)], CALIBRATION)
    [turned] = describe(backbone, [(rgb, mask)], CALIBRATION, view=View(turn))
    assert straight is not None
    assert turned is not None
    assert identity_similarity(straight, turned, CALIBRATION.choice) == pytest.approx(1, abs=0.02)
    shown = torch.tensor([backbone.encode([rgb]).features.shape[1]])
    assert turned.features.shape[1] == int(shown)


def test_a_reference_is_described_in_every_view_and_the_most_similar_counts():
    """By a backbone whose features say where in its crop a patch lies, as no colour does."""
    rgb, mask = halves()
    seen = []

    class Placed(ColourBackbone):
        def encode(self, images, *, fills=None):
            seen.extend(images)
            embedding = super().encode(images, fills=fills)
            rows = torch.linspace(0, 1, embedding.features.shape[-2])[:, None].expand(embedding.features.shape[-2:])
            return replace(
                embedding, features=torch.cat([embedding.features * rows, embedding.features * (1 - rows)], dim=1)
            )

    [known] = describe_references(Placed(), [(rgb, mask)], CALIBRATION)
    assert known is not None
    assert known.image.unique().tolist() == list(range(len(REFERENCE_VIEWS)))
    assert known.image[known.afar].unique().tolist() == [4]
    for number, crop in enumerate(seen[1:4], start=1):
        np.testing.assert_array_equal(crop, np.rot90(seen[0], number))
    first = known.image == 0
    upright = IdentityDescriptor(known.features[first], known.colours[first], known.image[first], known.afar[first])
    over = np.ascontiguousarray(rgb[::-1, ::-1]), np.ascontiguousarray(mask[::-1, ::-1])
    [found] = describe(Placed(), [over], CALIBRATION)
    assert similarity(known, found) > similarity(upright, found) + 0.02


def test_an_empty_mask_has_no_description_in_any_view():
    rgb, mask = halves()
    assert describe_references(ColourBackbone(), [(rgb, mask & False)], CALIBRATION) == [None]


@pytest.mark.parametrize(("box", "fill"), [((200, 200, 391, 295), 1.0), ((0, 0, 191, 95), 0.81)])
def test_from_afar_an_object_has_few_pixels_wherever_it_is(box, fill):
    """A pattern of single pixels becomes the mean of those that one pixel would show."""
    crop = Crop.around(box, (600, 600), margin=MARGIN)
    assert crop.fill == pytest.approx(fill, abs=0.01)
    rows, columns = (extent.stop - extent.start for extent in crop.slices)
    pixels = np.zeros((rows, columns, 3), np.uint8)
    pixels[::2] = 200
    pixels[:, columns // 2 :] += 50
    seen = View(afar=True).of(pixels, crop)
    assert seen.shape == pixels.shape
    assert np.ptp(seen[:, : columns // 3].astype(int)) < 20
    steps = np.abs(np.diff(seen[rows // 2, :, 0].astype(int)))
    pixel = 192 / AFAR  # of the photo, as wide as one from afar
    assert pixel <= (steps > 0).sum() <= 3 * pixel


@pytest.mark.parametrize(("side", "small"), [(SMALL - 2, True), (SMALL + 2, False)])
def test_only_a_small_find_is_compared_with_references_from_afar(side, small):
    rgb, mask = np.full((400, 400, 3), GREY, np.uint8), np.zeros((400, 400), bool)
    mask[100 : 100 + side, 100:140] = True
    rgb[mask] = RED
    found = described(rgb, mask)
    assert found.small == small
    opposite = replace(found, features=-found.features, colours=found.colours + 90)
    known = IdentityDescriptor.joined([opposite, replace(found, afar=~found.afar)])
    assert similarity(known, found) == pytest.approx(1.0 if small else 0.0, abs=0.01)


def test_descriptors_of_several_images_stay_apart_when_they_are_joined():
    two = IdentityDescriptor.joined([descriptor(FUR), descriptor(NOSE, GRASS)])
    assert IdentityDescriptor.joined([two, descriptor(FUR), two]).image.tolist() == [0, 1, 1, 2, 3, 4, 4]
