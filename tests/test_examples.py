"""The example albums that demos and documentation show: complete, consistent, sourced, small."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

DATA = Path(__file__).parents[1] / "data"
EXAMPLES = DATA / "examples"
ALBUMS = json.loads((EXAMPLES / "index.json").read_text())["albums"]
TARGETS = [target for album in ALBUMS for target in album["targets"]]
MASKED = sorted(
    {(album["reference"], album["mask"]) for album in ALBUMS}
    | {(target["photo"], target["truth"]) for target in TARGETS if target["present"]}
)


@pytest.mark.parametrize(("photo", "mask"), MASKED)
def test_a_mask_has_its_photos_size_and_marks_a_part_of_it(photo, mask):
    with Image.open(EXAMPLES / photo) as photo_image, Image.open(EXAMPLES / mask) as mask_image:
        assert photo_image.mode == "RGB"
        assert mask_image.mode == "L"
        assert photo_image.size == mask_image.size
        marked = np.array(mask_image)
    assert set(np.unique(marked)) == {0, 255}
    assert 0.005 < (marked == 255).mean() < 0.8


@pytest.mark.parametrize("album", ALBUMS, ids=lambda album: album["name"])
def test_an_album_holds_targets_with_the_object_and_without(album):
    assert 3 <= len(album["targets"]) <= 5
    assert {target["present"] for target in album["targets"]} == {True, False}
    assert isinstance(album["every"], bool)
    assert album["reference"] not in {target["photo"] for target in album["targets"]}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target["photo"])
def test_a_target_has_truth_exactly_where_the_object_is_present(target):
    assert target.keys() == {"photo", "truth", "present", "composed"}
    assert (target["truth"] is not None) == target["present"]


@pytest.mark.parametrize(
    ("truth", "count"),
    [
        *[("paving_cups_cup", 3), ("mixed_cups_cup", 2), ("gravel_cup_cup", 1), ("space_shuttle", 1)],
        *[("coins_coin", 12), ("coins_turned_coin", 10)],
    ],
)
def test_every_instance_is_a_region_of_its_own(truth, count):
    with Image.open(EXAMPLES / "truth" / f"{truth}.png") as image:
        regions, _ = cv2.connectedComponents(np.array(image))
    assert regions - 1 == count  # the background is a region too


def test_the_index_names_every_file_and_every_file_is_named():
    named = {path for pair in MASKED for path in pair} | {target["photo"] for target in TARGETS} | {"index.json"}
    assert named == {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*") if path.is_file()}


def test_every_file_has_its_source_written_down():
    source = (DATA / "SOURCE.md").read_text()
    files = [path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*") if path.is_file()]
    assert [name for name in files if f"`{name}`" not in source] == []


def test_the_examples_are_small_enough_to_ship():
    files = [path for path in EXAMPLES.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 4_000_000
    for path in EXAMPLES.glob("photos/*.jpg"):
        with Image.open(path) as image:
            assert max(image.size) <= 1024
