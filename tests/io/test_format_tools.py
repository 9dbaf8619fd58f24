"""What the tools' own packages, or readers of our own by their rules, make of the data sets that are written."""

import contextlib
import io
import json
import sys
from pathlib import Path

import numpy as np
import pandas
import pyarrow.parquet
import pytest
import supervision
import yaml
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from persam.errors import PerSAMError
from persam.io.formats import export
from persam.io.images import read_image
from persam.io.masks import Mask, read_labels, read_mask
from tests.io.made import VIDEO, image, mask_of, rows_of, segmentation

HW = (48, 64)
Y, X = np.mgrid[:48, :64]
RING = (np.hypot(X - 30, Y - 24) < 18) & (np.hypot(X - 28, Y - 24) > 6)
RING[2, 2] = True  # a second component
SQUARE = np.zeros(HW, bool)
SQUARE[40:, 50:] = True
NOISE = np.random.default_rng(0).random(HW) < 0.5  # touches itself everywhere: no polygon through centres draws it

PARK = image("park", segmentation(RING, "rex"), segmentation(SQUARE, "rex", 2, score=0.5), segmentation(RING, "tom"))
BEACH = image("beach", segmentation(SQUARE, "rex", present=False), segmentation(NOISE, "tom"))


@pytest.mark.parametrize("name", ["coco", "coco_polygons"])
def test_pycocotools_reads_the_same_masks(tmp_path: Path, name: str) -> None:
    path = export([PARK, BEACH], tmp_path / "found.json", format=name)
    with contextlib.redirect_stdout(io.StringIO()):
        read = COCO(path)
    assert [(one["name"], one["id"]) for one in read.loadCats(read.getCatIds())] == [("rex", 1), ("tom", 2)]
    [park] = (one for one in read.loadImgs(read.getImgIds()) if one["file_name"] == "park.png")
    annotations = read.loadAnns(read.getAnnIds(imgIds=park["id"]))
    assert [(one["category_id"], one["score"]) for one in annotations] == [(1, 0.875), (1, 0.5), (2, 0.875)]
    for annotation, mask in zip(annotations, (RING, SQUARE, RING), strict=True):
        np.testing.assert_array_equal(read.annToMask(annotation).astype(bool), mask)
        assert annotation["area"] == coco_mask.area(read.annToRLE(annotation)) == mask.sum()
        assert annotation["bbox"] == coco_mask.toBbox(read.annToRLE(annotation)).tolist()


@pytest.mark.parametrize("name", ["coco", "coco_polygons"])
def test_what_is_written_as_coco_is_read_as_a_reference(tmp_path: Path, name: str) -> None:
    path = export([PARK, BEACH], tmp_path / "found.json", format=name)
    labels = read_labels(path, HW, image_name="album/park.png")
    assert list(labels) == ["rex#1", "rex#2", "tom"]
    np.testing.assert_array_equal(labels["rex#2"], SQUARE)
    np.testing.assert_array_equal(read_mask(path, HW, image_name="beach.png"), NOISE)


def test_labelme_files_are_read_as_references(tmp_path: Path) -> None:
    folder = export([PARK, BEACH], tmp_path / "labelme", format="labelme")
    labels = read_labels(folder / "park.json", HW)
    assert list(labels) == ["rex#1", "rex#2", "tom"]
    for label, mask in zip(labels, (RING, SQUARE, RING), strict=True):
        np.testing.assert_array_equal(labels[label], mask)
    np.testing.assert_array_equal(read_mask(folder / "beach.json", HW), NOISE)


def test_labelme_has_polygons_and_a_mask_only_where_they_would_not_be_exact(tmp_path: Path) -> None:
    source = tmp_path / "album" / "park.jpg"
    park = image("park", segmentation(RING, "rex"), source=source)
    folder = export([park, BEACH], tmp_path / "labelme", format="labelme")
    written = json.loads((folder / "park.json").read_text())
    assert (written["imageHeight"], written["imageWidth"], written["imageData"]) == (48, 64, None)
    assert (folder / written["imagePath"]).resolve() == source
    assert [(one["shape_type"], one["group_id"]) for one in written["shapes"]] == [("polygon", 1)] * 2
    assert written["shapes"][0]["description"] == "score 0.88, presence 0.75"
    [noise] = json.loads((folder / "beach.json").read_text())["shapes"]
    assert noise["shape_type"] == "mask"


def test_label_studio_tasks_are_read_as_references(tmp_path: Path) -> None:
    folder = export([PARK, BEACH], tmp_path / "tasks", format="label_studio")
    labels = read_labels(folder / "tasks.json", HW, image_name="park.png")
    assert list(labels) == ["rex#1", "rex#2", "tom"]
    np.testing.assert_array_equal(labels["rex#1"], RING)
    np.testing.assert_array_equal(read_mask(folder / "tasks.json", HW, image_name="beach.png"), NOISE)
    first = json.loads((folder / "tasks.json").read_text())[0]
    assert first["data"] == {"image": "/data/local-files/?d=park.png"}
    config = (folder / "label_config.xml").read_text()
    names = ('<Image name="image" value="$image" />', 'name="label" toName="image"', '<Label value="tom" />')
    assert all(name in config for name in names)


