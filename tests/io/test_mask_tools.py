"""References from annotation tools: CVAT's XML, Label Studio's JSON, and objects that share a label."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from persam.errors import MaskError
from persam.io.brush import to_brush
from persam.io.mask_shapes import marked_in_json
from persam.io.masks import Mask, read_labels, read_mask

HW = (48, 64)
CAT = np.zeros(HW, bool)
CAT[10:40, 20:50] = True
DOG = np.zeros(HW, bool)
DOG[2:7, 2:12] = True
CAT_XY = "20.00,10.00;50.00,10.00;50.00,40.00;20.00,40.00"


def cvat(*shapes: str, name: str = "album/rex.jpg", more: str = "") -> str:
    """As CVAT 2 writes it, "CVAT for images 1.1"."""
    return f"""<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><id>1</id></task></meta>
<image id="0" name="{name}" width="64" height="48">{"".join(shapes)}</image>{more}</annotations>"""


def cvat_shape(tag: str, label: str = "cat", **values: object) -> str:
    told = {"label": label, "source": "manual", "occluded": 0, **values, "z_order": 0}
    return f"<{tag} " + " ".join(f'{name}="{value}"' for name, value in told.items()) + f"></{tag}>"


OTHER_IMAGE = '<image id="1" name="tom.jpg" width="9" height="9"></image>'
CVAT = {
    "polygon": cvat_shape("polygon", points=CAT_XY),
    "box": cvat_shape("box", xtl=20, ytl=10, xbr=50, ybr=40),
    "turned box": cvat_shape("box", xtl=20, ytl=10, xbr=50, ybr=40, rotation=90.0),
    # 3 pixels of the box's first row are outside: it begins 3 to the left of the cat
    "mask": cvat_shape("mask", left=17, top=10, width=33, height=30, rle=", ".join(["3", "30"] * 30)),
}


@pytest.mark.parametrize("name", CVAT)
def test_a_shape_of_cvat(tmp_path: Path, name: str) -> None:
    path = tmp_path / "annotations.xml"
    path.write_text(cvat(CVAT[name], cvat_shape("points", points="1,1"), more=OTHER_IMAGE))
    np.testing.assert_array_equal(read_mask(path, HW, image_name="rex.jpg"), CAT)


def test_an_ellipse_of_cvat_holds_the_pixels_within_its_radii(tmp_path: Path) -> None:
    path = tmp_path / "annotations.xml"
    path.write_text(cvat(cvat_shape("ellipse", cx=30, cy=20, rx=20, ry=10, rotation=90)))
    y, x = np.mgrid[:48, :64] + 0.5
    truth = ((x - 30) / 10) ** 2 + ((y - 20) / 20) ** 2 <= 1  # turned by 90 degrees
    np.testing.assert_array_equal(read_mask(path, HW), truth)


def test_shapes_of_one_group_are_one_object_and_others_are_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "annotations.xml"
    left, right = "20,10;35,10;35,40;20,40", "35,10;50,10;50,40;35,40"
    parts = [cvat_shape("polygon", group_id=3, points=points) for points in (left, right)]
    dog = cvat_shape("box", "dog", xtl=2, ytl=2, xbr=12, ybr=7)
    path.write_text(cvat(*parts, dog))
    assert list(read_labels(path, HW)) == ["cat", "dog"]
    np.testing.assert_array_equal(read_mask(Mask(path, label="cat"), HW), CAT)
    with pytest.raises(MaskError, match=r"holds 2 labels: cat \(900 px\), dog \(50 px\)\. Say which .* --label cat"):
        read_mask(path, HW)


def region(kind: str, label: str = "cat", **value: Any) -> dict[str, Any]:
    """As Label Studio 1.x exports it; places are percent."""
    size = {"original_width": 64, "original_height": 48, "image_rotation": 0}
    names = {"id": "a1", "from_name": "tag", "to_name": "image", "origin": "manual"}
    return names | size | {"type": kind, "value": {kind: [label], **value}}


PERCENT = {"x": 20 / 0.64, "y": 10 / 0.48, "width": 30 / 0.64, "height": 30 / 0.48}
POINTS = [[x / 0.64, y / 0.48] for x, y in ((20, 10), (50, 10), (50, 40), (20, 40))]
REGIONS = {
    "brush": region("brushlabels", format="rle", rle=to_brush(CAT)),
    "polygon": region("polygonlabels", points=POINTS, closed=True),
    "rectangle": region("rectanglelabels", rotation=0, **PERCENT),
    # about its own corner: the one at the lower left, turned by 270 degrees, lies where the cat is
    "turned": region("rectanglelabels", rotation=270, **PERCENT | {"y": 40 / 0.48, "width": 30 / 0.64}),
}


def task(*regions: Any, image: str = "/data/upload/1/0f1e2d3c-rex.jpg", **more: Any) -> dict[str, Any]:
    return {"id": 1, "data": {"image": image, "note": 3}, "annotations": [{"result": list(regions)}], **more}


@pytest.mark.parametrize("name", REGIONS)
def test_a_region_of_label_studio(tmp_path: Path, name: str) -> None:
    path = tmp_path / "project.json"
    choice = {"id": "b", "type": "choices", "from_name": "choice", "value": {"choices": ["indoors"]}}
    path.write_text(json.dumps([task(REGIONS[name], choice), task(image="/data/upload/1/01234567-tom.jpg")]))
    np.testing.assert_array_equal(read_mask(path, HW, image_name="album/rex.jpg"), CAT)
    np.testing.assert_array_equal(read_mask(task(REGIONS[name]), HW), CAT)  # a task alone


def test_an_ellipse_of_label_studio(tmp_path: Path) -> None:
    found = read_mask(task(region("ellipselabels", x=50, y=50, radiusX=25, radiusY=12.5)), HW)
    y, x = np.mgrid[:48, :64] + 0.5
    np.testing.assert_array_equal(found, ((x - 32) / 16) ** 2 + ((y - 24) / 6) ** 2 <= 1)


@pytest.mark.parametrize(
    "image", ["/data/local-files/?d=album/rex%20one.jpg", "s3://bucket/rex one.jpg", "rex one.jpg"]
)
def test_a_task_is_known_by_the_name_of_its_photo(image: str) -> None:
    tasks = [task(image="tom.jpg"), task(REGIONS["brush"], image=image)]
    [found] = marked_in_json(tasks, HW, image_name="here/rex one.jpg").objects.values()
    np.testing.assert_array_equal(found, CAT)


def test_of_several_annotations_the_ground_truth_counts_and_a_cancelled_one_never() -> None:
    def annotation(kind: str, **more: Any) -> dict[str, Any]:
        return {"result": [REGIONS[kind]], **more}

    empty = {"result": [region("brushlabels", "dog", rle=to_brush(DOG))]}
    both = task() | {"annotations": [empty, annotation("brush", ground_truth=True)]}
    np.testing.assert_array_equal(read_mask(both, HW), CAT)
    cancelled = task() | {"annotations": [empty | {"was_cancelled": True}, annotation("polygon")]}
    np.testing.assert_array_equal(read_mask(cancelled, HW), CAT)
    predicted = task() | {"annotations": [], "predictions": [annotation("brush")]}
    np.testing.assert_array_equal(read_mask(predicted, HW), CAT)


# --- several objects of one label


def coco_of_two() -> dict[str, Any]:
    cat = [20, 10, 50, 10, 50, 40, 20, 40]
    dog = [2, 2, 12, 2, 12, 7, 2, 7]
    known = {"image_id": 1, "category_id": 17, "iscrowd": 0}
    return {
        "images": [{"id": 1, "file_name": "rex.jpg"}],
        "categories": [{"id": 17, "name": "pet"}],
        "annotations": [{"id": n, "segmentation": [one], **known} for n, one in enumerate((cat, dog), start=1)],
    }


def labelme_of_two() -> dict[str, Any]:
    places = ([[20, 10], [49, 10], [49, 39], [20, 39]], [[2, 2], [11, 2], [11, 6], [2, 6]])
    shapes = [
        {"label": "pet", "shape_type": "polygon", "points": points, "group_id": group}
        for group, points in enumerate(places, start=1)
    ]
    return {"version": "5.4.1", "imageHeight": 48, "imageWidth": 64, "shapes": shapes}


TWO_PETS: dict[str, Any] = {
    "COCO": coco_of_two(),
    "LabelMe": labelme_of_two(),
    "Label Studio": task(*(region("brushlabels", "pet", rle=to_brush(one)) for one in (CAT, DOG))),
}


@pytest.mark.parametrize("name", TWO_PETS)
def test_objects_of_one_label_are_told_apart_and_one_is_chosen(name: str) -> None:
    source = TWO_PETS[name]
    with pytest.raises(
        MaskError,
        match=r"holds 2 (labels|categories): pet#1 \(900 px\), pet#2 \(50 px\)\. Say which is the object: --label "
        r"pet#1 .*; or all of one kind together: --label pet\.",
    ):
        read_mask(source, HW)
    np.testing.assert_array_equal(read_mask(Mask(source, label="pet#2"), HW), DOG)
    np.testing.assert_array_equal(read_mask(Mask(source, label="pet"), HW), CAT | DOG)
    labels = read_labels(source, HW)
    assert list(labels) == ["pet#1", "pet#2"]
    np.testing.assert_array_equal(labels["pet#1"], CAT)


# --- damaged


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotations><image", "no XML"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><annotations/>", "declares a document type"),
        ("<svg/>", "export as 'CVAT for images 1.1'"),
        ("<annotations><track id='0'/></annotations>", "export as 'CVAT for images 1.1'"),
        ("<annotations/>", "it has no <image>"),
        (cvat(cvat_shape("tag")), "the mask is empty: no shape in it covers a pixel"),
        (cvat(cvat_shape("polygon", points="1,1;5,5")), "a polygon has 2 corners"),
        (cvat(cvat_shape("polygon", points="1;5,5")), "cannot be read"),
        (cvat(cvat_shape("polygon", points="1,1;1e9,5;5,5")), "far outside the photo of 64x48"),
        (cvat(cvat_shape("box", xtl=1, ytl=1, xbr=9)), "a <box> has no ybr"),
        (cvat(cvat_shape("ellipse", cx=9, cy=9, rx=0, ry=3)), "a radius of 0"),
        (cvat(cvat_shape("mask", left=60, top=0, width=9, height=1, rle="0,9")), "do not fit its box, or the box"),
        (cvat(cvat_shape("mask", left=0, top=0, width=9, height=1, rle="0,10")), "do not fit its box, or the box"),
        (cvat(CVAT["box"]).replace('width="64"', 'width="65"'), "was drawn on 65x48 but the photo is 64x48"),
        (cvat(CVAT["box"], more=OTHER_IMAGE), r"lists 2 photos, 0 of them called 'the photo'"),
    ],
)
def test_cvat_files_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(MaskError, match=message):
        read_mask(tmp_path / "a.xml", HW)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (task(), "the mask is empty: no shape in it covers a pixel"),
        (task(region("brushlabels", rle=to_brush(CAT)[:-3])), "the brush's rle breaks off"),
        (task(region("brushlabels", rle=to_brush(CAT[:-1]))), "and a picture of this size has 12288"),
        (task(region("brushlabels")), "no 'rle'"),
        (task(REGIONS["brush"] | {"original_width": 65}), "was drawn on 65x48 but the photo is 64x48"),
        (task(REGIONS["brush"] | {"image_rotation": 90}), "the photo is turned in Label Studio"),
        (task(region("polygonlabels", points=[[1, 1]])), "a polygon has 1 corners"),
        ([task(image="a.jpg"), task(image="b.jpg")], "the project lists 2 photos, 0 of them called"),
    ],
)
def test_label_studio_files_that_cannot_be_used(tmp_path: Path, value: Any, message: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps(value))
    with pytest.raises(MaskError, match=message):
        read_mask(tmp_path / "a.json", HW)
