"""Every data set format writes whatever was found and keeps nothing; what each one holds is worked out by hand."""

import gc
import json
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from persam.errors import ImageError, OutputError
from persam.io import rle
from persam.io.formats import FORMATS, export
from persam.io.results import ImageResult
from tests.io.made import VIDEO, image, mask_of, rows_of, segmentation

REX = mask_of("##....", "##....", "......", "......")
SECOND_REX = mask_of("......", "......", "......", "#....#")
TOM = mask_of("......", ".###..", ".###..", "......")  # over a pixel of rex
GUESS = mask_of("###", "...")

PARK = image(
    "park",
    segmentation(REX, "rex"),
    segmentation(SECOND_REX, "rex", 2, score=0.5),
    segmentation(TOM, "tom"),
    source=Path("album/park.JPG"),
)
BEACH = image("beach", segmentation(GUESS, "rex", present=False), segmentation(GUESS, "tom", present=False))
YARD = image("yard", segmentation(GUESS, "rex", present=False), segmentation(TOM[1:3, 1:4], "tom"))
ALBUM = [PARK, BEACH, YARD]


# --- every format of the table, on photos or on the frames of a video


def accepted_by(name: str) -> list[ImageResult]:
    """Several are present in the first, nothing is in the second."""
    return VIDEO if FORMATS[name].of_video else ALBUM


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "part", [slice(0), slice(1, 2), slice(1), slice(3)], ids=["no image", "nothing present", "several", "all"]
)
def test_whatever_was_found_can_be_written(tmp_path: Path, name: str, part: slice) -> None:
    album = accepted_by(name)[part]
    path = export(iter(album), str(tmp_path / "deep" / "set"), format=name)
    assert path == tmp_path / "deep" / "set"
    assert path.exists()
    again = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    export(album, path, format=name)  # over what is there
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == again


@pytest.mark.parametrize("name", FORMATS)
def test_an_image_that_could_not_be_searched_is_left_out(tmp_path: Path, name: str) -> None:
    first, *rest = accepted_by(name)
    gone = ImageResult.of_error("gone", ImageError("there is no such file"))
    export([first, *rest], tmp_path / "all", format=name)
    export([first, gone, *rest], tmp_path / "with", format=name)
    one, other = (
        {file.relative_to(folder): file.read_bytes() for file in [folder, *folder.rglob("*")] if file.is_file()}
        for folder in (tmp_path / "all", tmp_path / "with")
    )
    assert one == other


@pytest.mark.parametrize("name", FORMATS)
def test_one_result_is_an_album_of_one(tmp_path: Path, name: str) -> None:
    first = accepted_by(name)[0]
    export(first, tmp_path / "one", format=name)
    export([first], tmp_path / "list", format=name)
    one, several = (
        {file.relative_to(folder): file.read_bytes() for file in [folder, *folder.rglob("*")] if file.is_file()}
        for folder in (tmp_path / "one", tmp_path / "list")
    )
    assert one == several


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.slow
def test_results_are_drawn_one_at_a_time_and_not_kept(tmp_path: Path, name: str) -> None:
    masks: list[weakref.ref[np.ndarray]] = []

    def album() -> Iterator[ImageResult]:
        for number in range(4):
            gc.collect()
            assert [mask() for mask in masks] == [None] * number
            mask = TOM.copy()
            masks.append(weakref.ref(mask))
            yield image(f"image_{number}", segmentation(mask, track_id=1))
            del mask

    export(album(), tmp_path / "set", format=name)
    assert len(masks) == 4


@pytest.mark.parametrize("name", FORMATS)
def test_two_images_of_one_name_are_refused(tmp_path: Path, name: str) -> None:
    first, second, _ = accepted_by(name)
    again = replace(second, name=first.name.upper())
    with pytest.raises(OutputError, match=r"two images are called '[A-Z0-9_]+', and the files of one .* as one album"):
        export([first, again], tmp_path / "set", format=name)


