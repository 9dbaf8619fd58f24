"""Groups, look-alikes and things upon each other are told by the masks of one photo."""

import numpy as np
import pytest

from training.masks import is_group, is_upon, look_alikes


def hand_made(*rows: str) -> np.ndarray:
    """A mask of 10 x 10 blocks, one a character."""
    return np.kron(np.array([[mark == "#" for mark in row] for row in rows]), np.ones((10, 10))).astype(np.uint8)


DOGS, DOG, OTHER_DOG, HEAD = (hand_made(row) for row in ("##.##", "##...", "...##", "#...."))


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        ([DOGS, DOG, OTHER_DOG], True),  # a class's union and its things
        ([DOG, DOGS, OTHER_DOG], False),  # the question is about the first
        ([DOGS], False),  # two components, but no masks of them: a dog behind a pole
        ([DOGS, DOG], False),  # one thing of two has a mask: still a dog behind a pole
        ([DOG, HEAD, hand_made(".#...")], False),  # one component: parts are no group
        ([DOGS, DOG, hand_made("..###")], False),  # the second thing lies partly outside
    ],
)
def test_a_group_has_components_that_have_masks(masks, expected):
    assert is_group(np.stack(masks), 0) is expected


def test_crumbs_do_not_make_a_group():
    whole = DOG.copy()
    whole[0, 45] = 1  # far below 5 % of the area
    assert not is_group(np.stack([whole, DOG, HEAD]), 0)


def test_look_alikes_are_the_other_things_of_the_same_group():
    masks = np.stack([DOGS, DOG, OTHER_DOG, HEAD, hand_made("..#..")])
    assert look_alikes(masks, 1) == {2}
    assert look_alikes(masks, 2) == {1, 3}  # a head of the other dog is not this dog either
    assert look_alikes(masks, 4) == set()


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([".....", ".##..", ".##..", ".....", "....."], [".....", ".....", "...#.", ".###.", "....."], True),
        ([".##..", ".##..", ".....", "....."], [".....", ".....", ".....", ".###."], False),  # a gap
        (["##...", "##...", "##..."], ["..##.", "..##.", "..##."], False),  # side by side
        ([".....", ".##..", ".##..", "....."], [".....", ".....", ".##..", "....."], False),  # a part
        ([".....", ".#...", ".#...", "....."], [".....", "..###", "#####", "#####"], False),  # cut off by the photo
        ([".....", "..#..", ".....", "....."], [".....", ".#.#.", ".###.", ".###."], False),  # a speck
    ],
    ids=["rider", "gap", "beside", "part", "cut off", "speck"],
)
def test_one_thing_is_upon_another(one, other, expected):
    assert is_upon(hand_made(*one), hand_made(*other)) is expected
    assert is_upon(hand_made(*other), hand_made(*one)) is expected
