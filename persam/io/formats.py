"""Results as data sets that other tools read: a table of formats, one line and one function each.

Every format holds what is present and leaves out the rest, and images that could not be searched; Parquet has rows of
what is absent too. Images themselves are copied for YOLO alone: other data sets refer to them as NAME and the suffix of
their file, .png for those from memory.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from persam.errors import OutputError
from persam.io import write
from persam.io.annotation_formats import label_studio, labelme
from persam.io.image_files import orientation_of
from persam.io.mask_files import VOC_PALETTE, palette_png, yolo_lines
from persam.io.results import ImageResult
from persam.io.rows import parquet
from persam.io.video_formats import coco_video, image_file, mots

Array = np.ndarray[Any, Any]
YOLO_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")  # of images that are copied as they are
MOST_INDICES = 254  # of a palette PNG: 0 is background, and 255 is undecided in VOC and DAVIS


@dataclass(frozen=True)
class Format:
    """A way to write a data set.

    write: takes the results one at a time, and the path of the file or folder.
    of_video: the results are the frames of one video in their order, with track ids; otherwise any images.
    """

    write: Callable[[Iterable[ImageResult], Path], None]
    about: str
    of_video: bool = False


def export(results: ImageResult | Iterable[ImageResult], path: str | Path, *, format: str) -> Path:
    """The path of the data set that now holds what is present in the results.

    Args:
        results: one, or many that are drawn from one at a time and not kept, such as those of `PerSAM.segment`. For
            `mots` and `coco_video` they are the frames of one video in their order, such as those of `persam.track`.
        path: a file for `coco`, `coco_polygons`, `parquet`, `mots` and `coco_video`, a folder for every other format;
            it is made when it is not there yet.
        format: a name of FORMATS.

    Raises:
        PerSAMError: `parquet` without PyArrow.
        OutputError: an unknown format, two images of one name, more objects than the format holds, results that are
            not one video for a format of videos, or a place that cannot be written.
    """
    if format not in FORMATS:
        raise OutputError(f"there is no data set format {format!r}: choose one of {', '.join(FORMATS)}.")
    path = Path(path).expanduser()
    FORMATS[format].write(_of_different_names([results] if isinstance(results, ImageResult) else results), path)
    return path


def _of_different_names(results: Iterable[ImageResult]) -> Iterator[ImageResult]:
    names: set[str] = set()
    for result in results:
        if result.name.casefold() in names:  # some file systems do not tell cases apart
            raise OutputError(
                f"two images are called {result.name!r}, and the files of one would replace those of the other. "
                f"Segment them as one album, or export each album to a place of its own."
            )
        names.add(result.name.casefold())
        if result.error is None:
            yield result
        del result  # before the next one is computed, here and below: one in memory at a time


def _coco(results: Iterable[ImageResult], path: Path, *, polygons: bool = False) -> None:
    categories: dict[str, int] = {}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for result in results:
        _number(categories, _concepts(result), first=1)
        height, width = result.size_hw
        images.append({"id": len(images) + 1, "file_name": image_file(result), "width": width, "height": height})
        annotations += [
            one.to_coco(
                image_id=len(images),
                category_id=categories[one.concept],
                annotation_id=annotation_id,
                polygons=polygons,
            )
            for annotation_id, one in enumerate(result, start=len(annotations) + 1)
        ]
        del result
    written = {
        "info": {"description": "written by persam"},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": concept} for concept, number in categories.items()],
    }
    write.write_bytes(json.dumps(written).encode(), path)


def _yolo(results: Iterable[ImageResult], path: Path) -> None:
    """A trainer finds the images in images/, and the labels of each in labels/ beside it."""
    classes: dict[str, int] = {}
    images = []
    for result in results:
        _number(classes, _concepts(result), first=0)
        lines = "".join(yolo_lines(one.mask, classes[one.concept]) for one in result)
        write.write_bytes(lines.encode(), path / "labels" / f"{result.name}.txt")
        suffix, data = _picture(result)
        write.write_bytes(data, path / "images" / f"{result.name}{suffix}")
        images.append(f"./images/{result.name}{suffix}\n")
        del result
    write.write_bytes("".join(images).encode(), path / "images.txt")
    # A JSON string is a YAML string, whatever the concept is called.
    names = "".join(f"\n  {number}: {json.dumps(name, ensure_ascii=False)}" for name, number in classes.items())
    write.write_bytes(f"train: images.txt\nval: images.txt\nnames:{names or ' {}'}\n".encode(), path / "data.yaml")


def _picture(result: ImageResult) -> tuple[str, bytes]:
    """Suffix and bytes of the image as a trainer reads it: its own file where that lies upright, else a PNG."""
    source = result.source
    copied = source is not None and source.suffix.lower() in YOLO_SUFFIXES and source.is_file()
    if source is not None and copied and orientation_of(source) == 1:
        return source.suffix, source.read_bytes()
    return ".png", write.encode(Image.fromarray(result.read()), "PNG")


def _voc(results: Iterable[ImageResult], path: Path) -> None:
    classes: dict[str, int] = {}
    for result in results:
        _number(classes, _concepts(result), first=1)
        by_class = _indices(result, [classes[one.concept] for one in result])
        by_object = _indices(result, range(1, len(result) + 1))
        write.write_bytes(palette_png(by_class), path / "SegmentationClass" / f"{result.name}.png")
        write.write_bytes(palette_png(by_object), path / "SegmentationObject" / f"{result.name}.png")
        write.write_bytes(_voc_annotation(result), path / "Annotations" / f"{result.name}.xml")
        del result
    rows = [("background", 0), *classes.items()]
    lines = [f"{name}:{','.join(map(str, VOC_PALETTE[number]))}::\n" for name, number in rows]
    write.write_bytes(("# label:color_rgb:parts:actions\n" + "".join(lines)).encode(), path / "labelmap.txt")


def _voc_annotation(result: ImageResult) -> bytes:
    """Boxes are of whole masks; VOC counts pixels from 1, and the last one is inside."""
    height, width = result.size_hw
    root = ElementTree.Element("annotation")
    _add(root, filename=image_file(result))
    _add(ElementTree.SubElement(root, "size"), width=width, height=height, depth=3)
    _add(root, segmented=1)
    for one in result:
        assert one.box_xyxy is not None  # what is present has pixels
        x0, y0, x1, y1 = one.box_xyxy
        element = ElementTree.SubElement(root, "object")
        _add(element, name=one.concept, pose="Unspecified", truncated=0, difficult=0)
        _add(ElementTree.SubElement(element, "bndbox"), xmin=x0 + 1, ymin=y0 + 1, xmax=x1 + 1, ymax=y1 + 1)
    ElementTree.indent(root)
    return ElementTree.tostring(root)


def _add(element: ElementTree.Element, **texts: str | int) -> None:
    for tag, text in texts.items():
        ElementTree.SubElement(element, tag).text = str(text)


def _palette(results: Iterable[ImageResult], path: Path) -> None:
    """The same index is the same object in every image, as in DAVIS; objects.txt says which one."""
    objects: dict[tuple[str, int], int] = {}
    for result in results:
        _number(objects, [(one.concept, one.instance) for one in result.segmentations], first=1)
        indices = _indices(result, [objects[one.concept, one.instance] for one in result])
        write.write_bytes(palette_png(indices), path / f"{result.name}.png")
        del result
    lines = [f"{number}\t{concept}\t{instance}\n" for (concept, instance), number in objects.items()]
    write.write_bytes("".join(["index\tconcept\tinstance\n", *lines]).encode(), path / "objects.txt")


def _concepts(result: ImageResult) -> list[str]:
    """The concept of every segmentation: one that is never present has a number too."""
    return [one.concept for one in result.segmentations]


def _number(numbers: dict[Any, int], keys: Iterable[Any], *, first: int) -> None:
    """Gives new keys the next numbers, so that those of earlier images stay."""
    for key in keys:
        numbers.setdefault(key, len(numbers) + first)


def _indices(result: ImageResult, numbers: Sequence[int]) -> UInt8[Array, "h w"]:
    """One number for each object that is present; a pixel of several belongs to the first."""
    if max(numbers, default=0) > MOST_INDICES:
        raise OutputError(
            f"{result.name!r} needs the index {max(numbers)}, and a palette PNG ends at {MOST_INDICES}. "
            f"Export as coco, or search fewer concepts or instances."
        )
    indices = np.zeros(result.size_hw, np.uint8)
    for one, number in zip(result, numbers, strict=True):
        indices[one.mask & (indices == 0)] = number
    return indices


FORMATS = {
    "coco": Format(_coco, "one COCO JSON file: images, categories by concept, annotations with RLE, box and score"),
    "coco_polygons": Format(partial(_coco, polygons=True), "the same with polygons, which hold the mask exactly"),
    "yolo": Format(_yolo, "a folder for a YOLO trainer: images/, labels/NAME.txt and data.yaml; holes are filled"),
    "voc": Format(_voc, "a folder as PASCAL VOC: palette PNGs of classes and of objects, XML with boxes, labelmap.txt"),
    "palette": Format(_palette, "a folder of palette PNGs as DAVIS: index = number of the object, see objects.txt"),
    "labelme": Format(labelme, "a folder of NAME.json for LabelMe: polygons, or masks where those are not exact"),
    "label_studio": Format(label_studio, "a folder to import: tasks.json with brush masks, and label_config.xml"),
    "parquet": Format(parquet, "one Parquet file: a row an object, with RLE, box, score and presence; absent ones too"),
    "mots": Format(mots, "one text file as KITTI MOTS: a line an object and frame, with RLE", of_video=True),
    "coco_video": Format(coco_video, "one JSON file as YouTube-VIS: an object's RLE in every frame", of_video=True),
}
