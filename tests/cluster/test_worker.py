"""What a worker does with a block, without a cluster around it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.cluster.blocks import begun_name, part_name
from persam.cluster.store import COMMAND, Store
from persam.cluster.worker import READ_AHEAD, Search, SearchAndWrite, Task, _read_ahead, block_of
from persam.errors import ImageError, OutputError
from persam.io.manifest import Manifest
from persam.io.rows import from_parquet, table_of
from tests.colour import BLUE, RED, colour_model, mask, photo


@pytest.fixture
def task(monkeypatch) -> Task:
    """A red and a blue thing; what Ray would fetch is given as it is."""
    monkeypatch.setattr("ray.get", lambda reference: reference)
    monkeypatch.setattr("persam.sam.malloc.keep_large_blocks", lambda: None)
    model = colour_model()
    red, blue = model.learn(photo(), mask(), name="red"), model.learn(photo(colour=BLUE), mask(), name="my blue_one")
    return Task(model, (red, blue), max_instances=2)


@pytest.fixture
def scenes(tmp_path) -> list[str]:
    """One of two red squares and a blue one, one with nothing, and a text."""
    both = photo(at_xyxy=(4, 4, 23, 23))
    both[40:52, 20:32] = RED
    both[6:20, 40:54] = BLUE
    nothing = photo(colour=(128, 128, 128))
    for name, pixels in (("both", both), ("nothing", nothing)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "text.png").write_text("no photo")
    return [str(tmp_path / f"{name}.png") for name in ("both", "text", "nothing")]


def batch(photos: list[str]):
    return table_of([{"photo": photo} for photo in photos])


def test_a_row_an_object_a_row_a_concept_that_is_not_here_and_a_row_an_error(task, scenes):
    rows = Search([task])(batch(scenes)).to_pylist()
    told = [(Path(row["photo"]).stem, row["concept"], row["instance"], row["present"]) for row in rows]
    assert told == [
        ("both", "red", 1, True),
        ("both", "red", 2, True),
        ("both", "my blue_one", 1, True),
        ("text", None, None, False),
        ("nothing", "red", 1, False),
        ("nothing", "my blue_one", 1, False),
    ]
    big, _, blue, text, absent, _ = rows
    assert (big["box_xyxy"], big["area_px"], big["height"], big["width"]) == ([4, 4, 23, 23], 400, 64, 64)
    assert blue["box_xyxy"] == [40, 6, 53, 19]
    assert (absent["box_xyxy"], absent["area_px"], absent["rle"]) == (None, None, None)
    assert absent["presence"] < 0.5
    assert "its content is no image" in text["error"]
    assert {row["error"] for row in rows} == {None, text["error"]}
    assert {row["mask"] for row in rows} == {None}


def test_a_block_is_written_with_its_masks_and_told_of_in_one_row(task, scenes, tmp_path):
    store = Store.of(tmp_path / "found")
    Manifest(COMMAND, {}, ()).save(tmp_path / "found")
    worker = SearchAndWrite([task], store, mask_files=True)
    [row] = worker(batch(scenes)).to_pylist()
    block = block_of(row, task.concepts)
    assert (block.part, block.photos, block.found) == (part_name(scenes), 3, {"red": 1, "my blue_one": 1})
    assert "text.png" in block.errors[0]
    assert block.began < block.ended
    assert json.dumps(block.found)
    rows = from_parquet(store.read(block.part)).to_pylist()
    masks = [row["mask"] for row in rows if row["mask"]]
    assert [name.partition("_")[2] for name in masks] == ["red_1.png", "red_2.png", "my-blue-one_1.png"]
    with Image.open(tmp_path / "found" / masks[2]) as picture:
        assert np.array_equal(np.argwhere(np.array(picture)).min(0), [6, 40])
    again = worker(batch(scenes)).to_pylist()[0]["part"]  # as after a loss
    assert store.parts() == [again] == [block.part]


def test_a_photo_that_kills_its_worker_each_time_is_a_row_with_an_error(task, scenes, tmp_path, monkeypatch):
    """SystemExit stands for death: nothing of ours catches it. Every call is another worker's."""
    store = Store.of(tmp_path / "found")
    Manifest(COMMAND, {}, ()).save(tmp_path / "found")
    deadly, encode = [scenes[2], scenes[0]], task.model.backbone.encode

    def die(images, **more):
        if any(np.array_equal(images[0], np.array(Image.open(photo))) for photo in deadly):
            raise SystemExit
        return encode(images, **more)

    monkeypatch.setattr(task.model.backbone, "encode", die)
    for _ in range(3):  # somewhere in the block, then at the first photo, then at the last
        with pytest.raises(SystemExit):
            SearchAndWrite([task], store, mask_files=False)(batch(scenes))
        assert store.parts() == []
    [row] = SearchAndWrite([task], store, mask_files=False)(batch(scenes)).to_pylist()
    assert [error.partition(":")[0].split(" /")[0] for error in row["errors"]] == [
        "a worker died while it searched",
        "cannot read the image",
        "a worker died while it searched",
    ]
    assert [path.name for path in (tmp_path / "found" / "results").iterdir()] == [Path(row["part"]).name]


def test_only_the_photo_at_which_it_died_is_given_up(task, scenes, tmp_path):
    store = Store.of(tmp_path / "found")
    Manifest(COMMAND, {}, ()).save(tmp_path / "found")
    store.write(begun_name(scenes), b"[]")  # a worker was lost, by whatever cause
    [row] = SearchAndWrite([task], store, mask_files=False)(batch(scenes)).to_pylist()
    assert (row["found"], len(row["errors"])) == ([1, 1], 1)


def test_a_place_that_is_another_one_for_the_worker_is_said(task, tmp_path):
    with pytest.raises(OutputError, match=r"is not the same place on .* the manifest of the run is not there"):
        SearchAndWrite([task], Store.of(tmp_path / "found"), mask_files=False)


def test_photos_are_read_ahead_but_not_all_of_them(monkeypatch):
    read = []

    def slowly(photo):
        read.append(photo)
        if photo == "2":
            raise ImageError("torn")
        return np.zeros((1, 1, 3), np.uint8)

    monkeypatch.setattr("persam.cluster.worker.read_photo", slowly)
    coming = _read_ahead([str(number) for number in range(20)])
    first = next(coming)
    assert first.shape == (1, 1, 3)
    assert len(read) <= 1 + READ_AHEAD
    rest = list(coming)
    assert len(rest) == 19
    assert str(rest[1]) == "torn"
