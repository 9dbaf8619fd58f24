"""References that annotation tools wrote, given to `persam segment` as they are."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from persam.io.brush import to_brush
from tests.cli.typed import Shell, boxes, saved_mask
from tests.colour import mask, photo

CORNERS = [[10, 20], [30, 20], [30, 40], [10, 40]]  # of the red thing, along the edges of its pixels
OTHER = [[50, 2], [60, 2], [60, 9], [50, 9]]


def coco(*polygons: list[list[int]]) -> str:
    known: dict[str, Any] = {"image_id": 7, "category_id": 1, "iscrowd": 0}
    annotations = [
        {"id": number, "segmentation": [np.ravel(polygon).tolist()], **known}
        for number, polygon in enumerate(polygons, start=1)
    ]
    images = [{"id": 7, "file_name": "ref.png", "width": 64, "height": 64}, {"id": 8, "file_name": "other.png"}]
    categories = [{"id": 1, "name": "thing"}]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories})


def labelme() -> str:
    points = [[10.5, 20.5], [29.5, 20.5], [29.5, 39.5], [10.5, 39.5]]  # through the centres of its outermost pixels
    shape = {"label": "thing", "points": points, "group_id": None, "shape_type": "polygon", "flags": {}}
    return json.dumps({"version": "5.4.1", "imageHeight": 64, "imageWidth": 64, "shapes": [shape]})


def cvat() -> str:
    points = ";".join(f"{x},{y}" for x, y in CORNERS)
    polygon = f'<polygon label="thing" points="{points}" />'
    return f'<annotations><image id="0" name="ref.png" width="64" height="64">{polygon}</image></annotations>'


def label_studio() -> str:
    value = {"format": "rle", "rle": to_brush(mask()), "brushlabels": ["thing"]}
    region = {"type": "brushlabels", "original_width": 64, "original_height": 64, "value": value}
    return json.dumps([{"data": {"image": "/data/upload/1/0a1b2c3d-ref.png"}, "annotations": [{"result": [region]}]}])


FILES = {
    "coco.json": lambda: coco(CORNERS),
    "labelme.json": labelme,
    "cvat.xml": cvat,
    "label_studio.json": label_studio,
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_an_annotation_tool_is_the_reference(persam: Shell, here: Path, colours: Any, name: str) -> None:
    Path(name).write_text(FILES[name]())
    code, told, said = persam(f"segment ref.png {name} album -o found")
    assert (code, boxes(told)) == (0, [[40, 5, 55, 30], [4, 8, 15, 16]]), said
    assert saved_mask("found/masks/left.png").sum() == 16 * 26


def test_a_transparent_png_is_the_reference(persam: Shell, here: Path, colours: Any) -> None:
    """A cut-out of the photo's own size: what is opaque is the object."""
    Image.fromarray(np.dstack([photo(), mask() * np.uint8(255)])).save("cut.png")
    code, told, _ = persam("segment ref.png cut.png album -o found")
    assert (code, boxes(told)) == (0, [[40, 5, 55, 30], [4, 8, 15, 16]])


def test_of_two_objects_in_a_file_one_is_chosen_or_each_is_taken(persam: Shell, here: Path, colours: Any) -> None:
    Path("two.json").write_text(coco(CORNERS, OTHER))
    assert "Say which is the object: --label thing#1" in persam.refused("segment ref.png two.json album -o found")
    code, told, _ = persam("segment ref.png two.json album -o one --label thing#1")
    assert (code, boxes(told)) == (0, [[40, 5, 55, 30], [4, 8, 15, 16]])
    code, told, _ = persam("segment ref.png two.json album -o both --each")
    assert code == 0
    assert [one["concept"] for one in json.loads(told.splitlines()[0])["objects"]] == ["thing#1", "thing#2"]
