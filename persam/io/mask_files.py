"""One mask as a file that other tools read: a table of formats, one line and one function each."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from persam.errors import OutputError
from persam.geometry import box_of
from persam.io import rle, write
from persam.io.outlines import edge_polygons

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class MaskFormat:
    """A way to write a mask. encode: the bytes of the file, from the mask and its score, which may be unknown."""

    suffix: str
    encode: Callable[[Bool[Array, "h w"], float | None], bytes]
    about: str


def write_mask(
    mask: Bool[Array, "h w"], path: str | Path, *, format: str | None = None, score: float | None = None
) -> Path:
    """The path of the file that now holds the mask.

    Args:
        mask: what to write; it may be empty.
        path: its folder is made when it is not there yet.
        format: a name of FORMATS; when not given, the first whose suffix the path has.
        score: how good the mask is, for the formats that tell.

    Raises:
        OutputError: an unknown format or suffix, or a place that cannot be written.
    """
    path = Path(path).expanduser()
    return write.write_bytes(_format_for(path, format).encode(mask, score), path)


def to_coco(
    mask: Bool[Array, "h w"],
    *,
    image_id: int = 0,
    category_id: int = 1,
    annotation_id: int | None = None,
    score: float | None = None,
    polygons: bool = False,
) -> dict[str, Any]:
    """A COCO annotation, ready for JSON: compressed RLE, `bbox` as x, y, width, height, `area` in pixels.

    With `polygons`, those instead of RLE: COCO draws the mask of them, holes included. An empty mask has the box
    0, 0, 0, 0. `id` and `score` are left out when they are not given.
    """
    x0, y0, x1, y1 = box_of(mask) or (0, 0, -1, -1)
    annotation: dict[str, Any] = {} if annotation_id is None else {"id": annotation_id}
    annotation |= {
        "image_id": image_id,
        "category_id": category_id,
        "segmentation": _polygons(mask) if polygons else _compressed(mask),
        "bbox": [x0, y0, x1 - x0 + 1, y1 - y0 + 1],
        "area": int(mask.sum()),
        "iscrowd": 0,
    }
    return annotation if score is None else annotation | {"score": float(score)}


def _polygons(mask: Bool[Array, "h w"]) -> list[list[float]]:
    return [one.ravel().astype(float).tolist() for one in edge_polygons(mask)]


def _compressed(mask: Bool[Array, "h w"]) -> dict[str, Any]:
    return {"size": list(mask.shape), "counts": rle.compress(rle.run_lengths(mask))}


def yolo_lines(mask: Bool[Array, "h w"], class_number: int) -> str:
    """YOLO's segmentation labels: a line for each connected component, with the class and the component's outline.

    The outline runs through pixel centres, in shares of width and height. A polygon has no holes: they are filled.
    Nothing for an empty mask.
    """
    import cv2

    height, width = mask.shape
    components, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    lines = []
    for component in components:
        corners = component[:, 0]
        if len(corners) < 3:  # a single pixel or a straight line, and readers ask for three corners
            corners = corners[[0, -1, -1]]
        shares = (corners + 0.5) / (width, height)
        lines.append(f"{class_number} " + " ".join(f"{share:.6f}" for share in shares.ravel()) + "\n")
    return "".join(lines)


def _voc_colour(index: int) -> tuple[int, int, int]:
    """The bits of an index, from the lowest up, go to red, green and blue by turns, each from its highest bit down."""
    red, green, blue = (
        sum(((index >> (3 * place + channel)) & 1) << (7 - place) for place in range(3)) for channel in range(3)
    )
    return red, green, blue


VOC_PALETTE = tuple(_voc_colour(index) for index in range(256))
"""The colour of each index in the files of PASCAL VOC, and in those of DAVIS and PerSeg after it."""


def palette_png(indices: UInt8[Array, "h w"]) -> bytes:
    """A PNG of palette indices, shown in VOC's colours."""
    image = Image.fromarray(indices)
    image.putpalette([level for colour in VOC_PALETTE for level in colour])
    return write.encode(image, "PNG")


def _png(mask: Bool[Array, "h w"], score: float | None) -> bytes:
    return write.encode(Image.fromarray(mask.astype(np.uint8) * np.uint8(255)), "PNG")


def _palette(mask: Bool[Array, "h w"], score: float | None) -> bytes:
    return palette_png(mask.astype(np.uint8))


def _npz(mask: Bool[Array, "h w"], score: float | None) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, mask=mask, score=np.float64(np.nan if score is None else score))
    return file.getvalue()


def _coco(mask: Bool[Array, "h w"], score: float | None) -> bytes:
    return json.dumps(to_coco(mask, score=score)).encode()


def _coco_counts(mask: Bool[Array, "h w"], score: float | None) -> bytes:
    segmentation = {"size": list(mask.shape), "counts": rle.run_lengths(mask)}
    return json.dumps(to_coco(mask, score=score) | {"segmentation": segmentation}).encode()


def _yolo(mask: Bool[Array, "h w"], score: float | None) -> bytes:
    return yolo_lines(mask, 0).encode()


def _format_for(path: Path, name: str | None) -> MaskFormat:
    if name is not None:
        if name not in FORMATS:
            raise OutputError(f"there is no format {name!r}: choose one of {', '.join(FORMATS)}.")
        return FORMATS[name]
    for form in FORMATS.values():
        if form.suffix == path.suffix.lower():
            return form
    known = ", ".join(dict.fromkeys(form.suffix for form in FORMATS.values()))
    raise OutputError(f"cannot tell from {path} how to write a mask: choose one of {known}.")


FORMATS = {
    "png": MaskFormat(".png", _png, "255 inside the object, 0 outside, one channel"),
    "palette": MaskFormat(".png", _palette, "index 1 inside the object, shown as dark red, as in PerSeg and DAVIS"),
    "npz": MaskFormat(".npz", _npz, "NumPy: `mask`, bool, and `score`"),
    "coco": MaskFormat(".json", _coco, "a COCO annotation with compressed RLE"),
    "coco_counts": MaskFormat(".json", _coco_counts, "a COCO annotation with RLE as a list of numbers"),
    "yolo": MaskFormat(".txt", _yolo, "YOLO segmentation labels of class 0, a line a component; holes are filled"),
}
