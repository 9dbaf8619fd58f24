"""What a search leaves on disk: names of masks, one shape of record, and an album that outlives a bad photo."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.errors import DiskFullError, ImageError, OutputError
from persam.io.album import Target, iter_targets
from persam.io.folder import Folder
from persam.io.results import ImageResult
from tests.io.made import image, segmentation

MASK = np.zeros((40, 60), bool)
MASK[10:20, 30:34] = True
OTHER = MASK[::-1]
PARK = image("park", segmentation(MASK), source=Path("album/park.jpg"))
ABSENT = {"present": False, "presence": 0.125}


def masks_in(path: Path) -> list[str]:
    return sorted(file.name for file in (path / "masks").iterdir())


def test_a_record_by_hand(tmp_path: Path) -> None:
    found = segmentation(MASK, score=0.87654321, points_xy=np.array([[31.04, 12.0], [5.26, 35.0]], np.float32))
    record = Folder(tmp_path, ("rex",)).write(image("park", found, source=Path("album/park.jpg")))
    assert record == {
        "image": "album/park.jpg",
        "present": True,
        "objects": [
            {
                "concept": "rex",
                "instance": 1,
                "present": True,
                "presence": 0.75,
                "score": 0.8765,
                "box_xyxy": (30, 10, 33, 19),
                "area_px": 40,
                "points_xy": [[31.0, 12.0], [5.3, 35.0]],
                "labels": [1, 0],
                "mask": str(tmp_path / "masks" / "park.png"),
            }
        ],
        "overlay": str(tmp_path / "overlays" / "park.jpg"),
    }
    with Image.open(record["objects"][0]["mask"]) as saved, Image.open(record["overlay"]) as overlay:
        np.testing.assert_array_equal(np.array(saved), MASK * np.uint8(255))
        assert overlay.size == (60, 40)


def test_what_is_not_present_has_no_mask_file_and_the_same_keys(tmp_path: Path) -> None:
    folder = Folder(tmp_path, ("rex",))
    record = folder.write(image("park", segmentation(MASK, **ABSENT)))
    (thing,) = record["objects"]
    assert record["present"] is False
    assert (thing["mask"], thing["box_xyxy"], thing["area_px"]) == (None, None, 0)
    assert (thing["presence"], thing["score"], thing["labels"]) == (0.125, 0.875, [1, 0])
    assert not (tmp_path / "masks").exists()
    present = folder.write(PARK)
    assert record.keys() == present.keys()
    assert thing.keys() == present["objects"][0].keys()


def test_presence_that_was_not_judged_is_null(tmp_path: Path) -> None:
    record = Folder(tmp_path, ("rex",)).write(image("park", segmentation(MASK, presence=None)))
    assert '"presence": null' in json.dumps(record)
    assert record["present"] is True


def test_without_overlays_there_are_masks_alone(tmp_path: Path) -> None:
    def never() -> np.ndarray:
        raise AssertionError("no picture, no reading")

    record = Folder(tmp_path, ("rex",), overlays=False).write(image("park", segmentation(MASK), read=never))
    assert record["overlay"] is None
    assert [entry.name for entry in tmp_path.iterdir()] == ["masks"]


@pytest.mark.parametrize(
    ("concepts", "most", "expected"),
    [
        (("rex",), 1, ["park.png"]),
        (("rex",), 3, ["park_1.png", "park_2.png"]),
        (("rex", "my tom"), 1, ["park_my-tom.png", "park_rex.png"]),
        (("rex", "my tom"), 3, ["park_my-tom_1.png", "park_rex_1.png", "park_rex_2.png"]),
    ],
)
def test_names_of_masks(tmp_path: Path, concepts: tuple[str, ...], most: int, expected: list[str]) -> None:
    found = [segmentation(MASK, concept) for concept in concepts]
    if most > 1:
        found.insert(1, segmentation(OTHER, "rex", 2))
    record = Folder(tmp_path, concepts, max_instances=most, overlays=False).write(image("park", *found))
    assert masks_in(tmp_path) == expected
    assert sorted(Path(one["mask"]).name for one in record["objects"]) == expected
    for one, thing in zip(found, record["objects"], strict=True):
        assert (thing["concept"], thing["instance"]) == (one.concept, one.instance)
        with Image.open(thing["mask"]) as saved:
            np.testing.assert_array_equal(np.array(saved) > 0, one.mask)


def test_an_image_is_present_when_any_concept_is(tmp_path: Path) -> None:
    found = segmentation(MASK, "rex", **ABSENT), segmentation(OTHER, "tom")
    record = Folder(tmp_path, ("rex", "tom"), overlays=False).write(image("park", *found))
    assert record["present"] is True
    assert [one["present"] for one in record["objects"]] == [False, True]
    assert masks_in(tmp_path) == ["park_tom.png"]


def test_the_overlay_of_a_panorama_too_long_for_jpeg(tmp_path: Path) -> None:
    mask = np.zeros((1, 65_000), bool)
    record = Folder(tmp_path, ("rex",)).write(image("park", segmentation(mask)))
    assert record["overlay"] == str(tmp_path / "overlays" / "park.png")
    assert Path(record["overlay"]).exists()


@pytest.mark.parametrize("second", ["a b", "A-b", "a_b"])
def test_concepts_whose_masks_would_replace_each_other(tmp_path: Path, second: str) -> None:
    with pytest.raises(OutputError, match=rf"concepts 'a b' and '{second}' would both write .*[aA]-b': learn one of"):
        Folder(tmp_path, ("rex", "a b", second))


# --- an album


@pytest.fixture
def album(tmp_path: Path) -> Path:
    (tmp_path / "album").mkdir()
    for name in ("a.png", "c.png"):
        Image.fromarray(np.full((40, 60, 3), 100, np.uint8)).save(tmp_path / "album" / name)
    (tmp_path / "album" / "b.png").write_text("a shopping list")
    return tmp_path / "album"


def ask(target: Target) -> ImageResult:
    target.read()
    return image("whatever", segmentation(MASK), read=target.read)


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in (path / "results.jsonl").read_text().splitlines()]


def test_a_photo_that_cannot_be_used_does_not_end_the_album(tmp_path: Path, album: Path) -> None:
    out = tmp_path / "deep" / "out"
    records = list(Folder(out, ("rex",)).search(iter_targets(album), ask))
    first, bad, last = records
    assert bad.keys() == {"image", "error"}
    assert bad["image"] == str(album / "b.png")
    assert "its content is no image of a known format" in bad["error"]
    assert [first["image"], last["image"]] == [str(album / "a.png"), str(album / "c.png")]
    assert masks_in(out) == ["a.png", "c.png"]
    assert lines_of(out) == json.loads(json.dumps(records))


def test_results_have_the_albums_names(tmp_path: Path, album: Path) -> None:
    twice = iter_targets([album / "a.png", album / "a.png", np.zeros((40, 60, 3), np.uint8)])
    records = list(Folder(tmp_path / "out", ("rex",)).search(twice, ask))
    assert masks_in(tmp_path / "out") == ["a.png", "a_2.png", "image_0003.png"]
    assert [record["image"] for record in records] == [str(album / "a.png"), str(album / "a.png"), "image_0003"]


def test_every_line_is_on_disk_before_the_next_photo_is_read(tmp_path: Path, album: Path) -> None:
    out = tmp_path / "out"
    seen: list[int] = []

    def watched(target: Target) -> ImageResult:
        seen.append(len(lines_of(out)))
        return ask(target)

    records = Folder(out, ("rex",)).search(iter_targets([album / "a.png"] * 3), watched)
    assert not out.exists()  # nothing is made before the first record is asked for
    for number, _ in enumerate(records, start=1):
        assert len(lines_of(out)) == number
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("error", [DiskFullError("full"), OSError(28, "No space left"), KeyboardInterrupt()])
def test_what_was_finished_stays_when_something_else_goes_wrong(
    tmp_path: Path, album: Path, error: BaseException
) -> None:
    def fail(target: Target) -> ImageResult:
        if (tmp_path / "out" / "masks" / "a.png").exists():
            raise error
        return ask(target)

    records = Folder(tmp_path / "out", ("rex",)).search(iter_targets([album / "a.png"] * 3), fail)
    next(records)
    with pytest.raises(type(error)):
        next(records)
    assert [line["image"] for line in lines_of(tmp_path / "out")] == [str(album / "a.png")]
    assert masks_in(tmp_path / "out") == ["a.png"]


def test_what_is_being_written_is_finished_before_the_folder_is_given_back(
    tmp_path: Path, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Folder.write

    def slow(self: Folder, result: ImageResult) -> dict:
        time.sleep(0.2)
        return write(self, result)

    monkeypatch.setattr(Folder, "write", slow)
    four = iter_targets([album / "a.png"] * 4)
    records = Folder(tmp_path / "out", ("rex",)).search_all(four, lambda targets: map(ask, targets), behind=2)
    next(records)
    records.close()
    assert not (tmp_path / "out" / ".persam.lock").exists()
    lines = lines_of(tmp_path / "out")
    assert len(lines) == 3  # the one that was handed out, and two behind it
    assert masks_in(tmp_path / "out") == ["a.png", "a_2.png", "a_3.png"]
    time.sleep(0.3)
    assert lines_of(tmp_path / "out") == lines


def test_what_cannot_be_written_behind_ends_the_run_as_before(
    tmp_path: Path, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Folder, result: ImageResult) -> dict:
        raise DiskFullError("no room left") if result.name.endswith("_2") else OutputError("no such place")

    monkeypatch.setattr(Folder, "write", full)
    four = iter_targets([album / "a.png"] * 4)
    records = Folder(tmp_path / "out", ("rex",)).search_all(four, lambda targets: map(ask, targets), behind=1)
    assert next(records)["error"] == "no such place"
    with pytest.raises(DiskFullError, match="no room left"):
        next(records)


def test_an_overlay_of_a_photo_that_went_away_is_an_error_of_that_photo(tmp_path: Path, album: Path) -> None:
    def gone(path: Path) -> Callable[[], np.ndarray]:
        def read() -> np.ndarray:
            raise ImageError(f"cannot read the image {path}: there is no such file. Check the path.")

        return read

    def forgetful(target: Target) -> ImageResult:
        assert target.source is not None
        return image("a", segmentation(MASK), read=gone(target.source))

    (record,) = Folder(tmp_path / "out", ("rex",)).search(iter_targets(album / "a.png"), forgetful)
    assert "there is no such file" in record["error"]


def test_a_folder_that_cannot_be_made(tmp_path: Path, album: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(OutputError, match=r"results\.jsonl: a part of .* is a file, where a folder should be"):
            next(Folder(path, ("rex",)).search(iter_targets(album), ask))
