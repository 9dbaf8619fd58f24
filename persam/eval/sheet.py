"""A contact sheet of predictions, drawn from the exported files: where does it fail, and how?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from persam.eval.benchmark import Evaluation, answers
from persam.eval.episodes import Answer, Episode, Reference, Target
from persam.eval.metrics import iou
from persam.io import draw
from persam.io.write import write_picture

Array = np.ndarray[Any, Any]
Picture = UInt8[Array, "h w 3"]

ROWS = 24
RANKED = 400  # targets that are looked at to choose the rows from: some seconds, however large the benchmark
HEIGHT = 200  # of every picture, in pixels


@dataclass(frozen=True)
class _Asked:
    """A target, and what it was asked for."""

    episode: Episode
    place: int

    @property
    def target(self) -> Target:
        return self.episode.targets[self.place]

    def answer(self, folder: Path) -> Answer:
        return next(islice(answers(self.episode, folder), self.place, None))


def contact_sheet(episodes: Sequence[Episode], folders: Mapping[str, Path], *, rows: int = ROWS) -> Picture:
    """A row a target: the reference with its mask, the target with the truth's outline, each recipe's answer.

    Of up to 400 targets, evenly chosen, rows are taken evenly from the first recipe's worst answer to its best, the
    worst at the top.

    Args:
        episodes: as they were asked.
        folders: where each recipe's predictions lie.
        rows: at most so many.
    """
    asked = [_Asked(episode, place) for episode in episodes for place in range(len(episode.targets))]
    first = next(iter(folders.values()))
    ranked = sorted(_evenly(asked, RANKED), key=lambda one: quality(one.answer(first)))
    pictures, captions = [], []
    for one in _evenly(ranked, rows):
        reference, target = one.episode.references[0], one.target
        of = f" (1 of {len(one.episode.references)})" if len(one.episode.references) > 1 else ""
        rgb = target.photo.read()
        pictures += [_reference(reference), _truth(target, rgb)]
        captions += [
            f"reference: {one.episode.name}{of}",
            f"{target.name}: {'truth' if target.truth is not None else 'it is not here'}",
        ]
        for recipe, folder in folders.items():
            answer = one.answer(folder)
            pictures.append(_small(_drawn(answer, rgb)))
            captions.append(_caption(recipe, answer))
    return draw.side_by_side(pictures, height=HEIGHT, captions=captions, columns=2 + len(folders))


def write(evaluations: Mapping[str, Evaluation], path: Path) -> Path:
    """The path of the file that now holds the sheet of recipes that were asked the same.

    Raises:
        OutputError: it cannot be written.
    """
    episodes = next(iter(evaluations.values())).episodes
    folders = {recipe: evaluation.folder for recipe, evaluation in evaluations.items()}
    return write_picture(contact_sheet(episodes, folders), path)


def quality(answer: Answer) -> float:
    """IoU where the object is, and where it is not how sure the answer is of that: 0 to 1."""
    if answer.target.truth is None:
        return 1 - answer.prediction.presence
    return iou(answer.prediction.mask, answer.target.truth.read())


def _evenly(asked: Sequence[_Asked], count: int) -> list[_Asked]:
    """At most so many of them, the first and the last among them."""
    places = np.linspace(0, len(asked) - 1, min(count, len(asked))).round().astype(int)
    return [asked[place] for place in places]


def _reference(reference: Reference) -> Picture:
    rgb = reference.photo.read()
    # little fill: the reference's own colours are what is looked for
    return _small(draw.overlay(rgb, reference.mask.read(), colour=draw.INSIDE, fill=0.1))


def _truth(target: Target, rgb: Picture) -> Picture:
    if target.truth is None:
        return _small(rgb)
    return _small(draw.overlay(rgb, target.truth.read(), colour=draw.INSIDE, fill=0))


def _drawn(answer: Answer, rgb: Picture) -> Picture:
    found = answer.prediction
    if not found.present:
        return rgb
    return draw.overlay(rgb, found.mask, points_xy=found.points_xy, labels=found.labels)


def _caption(recipe: str, answer: Answer) -> str:
    found, held = answer.prediction, answer.target.truth is not None
    if not found.present:
        verdict = "not here (wrong)" if held else "not here"
    else:
        verdict = f"IoU {quality(answer):.2f}" if held else "found (wrong)"
    return f"{recipe}: {verdict}, presence {found.presence:.2f}"


def _small(picture: Picture) -> Picture:
    """At the sheet's size already, so that a sheet of large photos fits in memory."""
    image = Image.fromarray(picture)
    image.thumbnail((2 * HEIGHT, HEIGHT), Image.Resampling.LANCZOS)
    return np.array(image)
