"""Results as work for annotation tools, to be corrected there: LabelMe's files, and tasks for Label Studio."""

import base64
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageDraw

from persam.io import write
from persam.io.brush import to_brush
from persam.io.outlines import centre_polygons
from persam.io.results import ImageResult
from persam.io.segmentation import Segmentation
from persam.io.video_formats import image_file

Array = np.ndarray[Any, Any]
LABELME_VERSION = "5.4.1"  # whose files hold masks beside polygons


def labelme(results: Iterable[ImageResult], path: Path) -> None:
    """NAME.json for each image: polygons, and as a mask what polygons do not draw exactly. Groups number instances."""
    with write.as_output_error(path):
        path.mkdir(parents=True, exist_ok=True)
    for result in results:
        height, width = result.size_hw
        written: dict[str, Any] = {
            "version": LABELME_VERSION,
            "flags": {},
            "shapes": [shape for one in result for shape in _labelme_shapes(one)],
            "imagePath": _path_from(path, result),
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        write.write_bytes(json.dumps(written, indent=1).encode(), path / f"{result.name}.json")
        del result  # before the next one is computed, here and below: one in memory at a time


def _path_from(folder: Path, result: ImageResult) -> str:
    """Where LabelMe finds the image: seen from the folder of its files; beside them when it is from memory."""
    if result.source is None:
        return image_file(result)
    try:
        return Path(os.path.relpath(result.source.absolute(), folder.absolute())).as_posix()
    except ValueError:  # on another drive
        return str(result.source.absolute())


def _labelme_shapes(one: Segmentation) -> Iterator[dict[str, Any]]:
    sure = "" if one.presence is None else f", presence {one.presence:.2f}"
    known = {
        "label": one.concept,
        "group_id": one.instance,
        "description": f"score {one.score:.2f}{sure}",
        "flags": {},
    }
    polygons = [polygon + 0.5 for polygon in centre_polygons(one.mask)]  # pixel (0, 0) covers 0 to 1 both ways
    if np.array_equal(_drawn(polygons, one.mask.shape), one.mask):
        for polygon in polygons:
            yield known | {"shape_type": "polygon", "points": polygon.tolist(), "mask": None}
        return
    assert one.box_xyxy is not None  # what is present has pixels
    x0, y0, x1, y1 = one.box_xyxy
    piece = write.encode(Image.fromarray(one.mask[y0 : y1 + 1, x0 : x1 + 1]), "PNG")
    corners = [[float(x0), float(y0)], [float(x1), float(y1)]]
    yield known | {"shape_type": "mask", "points": corners, "mask": base64.b64encode(piece).decode()}


def _drawn(polygons: list[Array], size_hw: tuple[int, ...]) -> Bool[Array, "h w"]:
    """As LabelMe draws them."""
    plane = Image.new("1", (size_hw[1], size_hw[0]))
    draw = ImageDraw.Draw(plane)
    for polygon in polygons:
        draw.polygon([(x, y) for x, y in polygon.tolist()], outline=1, fill=1)
    return np.array(plane)


def label_studio(results: Iterable[ImageResult], path: Path) -> None:
    """tasks.json to import, with brush masks as predictions, and label_config.xml, the project's labelling interface.

    Images are addressed as files of Label Studio's local storage.
    """
    concepts: dict[str, None] = {}
    tasks = []
    for result in results:
        concepts |= dict.fromkeys(one.concept for one in result.segmentations)
        regions = [_region(one, number) for number, one in enumerate(result, start=1)]
        score = max((one.score for one in result), default=0.0)
        tasks.append(
            {
                "data": {"image": f"/data/local-files/?d={quote(image_file(result))}"},
                "predictions": [{"model_version": "persam", "score": float(score), "result": regions}],
            }
        )
        del result
    write.write_bytes(json.dumps(tasks).encode(), path / "tasks.json")
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name="image", value="$image")
    labels = ElementTree.SubElement(view, "BrushLabels", name="label", toName="image")
    for concept in concepts:
        ElementTree.SubElement(labels, "Label", value=concept)
    ElementTree.indent(view)
    write.write_bytes(ElementTree.tostring(view), path / "label_config.xml")


def _region(one: Segmentation, number: int) -> dict[str, Any]:
    height, width = one.mask.shape
    return {
        "id": f"persam-{number}",
        "type": "brushlabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "score": float(one.score),
        "value": {"format": "rle", "rle": to_brush(one.mask), "brushlabels": [one.concept]},
    }
