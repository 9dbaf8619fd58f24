"""A video in, a result a frame out: `persam.track`."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from persam.api import load
from persam.errors import TrackingError
from persam.io.results import ImageResult
from persam.io.video import Video, open_video, read_ahead
from persam.method.concept import Concept
from persam.model import PerSAM
from persam.tracking.recipes import PERSAM_VIDEO, AnyTrackingRecipe, find
from persam.tracking.tracker import Tracker


def track(
    video: Any,
    objects: Any,
    *,
    model: str | Path | PerSAM = "nano",
    recipe: str | AnyTrackingRecipe = PERSAM_VIDEO,
    names: Sequence[str] | None = None,
    start: int | None = None,
    stop: int | None = None,
    step: int = 1,
    backward: bool = False,
    device: str | torch.device = "auto",
) -> Iterator[ImageResult]:
    """A result for each frame, in the order in which they are read, which goes on while the model works.

    A result holds a segmentation for every object, present or not, with its `track_id` (from 1, for life) and the
    frame's `time` in seconds by the clip's own time stamps.

    Args:
        video: as `persam.io.video.open_video` takes it or gives it: a video file, a folder of frames, a pattern, a
            list of pictures, or an iterator.
        objects: where the objects are in frame `start`: a mask or a prompt as for `PerSAM.learn`, or a list of them;
            or what they are: one Concept or several, for which no frame needs a mask.
        model: a name or path as for `persam.load`, or a loaded PerSAM.
        recipe: a name of `persam.tracking.recipes.TRACKING_RECIPES`, or the recipe itself; with
            `PropagationRecipe("facebook/sam2.1-hiera-tiny")` SAM 2.1 carries the masks, and concepts start it.
        names: what results call the objects that masks show; "object 1" and so on when not given.
        start: the frame to begin with; the first when not given, or backward the last.
        stop: the frame to end before; backward, the last frame to track.
        step: 2 tracks every second frame.
        backward: from `start` to the beginning of the clip instead of to its end.
        device: where a model given by name runs.

    Raises:
        VideoError: the clip cannot be read, or ends early: then after the results of the frames before.
        PerSAMError: another of its children says what cannot be used.

    Examples:
        >>> for frame in persam.track("walk.mp4", "rex_mask.png", names=["rex"]):  # doctest: +SKIP
        ...     print(frame.time, frame["rex"].present, frame["rex"].box_xyxy)
    """
    chosen = find(recipe)
    given = list(objects) if isinstance(objects, list | tuple) else [objects]
    concepts = [one for one in given if isinstance(one, Concept)]
    if not given or (concepts and (len(concepts) < len(given) or names is not None)):
        raise TrackingError("give masks of frame `start` with names or without, or concepts, which have names.")
    clip = video if isinstance(video, Video) else open_video(video)
    ready = model if isinstance(model, PerSAM) else load(model, device=device)
    tracker = Tracker(ready, recipe=chosen)
    if concepts:
        tracker.add_concepts(concepts)
    frames = clip.backward(start, stop or 0, step) if backward else clip.frames(start or 0, stop, step)
    return _results(tracker, frames, [] if concepts else given, names)


def _results(
    tracker: Tracker, frames: Iterator[Any], masks: list[Any], names: Sequence[str] | None
) -> Iterator[ImageResult]:
    with closing(read_ahead(frames)) as ahead:
        for frame in ahead:
            yield tracker.step(frame.rgb, masks, names=names, name=frame.name, time=frame.time)
            masks, names = [], None
