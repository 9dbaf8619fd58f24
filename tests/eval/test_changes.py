"""Changes of a photo: what becomes of its values, and that its object's mask moves along."""

from pathlib import Path

import numpy as np
import pytest

from persam.eval import changes
from persam.eval.changes import CHANGES, apply, seed_of


def drawn(*rows: str) -> np.ndarray:
    return np.array([[character == "#" for character in row] for row in rows])


def shown(mask: np.ndarray, colour=(200, 100, 50), ground=(10, 20, 30)) -> np.ndarray:
    """A photo in which the object of this mask can be seen."""
    return np.where(mask[..., None], np.array(colour, np.uint8), np.array(ground, np.uint8))


CORNER = drawn(
    "##..",
    "#...",
    "....",
)
OF_LIGHT = ("none", "x0.5", "x0.35", "x0.25", "x0.1", "+1EV", "warm", "grey", "bgr", "noise", "blur")
EVERY_VALUE = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_gives_a_photo_and_a_mask_of_one_size_and_leaves_the_given_ones_alone(name):
    random = np.random.default_rng(0)
    rgb, mask = random.integers(0, 256, (133, 200, 3), dtype=np.uint8), np.zeros((133, 200), bool)
    mask[32:96, 40:160] = True
    before = rgb.copy(), mask.copy()
    changed, moved = apply(name, rgb, mask, 3)
    assert (changed.dtype, moved.dtype) == (np.uint8, bool)
    assert changed.shape == (*moved.shape, 3)
    assert changed.flags.c_contiguous
    assert moved.flags.c_contiguous
    assert moved.any()
    assert np.array_equal(rgb, before[0])
    assert np.array_equal(mask, before[1])
    again, moved_again = apply(name, rgb, mask, 3)
    assert np.array_equal(changed, again)
    assert np.array_equal(moved, moved_again)
    assert (name == "none") == (np.array_equal(changed, rgb) and np.array_equal(moved, mask))


@pytest.mark.parametrize("name", OF_LIGHT)
def test_a_change_of_the_light_leaves_the_mask_where_it_is(name):
    assert np.array_equal(apply(name, shown(CORNER), CORNER)[1], CORNER)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x0.5", (100, 50, 10, 128)),  # 127.5 is even when rounded
        ("x0.35", (70, 35, 7, 89)),
        ("x0.25", (50, 25, 5, 64)),
        ("x0.1", (20, 10, 2, 26)),
        # 100: ((100/255 + 0.055) / 1.055) ** 2.4 is 0.1274; 1.055 * 0.2548 ** (1/2.4) - 0.055 is 0.5420, of 255 138.2
        ("+1EV", (255, 138, 31, 255)),
    ],
)
def test_brightness_is_a_factor_on_every_channel(name, expected):
    rgb = np.array([[[value] * 3 for value in (200, 100, 20, 255)]], np.uint8)
    changed, _ = apply(name, rgb, np.ones((1, 4), bool))
    assert changed[0].tolist() == [[value] * 3 for value in expected]


def test_a_stop_more_doubles_the_light_until_it_is_white():
    def light(value: float) -> float:
        return value / 255 / 12.92 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4

    changed = apply("+1EV", EVERY_VALUE, np.ones((1, 256), bool))[0][0, :, 0].astype(float)
    for value, brighter in enumerate(changed):
        doubled = min(1, 2 * light(value))
        assert light(max(0, brighter - 0.51)) <= doubled <= light(min(255, brighter + 0.51))


def test_warm_light_has_more_red_and_less_blue():
    assert apply("warm", np.array([[[100, 100, 100], [250, 7, 8]]], np.uint8), np.ones((1, 2), bool))[0].tolist() == [
        [[120, 100, 75], [255, 7, 6]]
    ]


def test_grey_is_the_luma_of_each_pixel_in_all_channels():
    rgb = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]], np.uint8)
    assert apply("grey", rgb, np.ones((1, 4), bool))[0].tolist() == [[[76] * 3, [150] * 3, [29] * 3, [9] * 3]]


def test_bgr_swaps_red_and_blue():
    assert apply("bgr", np.array([[[1, 2, 3]]], np.uint8), np.ones((1, 1), bool))[0].tolist() == [[[3, 2, 1]]]


def test_noise_is_the_seeds_own_and_has_the_deviation_it_should():
    rgb, mask = np.full((200, 200, 3), 128, np.uint8), np.ones((200, 200), bool)
    one, other = (apply("noise", rgb, mask, seed)[0].astype(float) for seed in (1, 2))
    assert not np.array_equal(one, other)
    # 120,000 draws: the standard error of the mean is 0.06, of the deviation 0.04
    assert one.mean() == pytest.approx(128, abs=0.3)
    assert one.std() == pytest.approx(changes.NOISE, abs=0.3)
    assert np.corrcoef(one[..., 0].ravel(), one[..., 1].ravel())[0, 1] == pytest.approx(0, abs=0.03)


