from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.errors import DataError
from persam.eval.episodes import Answer, MaskFile, Photo, Prediction, Target
from persam.eval.scores import (
    FITTED,
    Metrics,
    area_under_roc,
    fit_threshold,
    mean_metrics,
    measure_changed,
    measure_fitted_presence,
    measure_lookalikes,
    measure_masks,
    measure_mosaic,
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


def test_a_mosaics_mask_that_lies_in_the_other_half_is_taken_for_the_other_object(answer):
    left, right, both = pixels((0, 0), (1, 0)), pixels((3, 0)), pixels((0, 0), (2, 0), (3, 0))
    frames = [(left, left), (left, right), (left, both), (left, pixels()), (pixels(), right), (right, right)]
    metrics = measure_mosaic(answer(truth, prediction(mask)) for truth, mask in frames)
    assert metrics.swapped == 2 / 4  # an empty mask or truth is no object
    assert metrics.j_mean == pytest.approx((1 + 0 + 1 / 4 + 0 + 0) / 5)  # the last frame does not count


def test_masks_are_summed_over_the_objects_photos(answer):
    metrics = measure_masks(
        [
            answer(pixels((0, 0), (1, 0), (2, 0)), prediction(pixels((0, 0)))),
            answer(pixels((3, 3)), prediction(pixels((3, 3)))),
        ]
    )
    assert metrics.iou == metrics.biou == 2 / 4  # on masks this thin the band is the mask
    assert metrics.located is None  # no points anywhere: the method has none


RING = pixels(*((x, y) for x in range(3) for y in range(3) if (x, y) != (1, 1)))
DISC = pixels(*((x, y) for x in range(3) for y in range(3)))


def test_holes_are_the_mean_of_the_photos(answer):
    metrics = measure_masks([answer(DISC, prediction(RING)), answer(DISC, prediction(DISC))])
    assert metrics.holes == 1 / 9 / 2


def test_a_change_is_judged_on_all_photos_and_measured_on_those_that_hold_the_object(answer):
    metrics = measure_changed(
        [
            answer(DISC, prediction(RING, presence=0.9, points_xy=[(1, 1)], labels=[1])),
            answer(pixels((0, 0)), prediction(pixels((0, 0), (1, 0)), presence=0.2, present=False)),
            judged(0.6, held=False, present=True),
            judged(0.1, held=False, present=False),
            judged(0.1, held=False, present=False),
        ]
    )
    assert metrics.iou == pytest.approx((8 / 9 + 1 / 2) / 2)  # each photo weighs the same; also what is not accepted
    assert metrics.holes == 1 / 9 / 2
    assert metrics.located == 1 / 2
    assert (metrics.accepted, metrics.refused) == (1 / 2, 2 / 3)
    assert metrics.auroc == 5 / 6
    assert metrics.biou is None


def test_a_change_without_photos_of_the_object_has_no_masks_to_measure():
    assert measure_changed([judged(0.1, held=False, present=False)]) == Metrics(refused=1.0)


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


def test_of_look_alikes_masks_count_where_the_object_is_and_presence_everywhere(answer):
    own, other = pixels((0, 0), (1, 0)), pixels((3, 3))
    held = [answer(own, prediction(own, presence=0.9)), answer(own, prediction(other, presence=0.3, present=False))]
    absent = [judged(0.4, held=False, present=False), judged(0.8, held=False, present=True)]
    metrics = measure_lookalikes(iter([held[0], absent[0], held[1], absent[1]]))
    assert (metrics.refused, metrics.accepted, metrics.auroc) == (1 / 2, 1 / 2, 2 / 4)
    assert metrics.iou == 2 / 5  # two of the five pixels that a mask or a truth has


def test_each_half_is_judged_by_the_threshold_of_the_other():
    low = [judged(0.5, held=True, present=False), judged(0.1, held=False, present=True)]  # its curve crosses near 0.25
    high = [judged(0.9, held=True, present=False), judged(0.5, held=False, present=True)]  # near 0.75
    row = measure_fitted_presence([low, high, low])
    assert (row.object, row.n, row.seconds) == (FITTED, 6, 3.0)
    # by 0.75 the low half accepts nothing and refuses both; by 0.25 the high one accepts its own and refuses nothing
    assert (row.metrics.accepted, row.metrics.refused) == (1 / 3, 2 / 3)
    assert row.metrics.threshold == pytest.approx(0.5, abs=0.01)
    assert row.metrics.auroc == pytest.approx((2 * 2.5 + 3) / 9)
    with pytest.raises(DataError, match="two sequences at least"):
        measure_fitted_presence([low])
    with pytest.raises(DataError, match=r"no threshold can be fitted on 2 photos: .* no higher where the object is"):
        measure_fitted_presence([low, [judged(0.1, held=True, present=True), judged(0.5, held=False, present=True)]])


@pytest.mark.parametrize(
    ("scores", "present", "expected"),
    [
        ([0.1, 0.2, 0.8, 0.9], [False, False, True, True], 0.5),
        ([0.1] * 20 + [0.9], [False] * 20 + [True], 0.5),  # either kind weighs the same, whatever its number
        ([0.0, 1.0], [False, True], 0.5),  # surer than a logit can be
    ],
)
def test_a_threshold_lies_between_the_kinds(scores, present, expected):
    assert fit_threshold(scores, present) == pytest.approx(expected, abs=0.01)


def test_one_odd_photo_moves_a_threshold_a_little_only():
    absent, present = np.linspace(0.05, 0.4, 20).tolist(), np.linspace(0.6, 0.95, 20).tolist()
    held = [False] * 20 + [True] * 20
    plain = fit_threshold(absent + present, held)
    assert plain == pytest.approx(0.5, abs=0.02)
    assert fit_threshold([*absent, *present, 0.3], [*held, True]) == pytest.approx(plain, abs=0.1)


@pytest.mark.parametrize("present", [[True, True], [False, False]])
def test_fit_threshold_needs_both_kinds(present):
    with pytest.raises(DataError, match="on 2 photos: a calibration needs photos that hold the object"):
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
