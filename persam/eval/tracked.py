"""A tracker's answers on a benchmark of videos: what it saw in one frame it takes to the next."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from persam.errors import DataError
from persam.eval.benchmark import Predict, Run
from persam.eval.episodes import Episode, Prediction
from persam.eval.predict import prediction_of, run_of
from persam.model import PerSAM
from persam.tracking.recipes import AnyTrackingRecipe
from persam.tracking.tracker import Tracker


def run_of_tracker(benchmark: str, model: PerSAM, recipe: AnyTrackingRecipe) -> Run:
    """The name and everything that a tracker's predictions depend on."""
    run = run_of(benchmark, model)
    settings = {**run.settings, **{f"tracking.{name}": value for name, value in vars(recipe).items()}}
    return replace(run, recipe=recipe.name, settings=settings)


def tracker_predictor(model: PerSAM, recipe: AnyTrackingRecipe) -> Predict:
    """A track for each episode of a video, all from the masks of its first frame."""

    def predict(episodes: Sequence[Episode]) -> Iterator[tuple[Prediction, ...]]:
        if any(len(episode.references) != 1 for episode in episodes):
            raise DataError("a tracker starts from one frame, and an episode has several references.")
        tracker = Tracker(model, recipe=recipe)
        masks = [episode.references[0].mask.read() for episode in episodes]
        names = [episode.name for episode in episodes]
        tracker.step(episodes[0].references[0].photo.read(), masks, names=names)
        for target in episodes[0].targets:
            started = time.perf_counter()
            found = tracker.step(target.photo.read())
            seconds = (time.perf_counter() - started) / len(episodes)
            yield tuple(prediction_of(found[name], seconds) for name in names)

    return predict
