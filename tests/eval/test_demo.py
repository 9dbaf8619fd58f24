"""`persam demo` leaves a picture of every photo, a sheet of every album and one of all, and says what it found."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.errors import DataError, OutputError
from persam.eval import demo
from persam.method.recipes import Recipe
from persam.model import PerSAM
from tests.colour import BLUE, GREY, VIEWS, colour_model, mask, photo

EXAMPLES = Path(__file__).parents[2] / "data" / "examples"
ELSEWHERE = (40, 5, 55, 30)


@pytest.fixture
def model() -> PerSAM:
    return colour_model()


def save(pixels: np.ndarray, path: Path) -> str:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)
    return f"{path.parent.name}/{path.name}"


@pytest.fixture
def data(tmp_path):
    """One album: the object elsewhere, the object twice, a photo without it that looks as if, one without a truth."""
    folder = tmp_path / "data"
    folder.mkdir()
    twice = photo(at_xyxy=ELSEWHERE)
    twice[50:60, 5:15] = photo()[25, 15]
    targets = [
        {"photo": save(photo(at_xyxy=ELSEWHERE), folder / "photos" / "moved.png"), "present": True},
        {"photo": save(twice, folder / "photos" / "twice.png"), "present": True},
        {"photo": save(photo(colour=BLUE), folder / "photos" / "blue.png"), "present": False},
        {"photo": save(photo(), folder / "photos" / "unknown.png"), "present": True},
    ]
    truths = [mask(at_xyxy=ELSEWHERE), mask(at_xyxy=ELSEWHERE) | mask(at_xyxy=(5, 50, 14, 59)), None, None]
    for target, truth in zip(targets, truths, strict=True):
        name = Path(target["photo"]).stem
        target["truth"] = None if truth is None else save(truth, folder / "truth" / f"{name}.png")
    reference = {"reference": save(photo(), folder / "photos" / "ref.png")}
    album = {"name": "rex", "mask": save(mask(), folder / "masks" / "rex.png"), "targets": targets, **reference}
    (folder / "index.json").write_text(json.dumps({"albums": [album]}))
    return folder


def test_a_line_for_each_photo_and_one_that_says_where_to_look(model, data, tmp_path):
    *lines, last = demo.run(model, data, tmp_path / "out")
    assert [line.split()[:2] for line in lines] == [["rex", name] for name in ("moved", "twice", "blue", "unknown")]
    assert "found, IoU 1.00, presence" in lines[0]
    assert "found, IoU 1.00 on one of 2, presence" in lines[1]
    assert "not here, presence 0.01" in lines[2]
    assert "found, presence" in lines[3]
    assert last.startswith("4 of 4 answers are right, mean IoU 1.00 where it was found.")
    assert last.endswith(f"Now look at {tmp_path / 'out' / 'all.png'}")


def test_where_presence_is_not_judged_it_is_not_told(data, tmp_path):
    moved, _, blue, _, last = demo.run(colour_model(recipe=Recipe(verify=False)), data, tmp_path / "out")
    assert moved.endswith("found, IoU 1.00, score 0.90")
    assert blue.endswith("found (wrong), score 0.90")
    assert last.startswith("3 of 4 answers are right")


@pytest.fixture
def every(data) -> Path:
    """The same album, in which every thing of the kind is looked for."""
    index = json.loads((data / "index.json").read_text())
    index["albums"][0]["every"] = True
    (data / "index.json").write_text(json.dumps(index))
    return data


def test_a_published_recipe_finds_one_thing_of_a_kind(every, tmp_path):
    moved, twice, *_ = demo.run(colour_model(recipe="official_persam"), every, tmp_path / "out")
    assert "found 1 of 1" in moved
    assert "found 1 of 2" in twice  # its mask is of both: 416 pixels of 516 are the larger one's


def test_every_thing_of_a_kind_is_counted_where_the_album_asks_for_it(model, every, tmp_path):
    moved, twice, blue, _, last = demo.run(model, every, tmp_path / "out")
    assert "found 1 of 1" in moved
    assert "found 2 of 2" in twice
    assert "not here" in blue
    assert last.startswith("3 of 4 answers are right. Now look")


@pytest.mark.parametrize(
    ("found", "right", "things", "is_right", "words"),
    [
        (0, 0, 0, True, "not here"),
        (2, 0, 0, False, "found 2 (wrong)"),
        (0, 0, 3, False, "found 0 of 3"),
        (8, 8, 12, True, "found 8 of 12"),
        (8, 7, 12, True, "found 7 of 12, 1 wrong"),
        (5, 5, 12, False, "found 5 of 12"),
        (20, 10, 12, False, "found 10 of 12, 10 wrong"),  # 10 in common of 22
    ],
)
def test_a_count_is_right_when_half_of_all_things_are_in_common(found, right, things, is_right, words):
    answer = demo.Count(found, right, things)
    assert (answer.is_right, str(answer)) == (is_right, words)


def test_the_pictures_are_where_they_are_said_to_be(model, data, tmp_path):
    list(demo.run(model, data, tmp_path / "out"))
    written = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")}
    photos = {f"rex/{name}.jpg" for name in ("moved", "twice", "blue", "unknown")}
    assert written == photos | {"rex.png", "all.png"}
    with Image.open(tmp_path / "out" / "rex.png") as sheet, Image.open(tmp_path / "out" / "all.png") as every:
        assert sheet.height > 2 * 320  # two rows of three
        assert every.width > 5 * 240  # a row of all five
    with Image.open(tmp_path / "out" / "rex" / "moved.jpg") as picture:
        drawn = np.array(picture).astype(int)
    assert np.abs(drawn[40:60, 2:30] - GREY).max() < 40  # nothing is drawn where nothing was found
    assert np.abs(drawn[10:25, 42:52] - photo()[25, 15]).max() > 40


def test_a_mask_that_misses_the_object_is_not_right(model, data, tmp_path):
    save(mask(at_xyxy=(40, 5, 55, 60)) & ~mask(at_xyxy=(40, 5, 55, 26)), data / "truth" / "moved.png")
    line = next(demo.run(model, data, tmp_path / "out"))
    assert "found, IoU 0.07 (wrong), presence" in line  # rows 5 to 30 against rows 27 to 60: 4 / 56


def test_an_object_that_is_taken_for_absent_is_said_to_be_wrong(data, tmp_path):
    *lines, last = demo.run(colour_model(threshold=1.0), data, tmp_path / "out")  # no presence is certain
    assert "not here (wrong), presence" in lines[0]
    assert "not here, presence 0.01" in lines[2]
    assert last.startswith("1 of 4 answers are right. Now look")


def test_lines_come_while_it_runs(model, data, tmp_path):
    lines = demo.run(model, data, tmp_path / "out")
    assert model.backbone.encoded == 0
    next(lines)
    assert model.backbone.encoded == 3 + VIEWS  # a reference and its crop in all views, a photo and a crop of the find


@pytest.mark.parametrize("index", [None, "", "[]", "{}", '{"albums"'])
def test_without_the_photos_it_says_where_they_are(model, tmp_path, index):
    if index is not None:
        (tmp_path / "index.json").write_text(index)
    with pytest.raises(DataError, match=r"no example photos in .*clone of the repository, or name its data/examples"):
        next(demo.run(model, tmp_path, tmp_path / "out"))


def test_an_output_that_cannot_be_written_is_named(model, data, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot write"):
        list(demo.run(model, data, tmp_path / "out"))


@pytest.mark.slow
def test_every_example_album_runs(model, tmp_path):
    albums = json.loads((EXAMPLES / "index.json").read_text())["albums"]
    *lines, _ = demo.run(model, EXAMPLES, tmp_path)
    assert len(lines) == sum(len(album["targets"]) for album in albums)
    for album in albums:
        assert (tmp_path / f"{album['name']}.png").exists()


def test_the_data_are_only_read(model, data, tmp_path):
    copy = shutil.copytree(data, tmp_path / "copy")
    list(demo.run(model, data, tmp_path / "out"))
    assert sorted(path.relative_to(copy) for path in copy.rglob("*")) == sorted(
        path.relative_to(data) for path in data.rglob("*")
    )
