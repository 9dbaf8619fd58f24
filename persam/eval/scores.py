"""From one object's answers to the numbers in its row."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool

from persam.errors import DataError, PerSAMError
from persam.eval.episodes import Answer, Prediction
from persam.eval.metrics import (
    Overlap,
    boundary_overlap,
    contour_accuracy,
    holes,
    iou,
    overlap,
    region_similarity,
    video_statistics,
)
from persam.method.calibration import fit_presence

Array = np.ndarray[Any, Any]
FITTED = "each half of the objects, threshold fitted on the other"  # a row's name


@dataclass(frozen=True)
class Metrics:
    """The numbers of a row, 0 to 1 (decays -1 to 1); None where the benchmark does not have them.

    iou, biou: summed over the object's photos (ledger 7), of masks and of boundary bands. In `robustness`, where a row
        is of many objects, iou is the mean over photos.
    located: share of photos whose first positive point lies on the object; None for a method without points.
    accepted: share of photos with the object that were judged to hold it.
    jf, j_*, f_*: DAVIS. refused: share of photos without the object that were judged so.
    auroc: chance that a photo with the object has more presence than one without. threshold: on presence.
    swapped: share of a mosaic's frames in which most of the mask lies in the other object's half.
    holes: share of the object that lies in holes of its mask, mean over the photos.
    f1: of instances, from precision and recall over all photos of a layout.
    """

    iou: float | None = None
    biou: float | None = None
    located: float | None = None
    jf: float | None = None
    j_mean: float | None = None
    j_recall: float | None = None
    j_decay: float | None = None
    f_mean: float | None = None
    f_recall: float | None = None
    f_decay: float | None = None
    refused: float | None = None
    accepted: float | None = None
    auroc: float | None = None
    threshold: float | None = None
    swapped: float | None = None
    holes: float | None = None
    f1: float | None = None


@dataclass(frozen=True)
class Row:
    """One object's result, or one over objects. n: the targets it is of. seconds: what predicting them took."""

    object: str
    n: int
    seconds: float
    metrics: Metrics


@dataclass(frozen=True)
class Verdict:
    """What was said of a photo, and whether it holds the object. Without the mask: a whole benchmark fits in memory."""

    presence: float
    present: bool
    held: bool
    seconds: float = 0.0


def measure_masks(answers: Iterable[Answer]) -> Metrics:
    """IoU and boundary IoU summed over the photos, the location metric, the share judged to hold the object, and holes.

    Masks count as the method's best guess, also where it would say "not here": that judgement has its own column.
    """
    masks, bands, accepted, gaps = Overlap(), Overlap(), [], []
    points: list[bool | None] = []
    for answer in answers:
        truth = _truth(answer)
        masks += overlap(answer.prediction.mask, truth)
        bands += boundary_overlap(answer.prediction.mask, truth)
        points.append(points_at(answer.prediction, truth))
        accepted.append(answer.prediction.present)
        gaps.append(holes(answer.prediction.mask, truth))
    return Metrics(
        iou=masks.iou,
        biou=bands.iou,
        located=_share_located(points),
        accepted=float(np.mean(accepted)),
        holes=float(np.mean(gaps)),
    )


def measure_changed(answers: Iterable[Answer]) -> Metrics:
    """As `measure_presence` on all photos and, on those with the object, mIoU, the location metric and holes.

    The answers are of several objects under one change: mIoU is the mean of the photos' own, found to be there or not.
    """
    verdicts: list[Verdict] = []
    ious, gaps, points = [], [], []
    for answer in answers:
        verdicts.append(_verdict(answer))
        if answer.target.truth is None:
            continue
        truth = _truth(answer)
        ious.append(iou(answer.prediction.mask, truth))
        gaps.append(holes(answer.prediction.mask, truth))
        points.append(points_at(answer.prediction, truth))
    return replace(
        judge(verdicts),
        iou=float(np.mean(ious)) if ious else None,
        located=_share_located(points),
        holes=float(np.mean(gaps)) if gaps else None,
    )


def points_at(prediction: Prediction, truth: Bool[Array, "h w"]) -> bool | None:
    """Whether the first positive point lies on the truth; None when the prediction has no positive point."""
    positive = np.flatnonzero(prediction.labels == 1)
    if not len(positive):
        return None
    column, row = np.floor(prediction.points_xy[positive[0]] + 0.5).astype(int)
    height, width = truth.shape
    return bool(0 <= row < height and 0 <= column < width and truth[row, column])


def measure_mosaic(answers: Iterable[Answer]) -> Metrics:
    """J and F as `measure_video`, and how often the two objects are taken for each other."""
    kept, swapped = [], []
    for answer in answers:
        kept.append(answer)
        truth, mask = _truth(answer), answer.prediction.mask
        if truth.any() and mask.any():
            halves = [np.array_split(plane, 2, axis=1) for plane in (truth, mask)]
            own, found = (bool(right.sum() > left.sum()) for left, right in halves)
            swapped.append(own != found)
    return replace(measure_video(kept), swapped=float(np.mean(swapped)) if swapped else 0.0)