def test_a_seed_is_of_the_photos_own_name_wherever_it_lies():
    assert seed_of(Path("a/cat/01.jpg")) == seed_of(Path("b/c/cat/01.jpg"))
    assert len({seed_of(Path(name)) for name in ("cat/01.jpg", "cat/02.jpg", "dog/01.jpg")}) == 3


def test_blur_spreads_a_point_by_a_share_of_the_diagonal():
    rgb, mask = np.zeros((480, 854, 3), np.uint8), np.ones((480, 854), bool)
    rgb[:, 400:] = 200
    profile = apply("blur", rgb, mask)[0][240, :, 0].astype(float) / 200
    slope = np.diff(profile)
    place = np.arange(len(slope)) - 399
    assert (profile[0], profile[-1]) == (0, 1)
    assert np.sqrt((slope * place**2).sum()) == pytest.approx(0.003 * np.hypot(480, 854), rel=0.05)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rot90", ("...", "...", "#..", "##.")),  # counterclockwise
        ("rot180", ("....", "...#", "..##")),
        ("rot270", (".##", "..#", "...", "...")),
        ("flip", ("..##", "...#", "....")),
    ],
)
def test_the_mask_turns_with_the_photo(name, expected):
    changed, moved = apply(name, shown(CORNER), CORNER)
    assert np.array_equal(moved, drawn(*expected))
    assert np.array_equal(changed, shown(moved))


@pytest.mark.parametrize(("name", "divisor"), [("half", 2), ("quarter", 4), ("eighth", 8)])
def test_a_smaller_photo_shows_the_same_with_fewer_pixels(name, divisor):
    small = drawn("..##.", ".###.", ".....")
    large = np.kron(small, np.ones((divisor, divisor), bool))
    changed, moved = apply(name, shown(large), large)
    assert np.array_equal(moved, small)
    assert np.array_equal(changed, shown(small))


def test_a_smaller_photo_averages_its_pixels_and_rounds_its_size():
    rgb = np.array([[[0, 0, 0], [100, 40, 8]], [[200, 0, 0], [100, 0, 0]]], np.uint8)
    assert apply("half", rgb, np.ones((2, 2), bool))[0].tolist() == [[[100, 10, 2]]]
    assert apply("eighth", np.zeros((60, 108, 3), np.uint8), np.ones((60, 108), bool))[1].shape == (8, 14)
    assert apply("eighth", np.zeros((2, 3, 3), np.uint8), np.ones((2, 3), bool))[1].shape == (1, 1)


def test_a_mask_keeps_the_pixels_covered_by_half_and_never_vanishes():
    rgb = np.zeros((2, 4, 3), np.uint8)
    assert apply(
        "half",
        rgb,
        drawn(
            "#..#",
            "#...",
        ),
    )[1].tolist() == [[True, False]]
    assert apply("half", rgb, drawn("....", "...#"))[1].tolist() == [[False, True]]
    assert apply("half", rgb, drawn("....", "...."))[1].tolist() == [[False, False]]


@pytest.mark.parametrize("quarters", range(4))
def test_the_border_takes_a_third_of_the_object_on_the_side_where_it_lies(quarters):
    mask = drawn(
        "............",
        ".######.....",
        ".######.....",
        "............",
        "............",
        "............",
        "............",
    )
    left = drawn(
        ".........",
        "####.....",
        "####.....",
        ".........",
        ".........",
        ".........",
        ".........",
    )
    # 3 of 12 columns, of which two show a third of it; a row from above would be less, and half of it
    turned = np.rot90(mask, quarters)
    changed, moved = apply("border", shown(turned), turned)
    assert np.array_equal(moved, np.rot90(left, quarters))
    assert np.array_equal(changed, shown(moved))


def test_the_border_never_takes_all_of_a_thin_object():
    line = drawn("....", "..#.", "..#.", "..#.", "....", "....")
    assert np.array_equal(apply("border", shown(line), line)[1], line[2:])


def test_a_bar_goes_from_edge_to_edge_across_the_longer_side():
    mask = drawn(
        "..............",
        "..##########..",
        "..##########..",
        "..............",
    )
    crossed = drawn(
        "..............",
        "..####..####..",
        "..####..####..",
        "..............",
    )
    for quarters in (0, 1):
        changed, left = apply("bar", shown(np.rot90(mask, quarters)), np.rot90(mask, quarters))
        assert np.array_equal(left, np.rot90(crossed, quarters))
        expected = shown(crossed)
        expected[:, 6:8] = changes.BAR_GREY
        assert np.array_equal(changed, np.rot90(expected, quarters))


@pytest.mark.parametrize("name", ["border", "bar"])
@pytest.mark.parametrize("few", [np.zeros((4, 5), bool), drawn(".....", "..#..", ".....")])
def test_without_an_object_that_could_lose_a_part_nothing_is_cut_or_covered(name, few):
    changed, left = apply(name, shown(few), few)
    assert np.array_equal(changed, shown(few))
    assert np.array_equal(left, few)
