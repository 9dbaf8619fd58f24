"""An album on the page: results as they come, limits, and downloads that other tools read."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.errors import LimitError, PerSAMError
from persam.studio import compare, downloads
from persam.studio.limits import Limits
from tests.colour import mask, photo


def searched(session, paths, **more):
    concepts = session.shelf.concepts(["red"])
    return list(session.album.search(paths, concepts, session.model, session.limits, **more))


def test_results_come_one_by_one_and_say_what_is_not_here(taught, album):
    steps = taught.album.search(album, taught.shelf.concepts(["red"]), taught.model, taught.limits)
    first = next(steps)
    assert list(taught.album.searched) == ["left"]
    assert str(first).startswith("left · red: score 0.90, presence 1.0")
    second = next(steps)
    assert "blue · red: not here, presence 0.0" in str(second)
    assert len(list(steps)) == 1
    with Image.open(first.overlay) as picture:
        assert picture.size == (64, 64)


def test_masks_wait_on_disk_and_come_back_as_they_were(taught, album):
    concepts = taught.shelf.concepts(["red"])
    for kept, result in zip(searched(taught, album), taught.model.segment(album, concepts), strict=True):
        assert kept.result().segmentations == result.segmentations
        assert np.array_equal(kept.read(), result.read())


def test_a_photo_that_is_none_has_an_error_and_the_others_go_on(taught, album, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    found = searched(taught, [album[0], broken, album[2]])
    assert [one.error is None for one in found] == [True, False, True]
    assert "no image of a known format" in str(found[1])
    assert [result.name for result in taught.album.results()] == ["left", "right"]


def test_a_photo_beyond_the_limits_has_an_error(taught, album, upload):
    taught.limits = Limits(megapixels=0.005)
    found = searched(taught, [album[0], upload("large.png", photo(hw=(100, 64)))])
    assert found[0].error is None
    assert "64x100 pixels, and 0.005 million are the most" in found[1].error


def test_too_many_photos_are_refused_before_any_is_read(taught, album):
    taught.limits = Limits(files=2)
    before = taught.model.backbone.encoded
    with pytest.raises(LimitError, match="3 photos are more than the 2"):
        searched(taught, album)
    assert taught.model.backbone.encoded == before


def test_what_was_found_stays_when_the_time_is_over(taught, album):
    times = iter([0.0, 1.0, 11.0])
    taught.limits = Limits(seconds=10, clock=lambda: next(times))
    with pytest.raises(LimitError, match="searching the album takes longer than 10 s"):
        searched(taught, album)
    assert list(taught.album.searched) == ["left", "blue"]


def test_two_photos_of_one_name_are_told_apart(taught, album, tmp_path):
    again = tmp_path / "left.png"
    again.write_bytes(album[2].read_bytes())
    assert [one.name for one in searched(taught, [album[0], again])] == ["left", "left_2"]


def test_masks_come_as_a_zip_with_a_line_a_photo(taught, album, tmp_path):
    searched(taught, album)
    path = downloads.masks(taught.album, tmp_path)
    with zipfile.ZipFile(path) as file:
        assert sorted(file.namelist()) == ["masks/left_red_1.png", "masks/right_red_1.png", "results.jsonl"]
        with Image.open(file.open("masks/left_red_1.png")) as picture:
            assert np.array_equal(np.array(picture) > 0, mask(at_xyxy=(40, 5, 55, 30)))
        lines = [json.loads(line) for line in file.read("results.jsonl").splitlines()]
    assert [line["image"] for line in lines] == ["left.png", "blue.png", "right.png"]
    assert lines[0]["objects"][0]["mask"] == "masks/left_red_1.png"
    assert lines[1]["objects"][0]["mask"] is None
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith("masks")] == ["masks.zip"]


def test_cutouts_are_transparent_and_only_of_what_is_there(taught, album, tmp_path):
    searched(taught, album)
    with zipfile.ZipFile(downloads.cutouts(taught.album, tmp_path)) as file:
        assert sorted(file.namelist()) == ["left_red_1.png", "right_red_1.png"]
        with Image.open(file.open("right_red_1.png")) as picture:
            assert (picture.mode, picture.size) == ("RGBA", (12, 9))


def test_without_anything_present_there_is_nothing_to_cut_out(taught, album, tmp_path):
    searched(taught, album[1:2])
    with pytest.raises(PerSAMError, match="nothing to cut out"):
        downloads.cutouts(taught.album, tmp_path)


def test_coco_and_yolo_name_the_photos_and_the_concept(taught, album, tmp_path):
    searched(taught, album)
    coco = json.loads(downloads.coco(taught.album, tmp_path).read_text())
    assert [one["file_name"] for one in coco["images"]] == ["left.png", "blue.png", "right.png"]
    assert [one["image_id"] for one in coco["annotations"]] == [1, 3]
    with zipfile.ZipFile(downloads.yolo(taught.album, tmp_path)) as file:
        assert {"data.yaml", "labels/left.txt"} <= set(file.namelist())
        assert file.read("labels/blue.txt") == b""


@pytest.mark.parametrize("make", downloads.DOWNLOADS.values(), ids=list(downloads.DOWNLOADS))
def test_before_a_search_every_download_says_so(taught, make, tmp_path):
    with pytest.raises(PerSAMError, match="nothing to download yet"):
        make(taught.album, tmp_path)
    assert not [one for one in tmp_path.iterdir() if one.suffix in (".zip", ".json")]


def test_the_location_map_is_brightest_on_the_object(taught, album):
    [one] = searched(taught, album[:1])
    located, found = compare.pictures(one, 0, input_size=taught.model.backbone.input_size)
    assert located.shape == found.shape == (64, 64, 3)
    level = located.astype(int).sum(2)
    assert level[10:26, 44:52].mean() > level[40:60, 5:30].mean() + 100


def test_the_location_map_of_a_wide_photo_lies_where_the_photo_is():
    rgb = np.zeros((50, 100, 3), np.uint8)
    similarity = np.zeros((2, 4), np.float32)  # patches of 16 in an input of 64
    similarity[1, 3] = 1
    level = compare.location_map(rgb, similarity, input_size=64).astype(int).sum(2)
    assert np.unravel_index(level.argmax(), level.shape) >= (25, 75)
    assert level[:20, :60].max() == level.min()


def test_a_mask_that_was_not_searched_for_has_no_map():
    with pytest.raises(PerSAMError, match="no location map"):
        compare.location_map(np.zeros((4, 4, 3), np.uint8), np.zeros((0, 0), np.float32), input_size=64)


def test_a_folder_is_zipped_whole_or_not_at_all(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "one.txt").write_text("x" * 1000)
    monkeypatch.setattr(Path, "relative_to", lambda *_: (_ for _ in ()).throw(RuntimeError("in the middle")))
    with pytest.raises(RuntimeError):
        downloads.zip_of(tmp_path / "in", tmp_path / "out.zip")
    assert [one.name for one in tmp_path.iterdir()] == ["in"]