def measure_video(answers: Iterable[Answer]) -> Metrics:
    """DAVIS's J and F over the frames after the first; the last one is predicted but does not count."""
    similarity, accuracy = [], []
    for answer, _ in pairwise(answers):
        truth = _truth(answer)
        similarity.append(region_similarity(answer.prediction.mask, truth))
        accuracy.append(contour_accuracy(answer.prediction.mask, truth))
    j, f = video_statistics(similarity), video_statistics(accuracy)
    return Metrics(
        jf=(j.mean + f.mean) / 2,
        j_mean=j.mean,
        j_recall=j.recall,
        j_decay=j.decay,
        f_mean=f.mean,
        f_recall=f.recall,
        f_decay=f.decay,
    )


def measure_presence(answers: Iterable[Answer]) -> Metrics:
    """Photos refused and accepted by the method's own threshold, and how well its presence tells them apart."""
    return judge([_verdict(answer) for answer in answers])


def measure_lookalikes(answers: Iterable[Answer]) -> Metrics:
    """Presence as `measure_presence`, and of the photos that hold the object, IoU and location as `measure_masks`."""
    verdicts = []

    def held() -> Iterator[Answer]:
        for answer in answers:
            verdicts.append(_verdict(answer))
            if answer.target.truth is not None:
                yield answer

    masks = measure_masks(held())
    return replace(judge(verdicts), iou=masks.iou, biou=masks.biou, located=masks.located)


def measure_fitted_presence(objects: Iterable[Iterable[Answer]]) -> Row:
    """Each half of the objects is judged by the threshold that the other half fits: refused, accepted, auroc.

    Halves are every second object, so that no number is reported on what it was fitted to. The threshold is the mean
    of the two.

    Raises:
        DataError: there is one object only, or a half fits no threshold.
    """
    verdicts = [[_verdict(answer) for answer in answers] for answers in objects]
    every = [one for own in verdicts for one in own]
    return Row(FITTED, n=len(every), seconds=sum(one.seconds for one in every), metrics=judge_by_halves(verdicts))


def judge_by_halves(objects: Sequence[Sequence[Verdict]]) -> Metrics:
    """Refused, accepted, auroc and threshold as `measure_fitted_presence` has them. Raises as it does."""
    halves = [[one for own in objects[start::2] for one in own] for start in (0, 1)]
    if not halves[1]:
        raise DataError("a threshold needs objects to fit it on and others to judge: two sequences at least.")
    thresholds = [fit_threshold([one.presence for one in half], [one.held for one in half]) for half in halves]
    judged = [
        replace(one, present=one.presence >= threshold)
        for half, threshold in zip(halves, reversed(thresholds), strict=True)
        for one in half
    ]
    return replace(judge(judged), threshold=sum(thresholds) / 2)


def fit_threshold(scores: Sequence[float], present: Sequence[bool]) -> float:
    """The presence, 0..1, at which the curve that fits these scores crosses one half (`fit_presence`).

    The curve, not the best cut: with a dozen present ones, a single photo moves the best cut far.

    Raises:
        DataError: only one of the two kinds is there, or the scores do not rise with presence.
    """
    try:
        return fit_presence(scores, present).threshold
    except PerSAMError as error:
        raise DataError(f"no threshold can be fitted on {len(scores)} photos: {error}") from error


def area_under_roc(scores: Sequence[float], present: Sequence[bool]) -> float | None:
    """The chance that a present one scores above an absent one, ties counted half; None without both kinds."""
    values, held = np.asarray(scores, dtype=float), np.asarray(present, dtype=bool)
    if held.all() or not held.any():
        return None
    ahead = values[held][:, None] - values[~held]
    return float((ahead > 0).mean() + (ahead == 0).mean() / 2)


def mean_metrics(rows: Sequence[Metrics]) -> Metrics:
    """The mean of every number over the objects that have it."""
    columns = {name: [getattr(row, name) for row in rows] for name in Metrics.__dataclass_fields__}
    known = {name: [value for value in values if value is not None] for name, values in columns.items()}
    return Metrics(**{name: float(np.mean(values)) for name, values in known.items() if values})


def _verdict(answer: Answer) -> Verdict:
    given = answer.prediction
    return Verdict(given.presence, given.present, answer.target.truth is not None, given.seconds)


def judge(verdicts: Sequence[Verdict]) -> Metrics:
    """The shares of photos that are refused and accepted rightly, and the AUROC of their presence."""
    return Metrics(
        refused=_share([not one.present for one in verdicts if not one.held]),
        accepted=_share([one.present for one in verdicts if one.held]),
        auroc=area_under_roc([one.presence for one in verdicts], [one.held for one in verdicts]),
    )


def _share_located(points: Sequence[bool | None]) -> float | None:
    """A photo without a positive point is a miss, unless none has one: a method without points."""
    return None if all(point is None for point in points) else float(np.mean([bool(point) for point in points]))


def _share(judged: Sequence[bool]) -> float | None:
    return sum(judged) / len(judged) if judged else None


def _truth(answer: Answer) -> Bool[Array, "h w"]:
    if answer.target.truth is None:
        raise DataError(
            f"{answer.target.name} has no truth to measure a mask on; this benchmark needs one for each photo."
        )
    return answer.target.truth.read()