def test_parquet_is_read_without_persam(tmp_path: Path) -> None:
    path = export([PARK, BEACH], tmp_path / "found.parquet", format="parquet")
    rows = pandas.read_parquet(path)
    assert rows[["photo", "concept", "instance", "present"]].values.tolist() == [
        ["park", "rex", 1, True],
        ["park", "rex", 2, True],
        ["park", "tom", 1, True],
        ["beach", "rex", 1, False],
        ["beach", "tom", 1, True],
    ]
    row = rows.iloc[0]
    mask = coco_mask.decode({"size": [int(row.height), int(row.width)], "counts": row.rle})
    np.testing.assert_array_equal(mask.astype(bool), RING)
    assert (row.score, row.area_px, list(row.box_xyxy)) == (0.875, RING.sum(), [2, 2, 47, 41])
    assert rows.rle.isna().tolist() == [False, False, False, True, False]


def test_parquet_of_a_video_has_its_tracks_and_times(tmp_path: Path) -> None:
    path = export(VIDEO, tmp_path / "walk.parquet", format="parquet")
    columns = pyarrow.parquet.read_table(path, columns=["photo", "track_id", "time", "present"]).to_pylist()
    assert columns[1] == {"photo": "walk_0", "track_id": 2, "time": 0.0, "present": True}
    assert columns[-1] == {"photo": "walk_2", "track_id": 2, "time": 0.5, "present": True}


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(PerSAMError, match=r'not installed: pip install "persam\[parquet\]"'):
        export([PARK], tmp_path / "a.parquet", format="parquet")


def test_supervision_reads_the_yolo_folder_with_its_images(tmp_path: Path) -> None:
    photo = tmp_path / "yard.jpg"
    Image.fromarray(np.full((*HW, 3), 90, np.uint8)).save(photo)
    yard = image("yard", segmentation(SQUARE, "tom"), source=photo)
    folder = export([PARK, yard], tmp_path / "set", format="yolo")
    assert (folder / "images" / "yard.jpg").read_bytes() == photo.read_bytes()
    assert yaml.safe_load((folder / "data.yaml").read_text())["names"] == {0: "rex", 1: "tom"}
    read = supervision.DetectionDataset.from_yolo(
        images_directory_path=str(folder / "images"),
        annotations_directory_path=str(folder / "labels"),
        data_yaml_path=str(folder / "data.yaml"),
        force_masks=True,
    )
    found = {Path(path).name: detections for path, _, detections in read}
    assert set(found) == {"park.png", "yard.jpg"}
    np.testing.assert_array_equal(found["yard.jpg"].class_id, [1])
    overlap = (found["yard.jpg"].mask[0] & SQUARE).sum() / (found["yard.jpg"].mask[0] | SQUARE).sum()
    assert overlap > 0.8  # supervision cuts corners to whole pixels, and has its outline half a pixel further in


def test_yolo_has_an_upright_png_of_what_a_trainer_may_not_turn_or_read(tmp_path: Path) -> None:
    turned = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.full((64, 48, 3), 90, np.uint8)).save(turned, exif=exif)
    result = image("turned", segmentation(SQUARE, "tom"), source=turned, read=lambda: read_image(turned))
    folder = export([result, image("memory", segmentation(SQUARE, "tom"))], tmp_path / "set", format="yolo")
    assert (folder / "images.txt").read_text() == "./images/turned.png\n./images/memory.png\n"
    with Image.open(folder / "images" / "turned.png") as picture:
        assert picture.size == (64, 48)
        assert not picture.getexif()


# --- supervision


def test_detections_say_what_the_result_says() -> None:
    found = PARK.to_supervision()
    assert len(found) == 3
    np.testing.assert_array_equal(found.mask, [RING, SQUARE, RING])
    np.testing.assert_array_equal(found.xyxy, supervision.mask_to_xyxy(found.mask))
    assert found.confidence.tolist() == [0.875, 0.5, 0.875]
    assert found.class_id.tolist() == [0, 0, 1]
    assert found.tracker_id is None
    assert found["class_name"].tolist() == ["rex", "rex", "tom"]
    assert found["instance"].tolist() == [1, 2, 1]
    assert found["presence"].tolist() == [0.75] * 3
    assert found[found.class_id == 1].mask[0].sum() == RING.sum()


def test_the_class_of_a_concept_stays_where_others_are_absent_and_tracks_are_kept() -> None:
    found = BEACH.to_supervision()
    assert (found.class_id.tolist(), found["class_name"].tolist()) == ([1], ["tom"])
    assert VIDEO[0].to_supervision().tracker_id.tolist() == [1, 2]


def test_detections_of_nothing_are_empty_and_merge_with_others() -> None:
    nothing = VIDEO[1].to_supervision()
    assert len(nothing) == 0
    assert (nothing.mask.shape, nothing.tracker_id) == ((0, 2, 3), None)
    drawn = supervision.MaskAnnotator().annotate(np.zeros((2, 3, 3), np.uint8), nothing)
    assert not drawn.any()


def test_presence_that_was_not_judged_is_no_number() -> None:
    found = image("a", segmentation(mask_of("#"), presence=None)).to_supervision()
    assert np.isnan(found["presence"]).tolist() == [True]


def test_supervision_draws_the_masks() -> None:
    drawn = supervision.MaskAnnotator(opacity=1.0).annotate(np.zeros((*HW, 3), np.uint8), PARK.to_supervision())
    assert rows_of(drawn.any(axis=2)) == rows_of(RING | SQUARE)


def test_without_supervision_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(PerSAMError, match="supervision is not installed: pip install supervision"):
        PARK.to_supervision()


def test_a_chosen_object_of_an_exported_set_is_a_reference(tmp_path: Path) -> None:
    path = export(PARK, tmp_path / "found.json", format="coco")
    np.testing.assert_array_equal(read_mask(Mask(path, label="tom"), HW, image_name="park.png"), RING)
