"""A folder to train from: every photo with the object's mask, checked, in the layout of one trainer."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from persam.dreambooth.layouts import find
from persam.dreambooth.layouts.layout import Layout
from persam.dreambooth.sheet import Sheet
from persam.errors import DreamBoothError, ImageError
from persam.io.album import Target, iter_targets
from persam.io.folder import file_part
from persam.io.mask_files import write_mask
from persam.io.segmentation import Segmentation
from persam.io.write import check_empty, whole_folder, write_bytes, write_picture
from persam.method.concept import Concept
from persam.model import PerSAM

Array = np.ndarray[Any, Any]
CAPTION = "a photo of {}"
MIN_SCORE = 0.5
MIN_AREA, MAX_AREA = 0.002, 0.95  # shares of a photo: 8 latents of 512 x 512 pixels, and hardly anything masked
NEVER_MIXED = "training photos of two runs are never mixed"
REPORT, SHEET = "report.jsonl", "sheet.jpg"


@dataclass(frozen=True)
class Outcome:
    """What became of one photo, for one concept.

    image: the photo's path. concept: what was looked for; None where the photo could not even be read.
    name: of its pair in the folder; None where it was refused. reason: why it was refused.
    presence, score, area: as in a result; area is the mask's share of the photo.
    """

    image: str
    concept: str | None = None
    name: str | None = None
    reason: str | None = None
    presence: float | None = None
    score: float | None = None
    area: float | None = None

    def to_record(self) -> dict[str, Any]:
        """A line of the report, ready for JSON."""
        rounded = {
            key: None if value is None else round(value, 4)
            for key, value in (("presence", self.presence), ("score", self.score), ("area", self.area))
        }
        used = {"image": self.image, "concept": self.concept, "used": self.name is not None}
        return used | {"name": self.name, "reason": self.reason} | rounded


def prepare(
    photos: Any,
    concepts: Concept | Sequence[Concept],
    folder: str | Path,
    *,
    model: PerSAM,
    layout: str = "diffusers",
    caption: str = CAPTION,
    min_score: float = MIN_SCORE,
    watch: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """What became of each photo; the folder holds those that can be trained on, with their masks.

    A photo is refused when it cannot be read, when the object is not in it, when its mask is doubtful or implausibly
    large or small. With several concepts a photo is used once for each that is in it, as NAME_<concept>. A photo that
    a concept was learned from in this process has the mask that was given for it.

    The folder also gets `report.jsonl`, a line for each answer, and `sheet.jpg` to look at, with what was refused.
    It appears whole, at the end.

    Args:
        photos: as for `PerSAM.segment`.
        concepts: one, or several with different names, as `learn` gives them for this model.
        folder: where they go; it must be empty, or not there yet.
        model: finds the objects.
        layout: a name of `persam.dreambooth.layouts.LAYOUTS`.
        caption: what each photo shows; {} is the concept's name.
        min_score: how well a mask is expected to fit, 0..1, below which it is not used.
        watch: is told of each answer as it comes.

    Raises:
        DreamBoothError: there is no such layout, the caption is not one line, or no photo can be used; in that case the
            folder holds the report and the sheet.
        OutputError: the folder is not empty, or cannot be written.
        ConceptError: as for `PerSAM.segment`.
    """
    chosen, home = find(layout), Path(folder).expanduser().absolute()
    _check_caption(caption)
    check_empty(home, why=NEVER_MIXED)
    album = list(iter_targets(photos))  # nothing is read yet
    known = [concepts] if isinstance(concepts, Concept) else list(concepts)
    model.segment((), known)  # what cannot be searched is said before anything is written
    answers: list[Outcome] = []
    sheet = Sheet()
    with whole_folder(home) as place:
        writer = _Writer(place, chosen, caption, several=len(known) > 1)
        for target in album:
            for seen in _ask(target, known, model, min_score):
                done = writer.write(seen, target.name)
                reason = done.reason if seen.rgb is not None else "cannot be read"
                sheet.add(done.name or target.name, seen.rgb, seen.mask, reason)
                answers.append(done)
                if watch:
                    watch(done)
        for name, text in chosen.config(home).items() if writer.count else ():
            write_bytes(text.encode(), place / name)
        lines = "".join(json.dumps(one.to_record()) + "\n" for one in answers)
        write_bytes(lines.encode(), place / REPORT)
        write_picture(sheet.drawn(), place / SHEET)
    if not writer.count:
        raise DreamBoothError(
            f"none of the {len(album)} photos can be trained on; {home / REPORT} says why, {home / SHEET} shows it. "
            f"Take photos that show the object, or other references, and remove {home}."
        )
    return answers


@dataclass(frozen=True, eq=False)
class _Seen:
    """An answer, with the photo and the mask that it is about; None for a photo that could not be read."""

    answer: Outcome
    rgb: UInt8[Array, "h w 3"] | None = None
    mask: Bool[Array, "h w"] | None = None


def _ask(target: Target, concepts: Sequence[Concept], model: PerSAM, min_score: float) -> Iterator[_Seen]:
    """For each concept what is to be said of the photo, the photo, and the mask."""
    image = str(target.source or target.name)
    try:
        rgb = target.read()
    except ImageError as error:
        yield _Seen(Outcome(image, reason=str(error)))
        return
    [result] = model.segment([rgb], concepts)
    for concept in concepts:
        found = result[concept.name]
        given = _given(concept, rgb)
        mask = found.mask if given is None else given
        reason = _reason(found, mask, min_score, model.threshold) if given is None else None
        answer = Outcome(image, concept.name, None, reason, found.presence, found.score, float(mask.mean()))
        yield _Seen(answer, rgb, mask)


def _given(concept: Concept, rgb: UInt8[Array, "h w 3"]) -> Bool[Array, "h w"] | None:
    """The mask that came with this very photo when the concept was learned."""
    return next((one.mask for one in concept.references if np.array_equal(one.rgb, rgb)), None)


def _reason(found: Segmentation, mask: Bool[Array, "h w"], min_score: float, threshold: float) -> str | None:
    """Why a photo is not used; None where it is."""
    area = float(mask.mean())
    if not found.present:
        presence = "" if found.presence is None else f" (presence {found.presence:.2f}; {threshold:.2f} is asked for)"
        return f"not here{presence}"
    if area > MAX_AREA:
        return f"the mask covers {area:.0%} of the photo: nothing would be masked"
    if area < MIN_AREA:
        return f"the mask covers {area:.2%} of the photo: too little to learn from"
    if found.score < min_score:
        return f"the mask is doubtful (score {found.score:.2f}; {min_score:.2f} is asked for)"
    return None


class _Writer:
    """Writes the photos that were not refused."""

    def __init__(self, folder: Path, layout: Layout, caption: str, *, several: bool):
        self.folder, self.layout, self.caption, self.several = folder, layout, caption, several
        self.count = 0

    def write(self, seen: _Seen, name: str) -> Outcome:
        """The answer, with the name of its pair where there is one now."""
        answer = seen.answer
        if answer.reason is not None or answer.concept is None:
            return answer
        assert seen.rgb is not None
        assert seen.mask is not None
        name = f"{name}_{file_part(answer.concept)}" if self.several else name
        write_picture(seen.rgb, self.folder / self.layout.image.format(name))  # upright, and without metadata
        write_mask(seen.mask, self.folder / self.layout.mask.format(name), format="png")
        words = self.caption.replace("{}", answer.concept)
        write_bytes(f"{words}\n".encode(), self.folder / self.layout.caption.format(name))
        self.count += 1
        return replace(answer, name=name)


def _check_caption(caption: str) -> None:
    if "\n" in caption or not caption.strip() or not _is_text(caption):
        raise DreamBoothError("a caption is one line of text, such as 'a photo of sks dog' or 'a photo of {}'.")


def _is_text(words: str) -> bool:
    """Whether it can be written as UTF-8: a shell passes bytes of another encoding on as halves of surrogate pairs."""
    try:
        words.encode()
    except UnicodeEncodeError:
        return False
    return True
