"""What tracking costs in time and memory: `persam bench track`.

The clips are made of an example picture, over which a window moves. Speed is counted in plain encodings of a frame,
taken in turn with the frames, so that a busy machine changes both.
"""

import itertools
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from persam.eval.peak_memory import peak_mb

Array = np.ndarray[Any, Any]
PICTURE, OBJECTS = "picnic", ("cat", "cup")
SWAY_PX, TURN = 24, 16  # how far the window moves, and in how many frames
WARM = 4  # frames that are not timed
STOPS = (100, 300, 1000, 3000, 10000)  # frames after which memory is read


@dataclass(frozen=True)
class Cost:
    """One measurement.

    encodings: the median time of a frame over that of encoding it. peak_mb: most memory of the process so far.
    """

    recipe: str
    objects: int
    input_size: int
    frames: int
    frame_ms: float
    encodings: float | None = None
    peak_mb: float | None = None


def speed(model: Any, examples: Path, recipe: str, objects: int, frames: int) -> Cost:
    """Of a frame with so many objects, all in sight."""
    from persam.tracking.tracker import Tracker

    clip, masks = swaying(examples)
    tracker = Tracker(model, recipe=recipe)
    tracker.step(next(clip), masks[:objects])
    steps, encodings = [], []
    for place, rgb in enumerate(itertools.islice(clip, WARM + frames)):
        begun = time.perf_counter()
        tracker.step(rgb)
        between = time.perf_counter()
        frame = model.backbone.encode([rgb]).frame
        ended = time.perf_counter()
        if place >= WARM:
            steps.append(between - begun)
            encodings.append(ended - between)
    middle = statistics.median(steps)
    share = middle / statistics.median(encodings)
    return Cost(recipe, objects, frame.input_size, frames, 1000 * middle, encodings=share)


def memory(model: Any, examples: Path, recipe: str, frames: int) -> Iterator[Cost]:
    """The process's peak after some of so many frames, and after all, with all objects."""
    from persam.tracking.track import track

    clip, masks = swaying(examples)
    first = next(clip)
    input_size = model.backbone.encode([first]).frame.input_size
    begun = time.perf_counter()
    results = track(itertools.chain([first], itertools.islice(clip, frames - 1)), masks, model=model, recipe=recipe)
    for count, _ in enumerate(results, 1):
        if count in STOPS or count == frames:
            spent = 1000 * (time.perf_counter() - begun) / count
            yield Cost(recipe, len(masks), input_size, count, spent, peak_mb=peak_mb())


def swaying(examples: Path) -> tuple[Iterator[Array], list[Array]]:
    """Frames without end, and each object's mask in the first one."""
    from persam.io.images import read_image
    from persam.io.masks import read_mask

    rgb = read_image(examples / "photos" / f"{PICTURE}.jpg")
    masks = [read_mask(examples / "truth" / f"{PICTURE}_{name}.png", (rgb.shape[0], rgb.shape[1])) for name in OBJECTS]

    def frames() -> Iterator[Array]:
        for place in itertools.count():
            shift = round(SWAY_PX * (1 - np.cos(2 * np.pi * place / TURN)) / 2)
            yield np.ascontiguousarray(rgb[:, shift : rgb.shape[1] - SWAY_PX + shift])

    return frames(), [mask[:, :-SWAY_PX] for mask in masks]