@pytest.mark.parametrize("name", FORMATS)
def test_a_place_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match=r"cannot write .*: a part of .* is a file, where a folder should be"):
        export(accepted_by(name), tmp_path / "file" / "set", format=name)


def test_an_unknown_format_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    known = "coco, coco_polygons, yolo, voc, palette, labelme, label_studio, parquet, mots, coco_video"
    with pytest.raises(OutputError, match=rf"no data set format 'gif': choose one of {known}\."):
        export(ALBUM, tmp_path / "set", format="gif")
    assert list(tmp_path.iterdir()) == []


def test_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert export([], "~/set.json", format="coco") == tmp_path / "set.json"


# --- coco


def test_coco_by_hand(tmp_path: Path) -> None:
    written = json.loads(export(ALBUM, tmp_path / "set.json", format="coco").read_text())
    assert written["images"] == [
        {"id": 1, "file_name": "park.JPG", "width": 6, "height": 4},
        {"id": 2, "file_name": "beach.png", "width": 3, "height": 2},
        {"id": 3, "file_name": "yard.png", "width": 3, "height": 2},
    ]
    assert written["categories"] == [{"id": 1, "name": "rex"}, {"id": 2, "name": "tom"}]
    # Down the columns of 4: none outside, 2 in, 2 out, 2 in, 18 out; written as 0, 2, 2, 2 - 2, 18 - 2 = 16.
    assert written["annotations"][0] == {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "segmentation": {"size": [4, 6], "counts": "0220`0"},
        "bbox": [0, 0, 2, 2],
        "area": 4,
        "iscrowd": 0,
        "score": 0.875,
    }
    keys = ("id", "image_id", "category_id", "bbox", "area", "score")
    assert [tuple(one[key] for key in keys) for one in written["annotations"][1:]] == [
        (2, 1, 1, [0, 3, 6, 1], 2, 0.5),
        (3, 1, 2, [1, 1, 3, 2], 6, 0.875),
        (4, 3, 2, [0, 0, 3, 2], 6, 0.875),
    ]


def test_coco_masks_come_back(tmp_path: Path) -> None:
    written = json.loads(export(PARK, tmp_path / "set.json", format="coco").read_text())
    masks = [rle.draw(rle.segments(one["segmentation"]), (4, 6)) for one in written["annotations"]]
    assert [rows_of(mask) for mask in masks] == [rows_of(REX), rows_of(SECOND_REX), rows_of(TOM)]


def test_coco_of_no_image(tmp_path: Path) -> None:
    written = json.loads(export([], tmp_path / "set.json", format="coco").read_text())
    assert (written["images"], written["annotations"], written["categories"]) == ([], [], [])


# --- yolo


def test_yolo_by_hand(tmp_path: Path) -> None:
    path = export(ALBUM, tmp_path / "set", format="yolo")
    pixel = "0.083333 0.875000"  # (0 + 0.5) / 6 and (3 + 0.5) / 4
    other = "0.916667 0.875000"
    assert sorted((path / "labels" / "park.txt").read_text().splitlines()) == [
        "0 0.083333 0.125000 0.083333 0.375000 0.250000 0.375000 0.250000 0.125000",
        f"0 {pixel} {pixel} {pixel}",
        f"0 {other} {other} {other}",
        "1 0.250000 0.375000 0.250000 0.625000 0.583333 0.625000 0.583333 0.375000",
    ]
    assert (path / "labels" / "beach.txt").read_bytes() == b""
    assert (path / "labels" / "yard.txt").read_text()[:2] == "1 "  # tom's number stays
    assert (path / "images.txt").read_text() == "./images/park.png\n./images/beach.png\n./images/yard.png\n"
    assert (path / "data.yaml").read_text() == 'train: images.txt\nval: images.txt\nnames:\n  0: "rex"\n  1: "tom"\n'


