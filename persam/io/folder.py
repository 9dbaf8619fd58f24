"""What `persam segment` leaves in its folder: masks, overlays to look at, and a JSON line for each photo."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from persam.errors import ImageError
from persam.io import draw, formats
from persam.io.album import Target
from persam.io.results import Segmentation

Array = np.ndarray[Any, Any]
Record = dict[str, Any]  # a line of results.jsonl


@dataclass(frozen=True)
class Folder:
    """Where results go: masks/, overlays/ and results.jsonl. overlays: whether there are pictures to look at."""

    path: Path
    overlays: bool = True

    def search(self, album: Iterable[Target], ask: Callable[[Target], Record]) -> Iterator[Record]:
        """The record of every photo, on disk before the next one is read.

        One bad photo does not end an album: its record holds the image and what is wrong with it.

        Args:
            album: the photos.
            ask: finds in a photo what is looked for, and writes it by one of the methods below.
        """
        with (self.path / "results.jsonl").open("w", encoding="utf-8") as lines:
            for target in album:
                try:
                    record = ask(target)
                except ImageError as error:
                    record = {"image": str(target.source), "error": str(error)}
                lines.write(json.dumps(record) + "\n")
                lines.flush()
                yield record

    def one(self, target: Target, found: Segmentation) -> Record:
        """One concept, as masks/NAME.png."""
        record = {"image": str(target.source)} | self._facts(found, target.name)
        return record | self._picture(target, found.overlay)

    def instances(self, target: Target, found: Sequence[Segmentation]) -> Record:
        """Every instance of one concept, as masks/NAME_1.png, NAME_2.png, …"""
        facts = [self._facts(one, f"{target.name}_{number}") for number, one in enumerate(found, start=1)]
        record: Record = {"image": str(target.source), "present": bool(found), "instances": facts}
        labels = [f"{number} {one.concept} {one.presence:.2f}" for number, one in enumerate(found, start=1)]
        return record | self._picture(target, lambda: together(target.read(), found, labels))

    def concepts(self, target: Target, found: Sequence[Segmentation]) -> Record:
        """Several concepts, as masks/NAME_<concept>.png."""
        facts = [
            {"concept": one.concept} | self._facts(one, f"{target.name}_{file_part(one.concept)}") for one in found
        ]
        record: Record = {"image": str(target.source), "present": any(one.present for one in found), "concepts": facts}
        labels = [f"{one.concept} {one.presence:.2f}" for one in found]
        return record | self._picture(target, lambda: together(target.read(), found, labels))

    def _facts(self, found: Segmentation, name: str) -> Record:
        """What is known of a result, and where its mask now is."""
        facts: Record = {
            "present": found.present,
            "presence": round(found.presence, 4),
            "score": round(found.score, 4),
            "box_xyxy": found.box_xyxy if found.present else None,
            "area_px": int(found.mask.sum()) if found.present else 0,
            "points_xy": [[round(float(x), 1), round(float(y), 1)] for x, y in found.points_xy],
            "labels": [int(label) for label in found.labels],
        }
        if found.present:
            facts["mask"] = str(found.save(self.path / "masks" / f"{name}.png"))
        return facts

    def _picture(self, target: Target, paint: Callable[[], UInt8[Array, "h w 3"]]) -> Record:
        if not self.overlays:
            return {}
        picture = paint()
        suffix = "jpg" if max(picture.shape) < 65_000 else "png"  # JPEG ends at 65,535 pixels a side
        path = self.path / "overlays" / f"{target.name}.{suffix}"
        return {"overlay": str(formats.write_picture(picture, path))}


def file_part(concept: str) -> str:
    """A concept's name as the last part of a file name: letters, digits, . and - are kept, all else becomes -.

    Without an underscore in it, NAME_<concept> is another file for every photo and concept.
    """
    return re.sub(r"[^\w.-]|_", "-", concept)


def together(rgb: UInt8[Array, "h w 3"], found: Sequence[Segmentation], labels: Sequence[str]) -> UInt8[Array, "h w 3"]:
    """The photo with every result that is present in a colour of its own; those that are not are named in a corner."""
    for number, (one, label) in enumerate(zip(found, labels, strict=True)):
        if one.present:
            rgb = draw.overlay(rgb, one.mask, colour=draw.COLOURS[number % len(draw.COLOURS)], label=label)
    absent = ", ".join(one.concept for one in found if not one.present)
    if found and not absent:
        return rgb
    label = f"{absent}: not here" if absent else "not here"
    return draw.overlay(rgb, np.zeros(rgb.shape[:2], bool), colour=draw.INK, label=label)
