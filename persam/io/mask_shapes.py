"""Masks that are written down as outlines or run lengths: LabelMe, COCO, Label Studio, CVAT and YOLO."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageDraw

from persam.errors import DataError, MaskError
from persam.io import mask_cvat, mask_label_studio, rle, shapes
from persam.io.mask_labels import Label, Marked
from persam.io.shapes import Piece

Array = np.ndarray[Any, Any]
ADVICE = (
    "Give a LabelMe file, a COCO annotation or data set, run lengths, Label Studio's JSON, CVAT's XML for images, or "
    "YOLO's lines of class x y x y x y ..."
)


def marked_in_text(text: str, image_hw: tuple[int, int], *, image_name: str, suffix: str) -> Marked:
    """The objects of a file of JSON, of CVAT's XML, or of YOLO's lines.

    Raises:
        MaskError: it is none of these, is damaged, or belongs to a photo of another size.
    """
    if suffix == ".txt":
        with _said("YOLO labels"):
            return _joined(_yolo(text, image_hw), "classes")
    if suffix == ".xml":
        with _said("XML"):
            return _joined(mask_cvat.pieces_in(text, image_hw, image_name=image_name), "labels")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MaskError(f"the mask is no JSON ({_short(error)}). {ADVICE}") from error
    return marked_in_json(value, image_hw, image_name=image_name)


def marked_in_json(value: Any, image_hw: tuple[int, int], *, image_name: str) -> Marked:
    """The same for what JSON holds, as Python has it."""
    with _said("JSON"):
        if isinstance(value, Mapping) and "shapes" in value:
            return _joined(_labelme(value, image_hw), "labels")
        if mask_label_studio.is_label_studio(value):
            return _joined(mask_label_studio.pieces_in(value, image_hw, image_name=image_name), "labels")
        return _joined(_coco(value, image_hw, image_name), "categories")


class _said:  # used as a statement
    """Whatever damaged text makes fail, as a MaskError."""

    def __init__(self, what: str):
        self.what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, MaskError):
            return
        if isinstance(error, Exception):
            raise MaskError(f"the mask's {self.what} cannot be read ({_short(error)}). {ADVICE}") from error


def _joined(pieces: Sequence[Piece], kind: str) -> Marked:
    """Shapes of one object as one mask. Several objects of a label are called label#1, label#2 and so on.

    The label alone is all of them, and no object.
    """
    found: dict[Label, dict[str | None, Bool[Array, "h w"]]] = {}
    for piece in pieces:
        if piece.mask.any():
            of_label = found.setdefault(piece.label, {})
            of_label[piece.of] = of_label[piece.of] | piece.mask if piece.of in of_label else piece.mask
    if not found:
        raise MaskError("the mask is empty: no shape in it covers a pixel of the photo. Draw the object.")
    several = {label: list(masks.values()) for label, masks in found.items() if len(masks) > 1}
    objects: dict[Label, Bool[Array, "h w"]] = {}
    for label, masks in found.items():
        numbered = enumerate(masks.values(), start=1)
        objects |= {f"{label}#{number}" if label in several else label: mask for number, mask in numbered}
    wholes: dict[Label, Bool[Array, "h w"]] = {label: np.any(masks, axis=0) for label, masks in several.items()}
    hint = f"or all of one kind together: --label {next(iter(wholes))}" if wholes else ""
    return Marked(objects, kind, wholes=wholes, hint=hint)


# --- COCO


def _coco(value: Any, image_hw: tuple[int, int], image_name: str) -> list[Piece]:
    """An annotation is an object."""
    names: dict[Any, str] = {}
    if isinstance(value, Mapping) and "annotations" in value:
        names = {one.get("id"): str(one["name"]) for one in value.get("categories", ()) if "name" in one}
        number = _image_of(value, image_name)
        annotations = [one for one in value["annotations"] if number is None or one.get("image_id") == number]
    elif isinstance(value, Mapping):
        annotations = [value if "segmentation" in value else {"segmentation": value}]
    elif isinstance(value, Sequence) and value and all(isinstance(one, Mapping) for one in value):
        annotations = [one if "segmentation" in one else {"segmentation": one} for one in value]
    else:  # bare polygons
        annotations = [{"segmentation": value}]
    pieces = []
    for place, one in enumerate(annotations):
        number = one.get("category_id", 1)
        mask = _segmentation(one["segmentation"], image_hw)
        pieces.append(Piece(names.get(number, number), mask, f"annotation {place}"))
    return pieces


def _image_of(value: Mapping[str, Any], image_name: str) -> Any:
    """The id of the data set's only photo, or of the one with the photo's name; None where none is listed."""
    images = value.get("images") or []
    if not images:
        return None
    return images[shapes.place_of([str(one.get("file_name")) for one in images], image_name)].get("id")


def _segmentation(value: Any, image_hw: tuple[int, int]) -> Bool[Array, "h w"]:
    if isinstance(value, Sequence) and value and all(isinstance(one, int | float) for one in value):
        value = [value]
    parts = rle.segments(value)
    for part in parts:
        if isinstance(part, rle.Rle):
            shapes.check_size(part.size_hw, image_hw)
            if min(part.counts, default=-1) < 0:
                raise DataError("a run has a negative length")
        else:
            if len(part.xy) % 2 or len(part.xy) < 6:
                raise DataError(f"a polygon has {len(part.xy)} numbers, and needs x and y of three corners or more")
            shapes.check_places(np.array(part.xy).reshape(-1, 2), image_hw)
    return rle.draw(parts, image_hw)


# --- LabelMe


def _labelme(value: Mapping[str, Any], image_hw: tuple[int, int]) -> list[Piece]:
    """Shapes of a label and group are an object; those of a label without a group together too."""
    shapes.check_size((value.get("imageHeight"), value.get("imageWidth")), image_hw)
    groups = [shape.get("group_id") for shape in value["shapes"]]
    return [
        Piece(str(shape["label"]), _shape(shape, image_hw), None if group is None else str(group))
        for shape, group in zip(value["shapes"], groups, strict=True)
    ]


def _shape(shape: Mapping[str, Any], image_hw: tuple[int, int]) -> Bool[Array, "h w"]:
    """As LabelMe itself draws it: the outline belongs to the shape."""
    places = np.array(shape["points"], float).reshape(-1, 2)
    shapes.check_places(places, image_hw)
    kind = shape.get("shape_type") or "polygon"
    plane = Image.new("1", (image_hw[1], image_hw[0]))
    draw, xy = ImageDraw.Draw(plane), [(float(x), float(y)) for x, y in places]
    if kind in ("polygon", "oriented_rectangle") and len(xy) >= 3:
        draw.polygon(xy, outline=1, fill=1)
    elif kind == "rectangle" and len(xy) == 2:
        (left, top), (right, bottom) = places.min(axis=0), places.max(axis=0)
        draw.rectangle((left, top, right, bottom), outline=1, fill=1)
    elif kind == "circle" and len(xy) == 2:
        radius = float(np.hypot(*(places[1] - places[0])))
        (x, y) = xy[0]
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=1, fill=1)
    elif kind == "mask" and len(xy) == 2:
        with Image.open(io.BytesIO(base64.b64decode(shape["mask"]))) as piece:
            plane.paste(piece.convert("L").point(lambda level: 255 * (level > 0)).convert("1"), _corner(xy[0]))
    else:
        raise DataError(f"a {kind} with {len(xy)} points is no area")
    return np.array(plane)


def _corner(xy: tuple[float, float]) -> tuple[int, int]:
    return int(xy[0]), int(xy[1])


# --- YOLO


def _yolo(text: str, image_hw: tuple[int, int]) -> list[Piece]:
    """Outlines in shares of width and height, cut to whole pixels as YOLO's own reader does."""
    import cv2

    pieces = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        label, shares = int(words[0]), np.array([float(word) for word in words[1:]])
        if len(shares) == 4:
            raise MaskError(f"line {number} of the mask is a box, without an outline. Pass the box: box:x0,y0,x1,y1.")
        if len(shares) < 6 or len(shares) % 2 or not (np.abs(shares - 0.5) <= 0.5 + 1e-3).all():
            raise DataError(f"line {number} should be a class and x y of three corners or more, each from 0 to 1")
        plane = np.zeros(image_hw, np.uint8)
        corners = shares.reshape(-1, 2) * image_hw[::-1]
        cv2.fillPoly(plane, [corners.astype(np.int32)], (1,))
        pieces.append(Piece(label, plane > 0))
    return pieces


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    text = f"no {text}" if isinstance(error, KeyError) else text
    return text if len(text) <= 120 else text[:117] + "..."
