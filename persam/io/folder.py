"""What `persam segment` leaves in its folder: masks, overlays to look at, and a JSON line for each photo."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from persam.errors import ImageError, OutputError
from persam.io import write
from persam.io.album import Target
from persam.io.results import ImageResult, Segmentation

Record = dict[str, Any]  # a line of results.jsonl
JPEG_SIDE_PX = 65_000  # a JPEG ends at 65,535


@dataclass(frozen=True)
class Folder:
    """Where results go: masks/, overlays/ and results.jsonl.

    Masks are named NAME.png; with several concepts NAME_<concept>.png; with instances NAME_1.png, NAME_2.png, …; with
    both NAME_<concept>_1.png, …

    concepts: names of what is looked for.
    instances: whether several instances of a concept may be found in one photo.
    overlays: whether there are pictures to look at.

    Raises:
        OutputError: two concepts whose masks would have the same names.
    """

    path: Path
    concepts: tuple[str, ...]
    instances: bool = False
    overlays: bool = True

    def __post_init__(self) -> None:
        taken: dict[str, str] = {}
        for concept in self.concepts:
            part = file_part(concept).casefold()  # some file systems do not tell cases apart
            if part in taken:
                raise OutputError(
                    f"the concepts {taken[part]!r} and {concept!r} would both write their masks as "
                    f"{file_part(concept)!r}: learn one of them again with another name."
                )
            taken[part] = concept

    def search(self, album: Iterable[Target], ask: Callable[[Target], ImageResult]) -> Iterator[Record]:
        """The record of every photo, on disk before the next one is read.

        A photo that cannot be used does not end an album: its record holds the image and the error.

        Args:
            album: the photos.
            ask: finds in a photo what is looked for. The result is stored under the name that the album gives.

        Raises:
            OutputError: results.jsonl cannot be written.
        """
        path = self.path / "results.jsonl"
        with write.as_output_error(path):
            self.path.mkdir(parents=True, exist_ok=True)
            lines = path.open("w", encoding="utf-8")
        with lines:
            for target in album:
                try:
                    record = self.write(replace(ask(target), name=target.name, source=target.source))
                except ImageError as error:
                    record = {"image": str(target.source or target.name), "error": str(error)}
                lines.write(json.dumps(record) + "\n")
                lines.flush()
                yield record

    def write(self, result: ImageResult) -> Record:
        """Writes masks and overlay of one photo; the record says where they are and what is known of each object.

        Every record has the same keys: None for the mask and the box of what is not present, for a presence that was
        not judged, and for the overlay where there are none.
        """
        return {
            "image": str(result.source or result.name),
            "present": result.present,
            "objects": [self._object(one, result.name) for one in result.segmentations],
            "overlay": self._overlay(result) if self.overlays else None,
        }

    def _object(self, found: Segmentation, name: str) -> Record:
        mask = found.save(self.path / "masks" / f"{self._mask_name(found, name)}.png") if found.present else None
        return {
            "concept": found.concept,
            "instance": found.instance,
            **found.to_record(),
            "points_xy": [[round(float(x), 1), round(float(y), 1)] for x, y in found.points_xy],
            "labels": [int(label) for label in found.labels],
            "mask": None if mask is None else str(mask),
        }

    def _mask_name(self, found: Segmentation, name: str) -> str:
        concept = [file_part(found.concept)] if len(self.concepts) > 1 else []
        instance = [str(found.instance)] if self.instances else []
        return "_".join([name, *concept, *instance])

    def _overlay(self, result: ImageResult) -> str:
        suffix = "jpg" if max(result.size_hw) < JPEG_SIDE_PX else "png"
        return str(write.write_picture(result.overlay(), self.path / "overlays" / f"{result.name}.{suffix}"))


def file_part(concept: str) -> str:
    """A concept's name as the last part of a file name: letters, digits, . and - are kept, all else becomes -.

    Without an underscore in it, NAME_<concept> is another file for every photo and concept.
    """
    return re.sub(r"[^\w.-]|_", "-", concept)
