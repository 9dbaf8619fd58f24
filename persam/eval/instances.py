"""How many of a photo's instances are found as one each: `persam eval instances`."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from persam.eval.benchmark import Run
from persam.eval.calibrate import read_episodes
from persam.eval.datasets.instances import Scene, Thing, scenes
from persam.eval.demo import draw_every
from persam.eval.metrics import iou, parts_of
from persam.eval.predict import run_of
from persam.eval.scores import Metrics, Row, mean_metrics
from persam.eval.table import append_rows, provenance
from persam.geometry import box_of
from persam.io import draw
from persam.io.segmentation import Segmentation
from persam.io.write import write_picture
from persam.method.recipes import OfficialRecipe
from persam.model import PerSAM

Array = np.ndarray[Any, Any]
BENCHMARK = "instances"
MEAN = "mean"  # the row over layouts
MATCH = 0.5  # IoU from which on a find is the instance
CRUMB = 0.02  # of a mask's area: smaller parts do not make it one in pieces
LIMIT = 40  # instances asked for: more than any photo holds
SHEET_HEIGHT, SHEET_COLUMNS = 300, 4
# Given the scenes, it gives the same ones and may tell somebody how far it is.
Watch = Callable[[Sequence[Scene]], Iterable[Scene]]


@dataclass(frozen=True)
class Counted:
    """Finds of one photo against its things. seconds: what finding them took, without learning."""

    right: int
    found: int
    things: int
    seconds: float = 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0 to 1; nothing found of nothing is right."""
        return 2 * self.right / (self.found + self.things) if self.found + self.things else 1.0

    def __add__(self, other: "Counted") -> "Counted":
        return Counted(
            self.right + other.right,
            self.found + other.found,
            self.things + other.things,
            self.seconds + other.seconds,
        )

    def __str__(self) -> str:
        wrong = f", {self.found - self.right} wrong" if self.found > self.right else ""
        return f"{self.right} of {self.things}{wrong}"


def match(found: Sequence[Bool[Array, "h w"]], truths: Sequence[Bool[Array, "h w"]]) -> Counted:
    """One to one: each find in turn, the surest first, takes the free instance that it fits best, from IoU 0.5 on."""
    free, right = list(truths), 0
    for mask in found:
        fits = [iou(mask, truth) for truth in free]
        if fits and max(fits) >= MATCH:
            right += 1
            free.pop(int(np.argmax(fits)))
    return Counted(right, len(found), len(truths))


def things_of(roots: Sequence[Path]) -> list[Thing]:
    """The objects of folders in DAVIS-2016's or PerSeg's layout, from the photo that each is learned from.

    An object that the photo's edge cuts, or that is in more than one piece, is left out: it would be pasted as such.

    Raises:
        DataError: a folder has neither layout, or there are fewer than two objects.
    """
    things = []
    for episode in read_episodes(roots) if roots else ():
        rgb, mask = episode.references[0].photo.read(), episode.references[0].mask.read()
        bounds = box_of(mask)
        large = [part for part in parts_of(mask) if part.sum() > CRUMB * mask.sum()]
        if bounds is None or len(large) != 1:
            continue
        x0, y0, x1, y1 = bounds
        if x0 > 0 and y0 > 0 and x1 < mask.shape[1] - 1 and y1 < mask.shape[0] - 1:
            things.append(Thing(episode.object.replace("/", "_"), rgb, mask))
    return things


def read_scenes(examples: Path, things: Sequence[Thing] = ()) -> list[Scene]:
    """The benchmark's photos: see `datasets.instances.scenes`, whose errors it raises."""
    return list(scenes(examples, things))


def run(
    model: PerSAM, asked: Sequence[Scene], output: Path, csv_path: Path, *, watch: Watch = lambda scenes: scenes
) -> Iterator[str]:
    """A line a layout to read; a sheet of each lies in `output`, and the CSV has a row a layout and their mean.

    Raises:
        OutputError: a sheet or the rows cannot be written.
    """
    counted: dict[str, Counted] = {}
    photos: dict[str, list[tuple[UInt8[Array, "h w 3"], str]]] = {}
    for scene in watch(asked):
        finds, seconds = _search(model, scene)
        one = replace(match([find.mask for find in finds], scene.truths), seconds=seconds)
        counted[scene.layout] = counted.get(scene.layout, Counted(0, 0, 0)) + one
        picture = draw_every(scene.rgb, [find.mask for find in finds])
        photos.setdefault(scene.layout, []).append((_small(picture), f"{scene.thing.name}: {one}"))
    for layout, own in counted.items():
        pictures, captions = zip(*photos[layout], strict=True)
        sheet = draw.side_by_side(pictures, height=SHEET_HEIGHT, captions=captions, columns=SHEET_COLUMNS)
        write_picture(sheet, output / f"{layout}.png")
        yield f"{layout:16} F1 {100 * own.f1:5.1f}  {own}, {own.seconds / len(pictures):.1f} s a photo"
    rows = [Row(layout, len(photos[layout]), own.seconds, Metrics(f1=own.f1)) for layout, own in counted.items()]
    rows.append(Row(MEAN, len(asked), sum(row.seconds for row in rows), mean_metrics([row.metrics for row in rows])))
    of = run_of(BENCHMARK, model)
    append_rows(csv_path, rows, provenance(BENCHMARK, of.model, of.recipe, _fingerprint(of, asked)))
    yield f"{MEAN:16} F1 {100 * (rows[-1].metrics.f1 or 0):5.1f}"


def _fingerprint(of: Run, asked: Sequence[Scene]) -> str:
    """Twelve hex digits for the settings and the photos."""
    digest = hashlib.sha256(json.dumps([of.recipe, dict(of.settings)], sort_keys=True).encode())
    for scene in asked:
        digest.update(f"{scene.name} {scene.rgb.shape}".encode() + np.ascontiguousarray(scene.rgb).data)
    return digest.hexdigest()[:12]


def _search(model: PerSAM, scene: Scene) -> tuple[list[Segmentation], float]:
    """What is found, the surest first, and the seconds that it took."""
    concept = model.learn(scene.thing.rgb, scene.thing.mask, name=scene.thing.name)
    most = 1 if isinstance(concept.recipe, OfficialRecipe) else LIMIT
    began = time.perf_counter()
    [found] = model.segment(scene.rgb, concept, max_instances=most)
    seconds = time.perf_counter() - began
    return sorted(found, key=lambda one: one.score, reverse=True), seconds


def _small(picture: UInt8[Array, "h w 3"]) -> UInt8[Array, "_ _ 3"]:
    """At the sheet's size already, so that a sheet of large photos fits in memory."""
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((2 * SHEET_HEIGHT, SHEET_HEIGHT), Image.Resampling.LANCZOS)
    return np.array(image)
