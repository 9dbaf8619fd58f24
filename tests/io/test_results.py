"""A result is ready to look at, to save and to hand on; here is one made by hand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.errors import MaskError, OutputError
from persam.io.results import Segmentation

RGB = np.full((40, 60, 3), 100, np.uint8)
MASK = np.zeros((40, 60), bool)
MASK[10:20, 30:34] = True


def found(**changes) -> Segmentation:
    made = Segmentation(
        mask=MASK,
        score=0.875,
        presence=0.75,
        present=True,
        box_xyxy=(30, 10, 33, 19),
        points_xy=np.array([[31.0, 12.0], [5.0, 35.0]], np.float32),
        labels=np.array([1.0, 0.0], np.float32),
        similarity=np.zeros((3, 4), np.float32),
        concept="rex",
        name="park",
        source=Path("park.jpg"),
        read=lambda: RGB,
    )
    return replace(made, **changes)


ABSENT = {"present": False, "presence": 0.125}
NOTHING = {"mask": np.zeros((40, 60), bool), "box_xyxy": None, **ABSENT}


def test_the_mask_is_saved_as_0_and_255(tmp_path):
    path = found().save(tmp_path / "masks" / "park.png")
    assert path == tmp_path / "masks" / "park.png"
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.array(image), MASK * np.uint8(255))


def test_the_suffix_chooses_the_format_and_the_format_argument_overrules_it(tmp_path):
    saved = np.load(found().save(tmp_path / "park.npz"))
    np.testing.assert_array_equal(saved["mask"], MASK)
    assert saved["score"] == 0.875
    assert json.loads(found().save(tmp_path / "park.json").read_text()) == found().to_coco()
    assert found().save(tmp_path / "park.txt").read_text().startswith("0 0.5")
    with Image.open(found().save(tmp_path / "palette.png", format="palette")) as image:
        assert image.mode == "P"


@pytest.mark.parametrize(("name", "format"), [("park.tga", None), ("park", None), ("park.png", "perfect")])
def test_an_unknown_format_is_answered_with_the_known_ones(tmp_path, name, format):
    with pytest.raises(OutputError, match=r"choose one of .*png"):
        found().save(tmp_path / name, format=format)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*park.png: a part of .*file is a file"):
        found().save(tmp_path / "file" / "park.png")


def test_the_overlay_shows_mask_box_and_points_and_leaves_the_photo_alone():
    picture = found().overlay()
    assert picture.shape == RGB.shape
    assert (RGB == 100).all()
    changed = (picture != RGB).any(axis=2)
    assert changed[12:18, 31:33].all()  # the mask
    assert changed[19, 30]  # the box's corner
    assert changed[35, 5]  # the point outside
    assert not changed[30, 45]


def test_the_overlay_of_an_absent_object_shows_the_words_alone():
    picture = found(**ABSENT).overlay()
    changed = (picture != RGB).any(axis=2)
    assert changed[:10].any()
    assert not changed[18:].any()
    np.testing.assert_array_equal(picture, found(**NOTHING).overlay())


def test_the_photo_is_read_when_it_is_needed_and_not_before():
    reads = []

    def read():
        reads.append(1)
        return RGB

    result = found(read=read)
    repr(result)
    assert reads == []
    result.overlay()
    assert reads == [1]


def test_the_cutout_is_the_object_alone():
    cutout = found().cutout()
    assert cutout.shape == (10, 4, 4)
    assert (cutout == [100, 100, 100, 255]).all()


def test_there_is_no_cutout_of_nothing():
    with pytest.raises(MaskError, match="there is nothing to cut out: no pixel of the 60x40 mask is set"):
        found(**NOTHING).cutout()


def test_a_coco_annotation_by_hand():
    annotation = found().to_coco(image_id=7, category_id=3, annotation_id=11)
    assert annotation.pop("segmentation")["size"] == [40, 60]
    assert annotation == {
        "id": 11,
        "image_id": 7,
        "category_id": 3,
        "bbox": [30, 10, 4, 10],
        "area": 40,
        "iscrowd": 0,
        "score": 0.875,
    }


def test_it_tells_in_a_line_what_was_found():
    text = "box (30, 10, 33, 19), 40 pixels, score 0.88, presence 0.75"
    assert repr(found()) == f"Segmentation('rex' in 'park': {text})"
    assert repr(found(**ABSENT)) == "Segmentation('rex' in 'park': not here, score 0.88, presence 0.12)"
