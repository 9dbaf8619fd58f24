from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.errors import DataError
from persam.eval.episodes import Answer, MaskFile, Photo, Prediction, Target
from persam.eval.scores import (
    Metrics,
    area_under_roc,
    fit_threshold,
    mean_metrics,
    measure_fitted_presence,
    measure_masks,
    measure_presence,
    measure_video,
    points_at,
)


def prediction(
    mask=None, *, presence: float = 1.0, present: bool = True, points_xy=(), labels=(), score: float = 0.9
) -> Prediction:
    return Prediction(
        mask=np.zeros((4, 4), dtype=bool) if mask is None else mask,
        score=score,
        presence=presence,
        present=present,
        points_xy=np.array(points_xy, np.float32).reshape(-1, 2),
        labels=np.array(labels, np.float32),
        seconds=0.5,
    )


def pixels(*set_xy: tuple[int, int]) -> np.ndarray:
    mask = np.zeros((4, 4), dtype=bool)
    for x, y in set_xy:
        mask[y, x] = True
    return mask


@pytest.fixture
def answer(tmp_path):
    def make(truth: np.ndarray, given: Prediction) -> Answer:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.png"
        Image.fromarray(truth.astype(np.uint8) * 255).save(path)
        return Answer(Target(path.stem, Photo(path), MaskFile(path)), given)

    return make


def judged(presence: float, *, held: bool, present: bool) -> Answer:
    photo = Photo(Path("x.jpg"))
    truth = MaskFile(Path("x.png")) if held else None
    return Answer(Target("x", photo, truth), prediction(presence=presence, present=present))


def test_masks_are_summed_over_the_objects_photos(answer):
    metrics = measure_masks(
        [
            answer(pixels((0, 0), (1, 0), (2, 0)), prediction(pixels((0, 0)))),
            answer(pixels((3, 3)), prediction(pixels((3, 3)))),
        ]
    )
    assert metrics.iou == metrics.biou == 2 / 4  # on masks this thin the band is the mask
    assert metrics.located is None  # no points anywhere: the method has none


def test_located_counts_the_first_positive_point_and_a_missing_one_as_a_miss(answer):
    truth = pixels((2, 1))
    metrics = measure_masks(
        [
            answer(truth, prediction(points_xy=[(0, 0), (2.4, 0.6), (0, 0)], labels=[0, 1, 1])),
            answer(truth, prediction(points_xy=[(0, 0), (2, 1)], labels=[1, 1])),
            answer(truth, prediction(points_xy=[(2, 1)], labels=[0])),
        ]
    )
    assert metrics.located == pytest.approx(1 / 3)


@pytest.mark.parametrize("point", [(-1.0, 1.0), (2.0, 4.0), (4.0, 0.0)])
def test_a_point_outside_the_photo_is_on_nothing(point):
    assert points_at(prediction(points_xy=[point], labels=[1]), np.ones((4, 4), dtype=bool)) is False


def test_video_leaves_out_the_last_frame(answer):
    truth = pixels((1, 1), (2, 1))
    half, whole, none = (prediction(mask) for mask in (pixels((1, 1)), truth, pixels()))
    metrics = measure_video(answer(truth, given) for given in (whole, half, none))
    assert metrics.j_mean == (1 + 0.5) / 2
    assert metrics.j_recall == 0.5
    # frames 1 and 2 of two are cut at 1, 1.25, 1.5, 1.75, 2, rounded 1, 1, 2, 2, 2
    assert metrics.j_decay == 1 - 0.5
    assert metrics.f_mean == 1.0  # every contour pixel within one pixel
    assert metrics.jf == (0.75 + 1.0) / 2


def test_presence_is_judged_by_the_methods_own_threshold():
    metrics = measure_presence(
        [
            judged(0.9, held=True, present=True),
            judged(0.3, held=True, present=False),
            judged(0.4, held=False, present=False),
            judged(0.1, held=False, present=False),
            judged(0.8, held=False, present=True),
        ]
    )
    assert metrics.accepted == 1 / 2
    assert metrics.refused == 2 / 3
    assert metrics.auroc == 4 / 6  # 0.9 is above all three; 0.3 above 0.1 only


def test_threshold_is_fitted_on_even_objects_and_judged_on_odd_ones():
    even = [judged(0.8, held=True, present=True), judged(0.2, held=False, present=True)]
    odd = [judged(0.6, held=True, present=False), judged(0.55, held=False, present=False)]
    row = measure_fitted_presence([even, odd, even])
    assert (row.object, row.n, row.seconds) == ("odd objects, threshold fitted on even", 2, 1.0)
    assert row.metrics == Metrics(refused=0.0, accepted=1.0, auroc=1.0, threshold=0.5)
    with pytest.raises(DataError, match="two sequences at least"):
        measure_fitted_presence([even])


@pytest.mark.parametrize(
    ("scores", "present", "expected"),
    [
        ([0.1, 0.2, 0.8, 0.9], [False, False, True, True], 0.5),
        # accepting 2 of 2 and refusing 2 of 3 at 0.225 is better than 1 of 2 and 3 of 3 at 0.6
        ([0.1, 0.2, 0.3, 0.25, 0.9], [False, False, False, True, True], 0.225),
        # 0.2 and 0.55 are equally good cuts: the widest gap is cut
        ([0.1, 0.3, 0.5, 0.6], [False, True, False, True], 0.2),
        ([0.5, 0.5], [True, False], 0.5),  # nothing tells them apart: accept, as the lowest threshold does
    ],
)
def test_fit_threshold_weighs_refusing_and_accepting_alike(scores, present, expected):
    assert fit_threshold(scores, present) == pytest.approx(expected)


def test_fit_threshold_is_the_best_of_all_thresholds():
    random = np.random.default_rng(5)
    held = random.random(60) > 0.7
    scores = np.round(np.where(held, random.normal(0.6, 0.2, 60), random.normal(0.4, 0.2, 60)), 2)

    def quality(threshold: float) -> float:
        return (scores[~held] < threshold).mean() + (scores[held] >= threshold).mean()

    fitted = fit_threshold(scores.tolist(), held.tolist())
    assert quality(fitted) == max(quality(threshold) for threshold in np.linspace(-1, 2, 3001))


@pytest.mark.parametrize("present", [[True, True], [False, False]])
def test_fit_threshold_needs_both_kinds(present):
    with pytest.raises(DataError, match="both kinds"):
        fit_threshold([0.1, 0.2], present)


def test_area_under_roc_counts_pairs_and_ties_half():
    assert area_under_roc([0.5, 0.9, 0.5, 0.1], [True, True, False, False]) == 3.5 / 4
    assert area_under_roc([0.5], [True]) is None


def test_means_are_over_the_objects_that_have_the_number():
    rows = [Metrics(iou=0.2, located=1.0), Metrics(iou=0.6)]
    assert mean_metrics(rows) == Metrics(iou=0.4, located=1.0)


def test_a_mask_benchmark_needs_a_truth_for_every_photo():
    with pytest.raises(DataError, match="x has no truth"):
        measure_masks([judged(0.5, held=False, present=True)])