def test_yolo_names_are_yaml_whatever_the_concept_is_called(tmp_path: Path) -> None:
    path = export(image("a", segmentation(REX, 'my "red": #1 cup é')), tmp_path, format="yolo")
    assert (path / "data.yaml").read_text().splitlines()[-1] == r'  0: "my \"red\": #1 cup é"'
    path = export([], tmp_path, format="yolo")
    assert (path / "data.yaml").read_text().splitlines()[-1] == "names: {}"


# --- voc and palette


def indices_of(path: Path) -> list[str]:
    with Image.open(path) as opened:
        assert opened.mode == "P"
        palette = opened.getpalette()
        assert palette is not None
        assert palette[:12] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
        return ["".join(map(str, row)) for row in np.asarray(opened).tolist()]


def test_voc_by_hand(tmp_path: Path) -> None:
    path = export(ALBUM, tmp_path / "set", format="voc")
    assert indices_of(path / "SegmentationClass" / "park.png") == ["110000", "112200", "022200", "100001"]
    assert indices_of(path / "SegmentationObject" / "park.png") == ["110000", "113300", "033300", "200002"]
    assert indices_of(path / "SegmentationClass" / "yard.png") == ["222", "222"]
    assert indices_of(path / "SegmentationObject" / "yard.png") == ["111", "111"]
    for folder in ("SegmentationClass", "SegmentationObject"):
        assert indices_of(path / folder / "beach.png") == ["000", "000"]
    assert (path / "labelmap.txt").read_text().splitlines() == [
        "# label:color_rgb:parts:actions",
        "background:0,0,0::",
        "rex:128,0,0::",
        "tom:0,128,0::",
    ]


def test_voc_annotations_by_hand(tmp_path: Path) -> None:
    path = export(ALBUM, tmp_path / "set", format="voc")
    root = ElementTree.parse(path / "Annotations" / "park.xml").getroot()
    assert (root.tag, root.findtext("filename"), root.findtext("segmented")) == ("annotation", "park.JPG", "1")
    assert [root.findtext(f"size/{side}") for side in ("width", "height", "depth")] == ["6", "4", "3"]
    sides = ("xmin", "ymin", "xmax", "ymax")  # counted from 1, the last one inside
    assert [
        (one.findtext("name"), *(one.findtext(f"bndbox/{side}") for side in sides)) for one in root.iter("object")
    ] == [("rex", "1", "1", "2", "2"), ("rex", "1", "4", "6", "4"), ("tom", "2", "2", "4", "3")]
    beach = ElementTree.parse(path / "Annotations" / "beach.xml").getroot()
    assert beach.findtext("size/width") == "3"
    assert list(beach.iter("object")) == []


def test_voc_names_are_xml_whatever_the_concept_is_called(tmp_path: Path) -> None:
    path = export(image("a", segmentation(REX, "tom & <jerry> é")), tmp_path, format="voc")
    root = ElementTree.parse(path / "Annotations" / "a.xml").getroot()
    assert root.findtext("object/name") == "tom & <jerry> é"


def test_palette_by_hand(tmp_path: Path) -> None:
    path = export(ALBUM, tmp_path / "set", format="palette")
    assert indices_of(path / "park.png") == ["110000", "113300", "033300", "200002"]  # the first of an overlap has it
    assert indices_of(path / "beach.png") == ["000", "000"]
    assert indices_of(path / "yard.png") == ["333", "333"]  # the same object, the same index
    assert (path / "objects.txt").read_text() == "index\tconcept\tinstance\n1\trex\t1\n2\trex\t2\n3\ttom\t1\n"


@pytest.mark.parametrize("name", ["voc", "palette"])
def test_more_objects_than_a_palette_holds(tmp_path: Path, name: str) -> None:
    pixel = mask_of("#")
    most = image("most", *(segmentation(pixel, "rex", number) for number in range(1, 255)))
    export(most, tmp_path / "most", format=name)
    more = image("more", *(segmentation(pixel, "rex", number) for number in range(1, 256)))
    with pytest.raises(
        OutputError, match=r"'more' needs the index 255, and a palette PNG ends at 254\. Export as coco"
    ):
        export(more, tmp_path / "more", format=name)
