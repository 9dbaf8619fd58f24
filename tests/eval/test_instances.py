"""Counting instances: scenes whose masks are known, one-to-one matching, a row a layout."""

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.errors import DataError
from persam.eval.datasets.instances import LAYOUTS, Layout, Place, Scene, Thing, compose, scenes
from persam.eval.instances import Counted, match, run, things_of
from persam.eval.metrics import parts_of
from persam.geometry import box_of
from tests.colour import BLUE, GREY, RED, colour_model, mask, photo
from tests.eval import scenes as folders

EXAMPLES = Path(__file__).parents[2] / "data" / "examples"
THING = Thing("red", photo(), mask())
GROUND = np.full((8, 8, 3), GREY, np.uint8)


def plane(x0: int, x1: int) -> np.ndarray:
    found = np.zeros((4, 10), bool)
    found[:, x0:x1] = True
    return found


# ---- matching


@pytest.mark.parametrize(
    ("found", "right"),
    [
        ([plane(0, 4), plane(5, 9)], 2),
        ([plane(0, 4), plane(0, 4)], 1),  # one thing is found once
        ([plane(0, 2)], 1),  # IoU 0.5 is enough
        ([plane(0, 9)], 0),  # both at once are none
        ([], 0),
    ],
)
def test_a_find_takes_one_thing_that_it_fits(found, right):
    counted = match(found, [plane(0, 4), plane(5, 9)])
    assert counted == Counted(right, len(found), 2)


def test_f1_is_of_all_photos_together():
    both = Counted(2, 3, 4, 1.5) + Counted(1, 1, 2, 0.5)
    assert both == Counted(3, 4, 6, 2.0)
    assert both.f1 == pytest.approx(2 * (3 / 4) * (3 / 6) / (3 / 4 + 3 / 6))
    assert Counted(0, 0, 0).f1 == 1
    assert str(Counted(2, 3, 4)) == "2 of 4, 1 wrong"


# ---- scenes


def test_things_lie_at_their_places_and_are_known_as_far_as_they_can_be_seen():
    layout = Layout((Place(20, 20, 16), Place(24, 20, 16), Place(50, 50, 10, look_alike=True)), hw=(64, 64))
    scene = compose("two", layout, THING, GROUND)
    first, second = scene.truths  # a look-alike is none
    assert scene.name == "two_red"
    assert not (first & second).any()
    assert 200 < second.sum() < 300
    assert first.sum() < 0.5 * second.sum()  # the second lies on it
    assert scene.rgb[20, 24].tolist() == pytest.approx([0.88 * value for value in RED], abs=2)
    assert scene.rgb[50, 50].argmax() == 1  # red, with another hue
    assert scene.rgb[2, 60].tolist() == list(GREY)


def test_those_that_touch_lie_a_width_apart():
    scene = compose("touching", Layout((Place(0, 32, 12),) * 3, hw=(64, 64), step=1.0), THING, GROUND)
    edges = [box_of(truth) for truth in scene.truths]
    assert all(1 <= right[0] - left[2] <= 2 for left, right in pairwise(edges))


@pytest.mark.slow
def test_every_layout_holds_what_it_says():
    known = list(scenes(EXAMPLES))
    assert {scene.layout for scene in known} == {*LAYOUTS, "coins", "coins_turned", "paving_cups", "mixed_cups"}
    counts = {scene.name: len(scene.truths) for scene in known}
    assert counts["grid_24_cup"] == 24
    assert counts["look_alikes_3_cup"] == 3
    assert "look_alikes_3_coin" not in counts  # grey has no other hue
    assert (counts["coins_coin"], counts["coins_turned_coin"]) == (12, 10)
    assert all(truth.any() for scene in known for truth in scene.truths)


def test_without_the_examples_the_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no photos/lawn_cup\.jpg"):
        next(scenes(tmp_path))


def test_objects_that_the_photo_cuts_are_not_pasted(tmp_path):
    assert things_of([]) == []
    root = folders.perseg(tmp_path, (("cup", RED), ("jar", BLUE)))  # both at the left edge
    assert things_of([root]) == []
    Image.fromarray(mask(at_xyxy=(1, 16, 31, 47)).astype(np.uint8)).save(root / "Annotations" / "jar" / "00.png")
    (jar,) = things_of([root])
    assert (jar.name.rpartition("_")[2], box_of(jar.mask)) == ("jar", (1, 16, 31, 47))


# ---- a run


def test_a_run_leaves_a_row_a_layout_and_a_picture(tmp_path):
    asked = [
        compose(name, Layout(tuple(Place(x, 32, 8) for x in places), hw=(64, 64)), THING, GROUND)
        for name, places in (("one", (32,)), ("two", (16, 48)))
    ]
    lines = list(run(colour_model(), asked, tmp_path, tmp_path / "rows.csv"))
    assert [line.split()[0] for line in lines] == ["one", "two", "mean"]
    with (tmp_path / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["benchmark"], row["object"], row["n"]) for row in rows] == [
        ("instances", "one", "1"),
        ("instances", "two", "1"),
        ("instances", "mean", "2"),
    ]
    assert [float(row["f1"]) for row in rows] == [1, 1, 1]
    assert (tmp_path / "one.png").is_file()
    assert (tmp_path / "two.png").is_file()


def test_the_same_photos_have_the_same_fingerprint_and_others_another(tmp_path):
    def fingerprint(scene: Scene) -> str:
        path = tmp_path / "rows.csv"
        list(run(colour_model(), [scene], tmp_path, path))
        with path.open(newline="") as file:
            return list(csv.DictReader(file))[-1]["fingerprint"]

    layout = Layout((Place(32, 32, 8),), hw=(64, 64))
    scene, other = (compose("one", layout, THING, np.full((8, 8, 3), grey, np.uint8)) for grey in (128, 130))
    assert fingerprint(scene) == fingerprint(scene) != fingerprint(other)


def test_a_truths_parts_are_those_that_do_not_touch():
    first, second = parts_of(plane(0, 3) | plane(5, 9))
    assert np.array_equal(first, plane(0, 3))
    assert np.array_equal(second, plane(5, 9))
