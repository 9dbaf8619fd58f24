"""`persam demo`: every example album searched, and pictures of what was found, to be looked at."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, UInt8

from persam.errors import DataError
from persam.eval.metrics import iou, parts_of
from persam.io import draw
from persam.io.images import read_image
from persam.io.masks import read_mask
from persam.io.write import write_picture
from persam.method.recipes import OfficialRecipe

if TYPE_CHECKING:
    from persam.io.results import ImageResult
    from persam.method.concept import Concept
    from persam.model import PerSAM

Array = np.ndarray[Any, Any]
FOUND_IOU = 0.5  # what PASCAL VOC and many after it count as found
LIMIT = 30  # things of a kind in one photo: more than any example holds


@dataclass(frozen=True)
class Answer:
    """One target's result beside what is known of it. iou: None where the truth is not known or nothing was found."""

    found: "ImageResult"
    should_be_present: bool
    iou: float | None
    instances: int

    @property
    def is_right(self) -> bool:
        """Whether it is found where it is, or not found where it is not."""
        if not (self.found.present and self.should_be_present):
            return self.found.present == self.should_be_present
        return self.iou is None or self.iou >= FOUND_IOU

    def __str__(self) -> str:
        of = f" on one of {self.instances}" if self.instances > 1 else ""
        iou = "" if self.iou is None else f", IoU {self.iou:.2f}{of}"
        return f"{'found' if self.found.present else 'not here'}{iou}{'' if self.is_right else ' (wrong)'}"


@dataclass(frozen=True)
class Count:
    """One target in which every thing of a kind was looked for: how many were found, and how many there are."""

    found: int
    right: int
    things: int

    iou = None  # of one thing: there is none of several

    @property
    def is_right(self) -> bool:
        """Whether those found and those there are have at least half in common; none of none is right."""
        return self.right >= FOUND_IOU * (self.found + self.things - self.right)

    def __str__(self) -> str:
        if not self.things:
            return f"found {self.found} (wrong)" if self.found else "not here"
        wrong = f", {self.found - self.right} wrong" if self.found > self.right else ""
        return f"found {self.right} of {self.things}{wrong}"


def run(model: "PerSAM", data: Path, output: Path) -> Iterator[str]:
    """A readable line per photo; an overlay of each, a sheet per album and one of all albums lie in `output`.

    Args:
        model: what searches.
        data: the folder of `index.json`, `data/examples` of the repository.
        output: folder for the pictures; made when it is not there.

    Raises:
        DataError: the example photos are not in `data`.
        OutputError: a picture cannot be written.
    """
    answers: list[Answer | Count] = []
    rows = []
    for album in read_albums(data):
        name, reference = album["name"], read_image(data / album["reference"])
        mask = read_mask(data / album["mask"], reference.shape[:2])
        concept = model.learn(reference, mask, name=name)
        # little fill: the reference's own colours are what is looked for
        pictures = [draw.overlay(reference, mask, colour=draw.INSIDE, fill=0.1)]
        captions = [f"reference: {name}"]
        for target in album["targets"]:
            photo = data / target["photo"]
            look = _every if album.get("every", False) else _one
            picture, answer, numbers = look(model, concept, photo, target, data)
            write_picture(picture, output / name / f"{photo.stem}.jpg")
            pictures.append(picture)
            captions.append(f"{photo.stem}: {answer}")
            answers.append(answer)
            yield f"{name:8} {photo.stem:12} {answer}{numbers}"
        write_picture(draw.side_by_side(pictures, captions=captions, columns=3, height=320), output / f"{name}.png")
        rows.append(draw.side_by_side(pictures, captions=captions))
    write_picture(_stacked(rows), output / "all.png")
    yield _summary(answers, output)


def read_albums(data: Path) -> list[dict[str, Any]]:
    """The albums of `index.json`: name, reference, mask, and targets with photo, truth, present.

    every: whether every thing of the kind is looked for, or the most similar one.

    Raises:
        DataError: it is not in `data`.
    """
    index = data / "index.json"
    try:
        albums: list[dict[str, Any]] = json.loads(index.read_text(encoding="utf-8"))["albums"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"there are no example photos in {data}: {index.name} is missing or damaged. "
            "Run this in a clone of the repository, or name its data/examples with --data."
        ) from error
    return albums


def count(masks: Sequence[Bool[Array, "h w"]], truth: Bool[Array, "h w"] | None) -> Count:
    """How many of the things of a truth the masks fit. A thing is a part of the truth that touches no other.

    truth: None where there is no such thing.
    """
    things = [] if truth is None else parts_of(truth)
    right = sum(any(iou(mask, thing) >= FOUND_IOU for mask in masks) for thing in things)
    return Count(len(masks), right, len(things))


def draw_every(rgb: UInt8[Array, "h w 3"], masks: Sequence[Bool[Array, "h w"]]) -> UInt8[Array, "h w 3"]:
    """The photo with every mask in a colour of its own."""
    for number, mask in enumerate(masks):
        rgb = draw.overlay(rgb, mask, colour=draw.COLOURS[number % len(draw.COLOURS)], fill=0.45)
    return rgb


def _one(
    model: "PerSAM", concept: "Concept", photo: Path, target: dict[str, Any], data: Path
) -> tuple[UInt8[Array, "h w 3"], Answer | Count, str]:
    [found] = model.segment(photo, concept)
    presence = "" if found.presence is None else f", presence {found.presence:.2f}"
    return found.overlay(), _answer(found, target, data), f"{presence}, score {found.score:.2f}"


def _every(
    model: "PerSAM", concept: "Concept", photo: Path, target: dict[str, Any], data: Path
) -> tuple[UInt8[Array, "h w 3"], Answer | Count, str]:
    most = 1 if isinstance(concept.recipe, OfficialRecipe) else LIMIT
    [found] = model.segment(photo, concept, max_instances=most)
    rgb, masks = read_image(photo), [one.mask for one in found]
    truth = read_mask(data / target["truth"], rgb.shape[:2]) if target["truth"] else None
    return draw_every(rgb, masks), count(masks, truth), ""


def _answer(found: "ImageResult", target: dict[str, Any], data: Path) -> Answer:
    if not (found.present and target["present"] and target["truth"]):
        return Answer(found, target["present"], None, 0)
    regions = parts_of(read_mask(data / target["truth"], found.mask.shape))  # one object each in the examples
    # where the object is there several times, finding one of them is what was asked for
    return Answer(found, True, max(iou(found.mask, region) for region in regions), len(regions))


def _stacked(rows: list[UInt8[Array, "_ _ 3"]]) -> UInt8[Array, "h w 3"]:
    width = max(row.shape[1] for row in rows)
    return np.concatenate(
        [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    )


def _summary(answers: "list[Answer | Count]", output: Path) -> str:
    known = [answer.iou for answer in answers if answer.iou is not None]
    mean = f", mean IoU {np.mean(known):.2f} where it was found" if known else ""
    right = sum(answer.is_right for answer in answers)
    return f"{right} of {len(answers)} answers are right{mean}. Now look at {output / 'all.png'}"
