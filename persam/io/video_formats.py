"""A video as one file that other tools read: KITTI MOTS text and YouTube-VIS JSON, from its frames in their order."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from persam.errors import OutputError
from persam.io import rle, write
from persam.io.results import ImageResult

MOTS_CLASS = 1000  # an object's id in MOTS: its class times this, and its number
MOTS_IGNORED = 10  # the class of regions that readers of MOTS leave out of what they count


def mots(results: Iterable[ImageResult], path: Path) -> None:
    """A line for each object of each frame: frame, from 0 as in KITTI MOTS, id, class, height, width and RLE.

    A pixel of several objects is the first one's, since readers refuse masks that overlap.
    """
    concepts: dict[int, str] = {}
    frames: list[list[tuple[int, str]]] = []
    for result in _of_one_video(results, concepts):  # enumerate would hold each frame while the next one is computed
        if max(concepts, default=0) >= MOTS_CLASS:
            raise OutputError(
                f"{result.name!r} has a track {max(concepts)}, and the numbers of MOTS end at {MOTS_CLASS - 1}. "
                f"Export as coco_video."
            )
        height, width = result.size_hw
        frames.append([(track_id, f"{height} {width} {counts}") for track_id, counts in _apart(result)])
        del result  # here and below: one in memory at a time
    numbers = _numbers(concepts)
    lines = []
    for frame, found in enumerate(frames):
        for track_id, mask in found:
            number = numbers[concepts[track_id]]
            number += number >= MOTS_IGNORED
            lines.append(f"{frame} {number * MOTS_CLASS + track_id} {number} {mask}\n")
    write.write_bytes("".join(lines).encode(), path)


def coco_video(results: Iterable[ImageResult], path: Path) -> None:
    """A video, and an annotation for the whole life of each object that is ever present; its id is the track id."""
    concepts: dict[int, str] = {}
    file_names: list[str] = []
    shape: dict[str, int] = {}
    found: list[dict[str, Any]] = []
    for result in _of_one_video(results, concepts):
        found += [one.to_coco(image_id=len(file_names), annotation_id=one.track_id) for one in result]
        file_names.append(image_file(result))
        shape = {"width": result.size_hw[1], "height": result.size_hw[0], "length": len(file_names)}
        del result
    numbers = _numbers(concepts)
    annotations: dict[int, dict[str, Any]] = {}
    for one in found:
        track_id, frame = one["id"], one["image_id"]
        if track_id not in annotations:
            known = {"id": track_id, "video_id": 1, "category_id": numbers[concepts[track_id]], "iscrowd": 0}
            empty = {key: [None] * len(file_names) for key in ("segmentations", "bboxes", "areas")}
            annotations[track_id] = known | shape | empty
        for key, of_frame in (("segmentations", "segmentation"), ("bboxes", "bbox"), ("areas", "area")):
            annotations[track_id][key][frame] = one[of_frame]
    written = {
        "info": {"description": "written by persam"},
        "licenses": [],
        "videos": [{"id": 1, "file_names": file_names} | shape] if file_names else [],
        "annotations": list(annotations.values()),
        "categories": [{"id": number, "name": concept} for concept, number in numbers.items()],
    }
    write.write_bytes(json.dumps(written).encode(), path)


def image_file(result: ImageResult) -> str:
    """What data sets call the image: its name and the suffix of its file, .png when it is from memory."""
    return result.name + (result.source.suffix if result.source else ".png")


def _of_one_video(results: Iterable[ImageResult], concepts: dict[int, str]) -> Iterator[ImageResult]:
    """The frames, while they have one size and each track id stays with the concept that `concepts` then holds."""
    size_hw: tuple[int, int] | None = None
    for result in results:
        if size_hw not in (None, result.size_hw):
            raise OutputError(
                f"{result.name!r} is {result.size_hw} (height, width), and the frames before it are {size_hw}. "
                f"Export each video to a file of its own."
            )
        size_hw = result.size_hw
        _note_concepts(result, concepts)
        yield result
        del result


def _note_concepts(result: ImageResult, concepts: dict[int, str]) -> None:
    here: set[int] = set()
    for one in result.segmentations:
        if one.track_id is None:
            raise OutputError(
                f"mots and coco_video are formats of videos, and {one.concept!r} in {result.name!r} has no track id. "
                f"Export the frames that persam.track gives, or choose a format of photos, such as coco."
            )
        if one.track_id in here:
            raise OutputError(
                f"track {one.track_id} is twice in {result.name!r}. Give each object a number of its own."
            )
        here.add(one.track_id)
        before = concepts.setdefault(one.track_id, one.concept)
        if one.concept != before:
            raise OutputError(
                f"track {one.track_id} is {one.concept!r} in {result.name!r}, and {before!r} in the frames before it. "
                f"Export each video to a file of its own."
            )


def _numbers(concepts: dict[int, str]) -> dict[str, int]:
    """A number for each concept, from 1 in the order they were asked for; one that is never present has one too."""
    return {concept: number for number, concept in enumerate(dict.fromkeys(concepts.values()), start=1)}


def _apart(result: ImageResult) -> Iterator[tuple[int, str]]:
    """Track id and compressed RLE of what is present, each pixel given to one object; none that is left without."""
    free = np.ones(result.size_hw, bool)
    for one in result:
        assert one.track_id is not None  # `_note_concepts` was here
        mask, free = one.mask & free, free & ~one.mask
        if mask.any():
            yield one.track_id, rle.compress(rle.run_lengths(mask))
