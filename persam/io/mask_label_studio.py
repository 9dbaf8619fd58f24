"""Masks that were drawn in Label Studio: its JSON, of one task or of a project."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from re import fullmatch
from typing import Any
from urllib.parse import unquote

import numpy as np
from jaxtyping import Bool

from persam.errors import DataError
from persam.io import shapes
from persam.io.brush import from_brush
from persam.io.shapes import Piece

Array = np.ndarray[Any, Any]
KINDS = ("brushlabels", "polygonlabels", "rectanglelabels", "ellipselabels")
UNLABELLED = ("brush", "polygon", "rectangle", "ellipse")
UPLOADED = r"[0-9a-f]{8}-(.+)"  # what Label Studio makes of the name of a file that is uploaded to it


def is_label_studio(value: Any) -> bool:
    """Whether JSON is Label Studio's rather than another tool's."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return bool(value) and is_label_studio(value[0])
    return isinstance(value, Mapping) and "data" in value and ("annotations" in value or "predictions" in value)


def pieces_in(value: Any, image_hw: tuple[int, int], *, image_name: str) -> list[Piece]:
    """What was drawn on the photo: brush, polygons, rectangles and ellipses; each region is an object.

    Of several annotations of the photo, the one that is marked as ground truth, else the first that was not cancelled;
    without one, the first prediction.

    Raises:
        DataError: a region is damaged.
        MaskError: the photo is not in it, or has another size.
    """
    tasks = [value] if isinstance(value, Mapping) else list(value)
    names = [_photo_of(task, image_name) for task in tasks]
    task = tasks[shapes.place_of(names, image_name, holder="project")]
    return list(_pieces(_regions(task), image_hw))


def _photo_of(task: Mapping[str, Any], image_name: str) -> str:
    """The file of the task's photo, without the address and without what Label Studio puts before an upload."""
    names = [unquote(text).replace("?d=", "/").rsplit("/", 1)[-1] for text in task["data"].values() if _is_text(text)]
    uploads = [match[1] for name in names if (match := fullmatch(UPLOADED, name))]
    asked = PurePath(image_name).name
    return next((name for name in (*names, *uploads) if name == asked), names[0] if names else "")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _regions(task: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    annotations = [one for one in task.get("annotations") or () if not one.get("was_cancelled")]
    annotations.sort(key=lambda one: not one.get("ground_truth"))
    found = next(iter([*annotations, *(task.get("predictions") or ())]), None)
    return () if found is None else found["result"]


def _pieces(regions: Sequence[Mapping[str, Any]], image_hw: tuple[int, int]) -> Iterator[Piece]:
    for number, region in enumerate(regions):
        kind = region.get("type")
        if kind not in KINDS and kind not in UNLABELLED:
            continue
        if region.get("image_rotation"):
            raise DataError("the photo is turned in Label Studio: turn it back, or its file")
        value = region["value"]
        shapes.check_size((region.get("original_height"), region.get("original_width")), image_hw)
        labels = value.get(kind) or ["object"]
        yield Piece(", ".join(map(str, labels)), _draw(str(kind), value, image_hw), f"region {number}")


def _draw(kind: str, value: Mapping[str, Any], image_hw: tuple[int, int]) -> Bool[Array, "h w"]:
    """Places are percent of width and height; a rectangle turns about its corner."""
    if kind.startswith("brush"):
        return from_brush(value["rle"], image_hw)
    scale = np.array([image_hw[1], image_hw[0]]) / 100
    if kind.startswith("polygon"):
        return shapes.polygon(np.array(value["points"], float).reshape(-1, 2) * scale, image_hw)
    x, y = (float(value[name]) * of for name, of in zip("xy", scale, strict=True))
    turn = float(value.get("rotation") or 0)
    if kind.startswith("rectangle"):
        wide, high = (float(value[name]) * of for name, of in zip(("width", "height"), scale, strict=True))
        corners = np.array([(x, y), (x + wide, y), (x + wide, y + high), (x, y + high)])
        return shapes.polygon(shapes.turned(corners, turn, about_xy=(x, y)), image_hw)
    if kind.startswith("ellipse"):
        radii = tuple(float(value[name]) * of for name, of in zip(("radiusX", "radiusY"), scale, strict=True))
        return shapes.ellipse((x, y), (radii[0], radii[1]), image_hw, turn=turn)
    raise DataError(f"a region of kind {kind}")
