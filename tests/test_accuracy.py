"""The bundled model on real photos it was not trained on: what a change must not lose (data outside the repository)."""

import numpy as np
import pytest

from persam.eval.benchmark import BENCHMARKS
from persam.eval.episodes import Answer
from persam.eval.predict import predictor
from persam.model import PerSAM


def mean_iou(model: PerSAM, benchmark: str, root) -> tuple[float, float]:
    """Mean over objects of IoU and of the share of positive points inside."""
    measured = []
    for episode in BENCHMARKS[benchmark].episodes(root):
        predictions = predictor(model)([episode])
        answers = [Answer(target, one) for target, (one,) in zip(episode.targets, predictions, strict=True)]
        measured.append(BENCHMARKS[benchmark].measure(answers))
    return float(np.mean([m.iou for m in measured])), float(np.mean([m.located for m in measured]))


@pytest.mark.slow
def test_ours_beats_the_published_recipe_on_albums(nano, shared):
    root = shared / "data" / "davis2016"
    ours, located = mean_iou(nano, "album", root)
    published, _ = mean_iou(PerSAM(nano.backbone, recipe="official_persam"), "album", root)
    assert ours > 0.70
    assert located >= 0.9
    assert ours > published + 0.05


@pytest.mark.slow
def test_the_papers_own_examples(nano, shared):
    ours, located = mean_iou(nano, "perseg", shared / "data" / "perseg")
    assert ours > 0.93
    assert located == 1


@pytest.mark.slow
def test_the_papers_own_examples_are_not_taken_for_each_other(nano, shared):
    root = shared / "data" / "perseg"
    episodes = list(BENCHMARKS["perseg"].episodes(root))
    assert len(episodes) == 2
    concepts = [
        nano.learn(reference.photo.read(), reference.mask.read(), name=episode.object)
        for episode in episodes
        for reference in episode.references
    ]
    for episode in episodes:
        for target in episode.targets:
            (found,) = nano.segment(target.photo.read(), concepts)
            assert {one.concept for one in found} == {episode.object}, target.name
