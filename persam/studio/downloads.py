"""An album's results as files to take home: masks, cut-outs, and the data sets of `io.formats`, as a ZIP or a file."""

import json
import os
import shutil
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from persam.errors import PerSAMError
from persam.io import draw
from persam.io.formats import export
from persam.io.mask_files import write_mask
from persam.io.names import file_part
from persam.io.results import ImageResult, Segmentation
from persam.io.write import as_output_error, write_bytes, write_picture
from persam.studio.album import Album

STORED = {".png", ".jpg", ".mp4", ".webm"}  # compressed already


def masks(album: Album, folder: Path) -> Path:
    """masks.zip: a PNG for everything that is present, and results.jsonl with a line a photo."""
    with _zipped(folder / "masks.zip") as place:
        lines = []
        for result in album.results():
            files = {id(one): f"masks/{_name(result, one)}.png" for one in result}
            for one in result:
                write_mask(one.mask, place / files[id(one)])
            objects = [one.to_record() | {"mask": files.get(id(one))} for one in result.segmentations]
            lines.append(json.dumps({"image": _file(result), "present": result.present, "objects": objects}) + "\n")
        write_bytes("".join(lines).encode(), place / "results.jsonl")
    return folder / "masks.zip"


def cutouts(album: Album, folder: Path) -> Path:
    """cutouts.zip: everything that is present alone, as transparent PNGs.

    Raises:
        PerSAMError: nothing is present in any photo.
    """
    with _zipped(folder / "cutouts.zip") as place:
        count = 0
        for result in album.results():
            rgb = result.read()
            for one in result:
                write_picture(draw.cutout(rgb, one.mask), place / f"{_name(result, one)}.png")
                count += 1
        if not count:
            raise PerSAMError("there is nothing to cut out: no photo of the album has the object.")
    return folder / "cutouts.zip"


def coco(album: Album, folder: Path) -> Path:
    """coco.json, as `io.formats` writes it."""
    return export(album.results(), folder / "coco.json", format="coco")


def yolo(album: Album, folder: Path) -> Path:
    """yolo.zip, as `io.formats` writes it: the photos go beside the labels, into images/."""
    with _zipped(folder / "yolo.zip") as place:
        export(album.results(), place, format="yolo")
    return folder / "yolo.zip"


DOWNLOADS: dict[str, Callable[[Album, Path], Path]] = {
    "Masks (ZIP)": masks,
    "Cut-outs (ZIP)": cutouts,
    "COCO (JSON)": coco,
    "YOLO (ZIP)": yolo,
}


def zip_of(folder: Path, path: Path) -> Path:
    """The ZIP that now holds the folder's files; it appears whole or not at all."""
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    with as_output_error(path):
        try:
            with zipfile.ZipFile(part, "w") as file:
                for inside in sorted(one for one in folder.rglob("*") if one.is_file()):
                    kind = zipfile.ZIP_STORED if inside.suffix in STORED else zipfile.ZIP_DEFLATED
                    file.write(inside, inside.relative_to(folder).as_posix(), kind)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    return path


@contextmanager
def _zipped(path: Path) -> Iterator[Path]:
    """A folder whose files become the ZIP when the block is left, and which then is gone."""
    place = path.with_name(f"{path.stem}-{uuid.uuid4().hex}")
    place.mkdir(parents=True)
    try:
        yield place
        zip_of(place, path)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _name(result: ImageResult, one: Segmentation) -> str:
    return f"{result.name}_{file_part(one.concept)}_{one.instance}"


def _file(result: ImageResult) -> str:
    return result.name if result.source is None else result.source.name
