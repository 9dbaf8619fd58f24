"""A calibration for any backbone, fitted on photos whose masks are known: `persam eval calibrate`.

First the location numbers, on photos that hold the object; then, with these, the verification numbers and the
presence curve, on photos that do and photos that do not: each as it is, and once in other light, turned or smaller
(`CHANGED`), so that presence does not hang on that. nano's own file, persam/models/nano.calibration.json, is not all
made by this: its location and verification numbers were tuned on the rows of data/results/eval.csv, and stay as they
are; its presence curve is `--presence-only` on DAVIS-2016's ten sequences and PerSeg's two objects.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from persam.errors import DataError, PerSAMError
from persam.eval.datasets import known_objects, robustness
from persam.eval.episodes import Episode, Target
from persam.eval.fit_location import KnownPhoto, LocationFit, fit_location
from persam.eval.fit_verification import Comparison, Photo, candidates, compare, fit_verification
from persam.eval.scores import Metrics, Verdict, judge, judge_by_halves
from persam.method.calibration import Calibration, Presence, fit_presence
from persam.method.concept import Concept
from persam.method.recipes import Recipe
from persam.model import PerSAM

Held = tuple[str, Target]  # a target, and the name of the concept that it holds
# Given the photos and what they are looked at for, it gives the same photos and may tell somebody how far it is.
Watch = Callable[[Sequence[Held], str], Iterable[Held]]

# what photos undergo, by turns
CHANGED = ("x0.5", "warm", "rot90", "noise", "half", "x0.25", "bgr", "rot180", "+1EV", "flip", "grey", "rot270", "blur")
FINDER = Recipe("persam", verify=False)  # finds are compared here, with several numbers at once


@dataclass(frozen=True)
class Fit:
    """A calibration, and what it does.

    location: None where its numbers were not fitted. auroc: of the evidence. here: the presence curve on the photos it
    was fitted on; unseen: each half of the objects judged by the other half's curve, None where a half fits none.
    """

    calibration: Calibration
    model: str
    objects: int
    photos: int
    location: LocationFit | None
    auroc: float
    here: Metrics
    unseen: Metrics | None

    def lines(self) -> Iterator[str]:
        """To read in a terminal."""
        own, presence = self.calibration, self.calibration.presence
        assert presence is not None
        yield f"{self.model} ({own.fingerprint}) on {self.objects} objects in {self.photos} photos:"
        kept = "kept"
        if self.location is not None:
            kept = f"point on the object {100 * self.location.located:.1f} %, log loss {self.location.loss:.3f}"
        yield f"location      temperature {own.temperature:g}, stranger {own.stranger:g}, slope {own.slope:g}; {kept}"
        yield f"verification  same_part {own.same_part:g}, choice {own.choice:g}; AUROC {100 * self.auroc:.1f}"
        yield f"presence      threshold {presence.threshold:g}, spread {presence.spread:g}"
        yield f"these photos  {_shares(self.here)}"
        yield f"unseen ones   {'too few objects' if self.unseen is None else _shares(self.unseen)}"


def read_episodes(roots: Sequence[Path]) -> list[Episode]:
    """The objects of all folders, each named by its folder too: its reference, and photos that hold it.

    Args:
        roots: folders in DAVIS-2016's layout or in PerSeg's (see `datasets.known_objects`).

    Raises:
        DataError: a folder has neither layout, or there are fewer than two objects.
    """
    episodes = []
    for root in roots:
        own = known_objects.episodes(root)
        episodes += [replace(episode, object=f"{root.name}/{episode.object}") for episode in own]
    if len(episodes) < 2:
        raise DataError(f"{len(episodes)} object to calibrate on; two are needed, each absent from the other's photos.")
    if len({episode.name for episode in episodes}) < len(episodes):
        raise DataError(f"an object is there twice: give each folder once, got {', '.join(map(str, roots))}.")
    return episodes


def calibrate(
    model: PerSAM,
    episodes: Sequence[Episode],
    *,
    presence_only: bool = False,
    watch: Watch = lambda photos, task: photos,
) -> Fit:
    """The calibration of a model's backbone.

    Args:
        model: its own calibration is where a presence-only fit starts; its recipe does not matter.
        episodes: objects with different names; each is a stranger to the photos of the others.
        presence_only: keep the location and verification numbers of the model's calibration.
        watch: given the photos of a stage and its name, gives the photos.

    Raises:
        PerSAMError: an object cannot be learned, or the photos calibrate nothing.
    """
    start = model.calibration if presence_only else Calibration(model.backbone.fingerprint)
    concepts = [_learned(_with(model, start), episode) for episode in episodes]
    photos: list[Held] = [(episode.name, target) for episode in episodes for target in episode.targets]
    location = None if presence_only else _location(model, concepts, watch(photos, "location"), start)
    located = start if location is None else location.calibration
    changed = [
        (name, robustness.changed(target, CHANGED[number % len(CHANGED)], held=True))
        for number, (name, target) in enumerate(photos)
    ]
    shown = [*photos, *changed]
    comparisons = compare(
        _with(model, located),
        concepts,
        (Photo(target.photo.read(), frozenset({name})) for name, target in watch(shown, "verification")),
        candidates(start, fixed=presence_only),
    )
    verified, auroc = fit_verification(comparisons, located)
    assert auroc is not None  # two objects at least: photos of both kinds
    curve = fit_presence([_evidence(one, verified) for one in comparisons], [one.held for one in comparisons])
    curve = Presence(float(f"{curve.threshold:.4g}"), float(f"{curve.spread:.4g}"))
    verdicts = [_verdicts(comparisons, concept, verified, curve) for concept in concepts]
    return Fit(
        calibration=replace(verified, presence=curve),
        model=model.backbone.name,
        objects=len(episodes),
        photos=len(shown),
        location=location,
        auroc=auroc,
        here=judge([one for own in verdicts for one in own]),
        unseen=_unseen(verdicts),
    )


def _learned(model: PerSAM, episode: Episode) -> Concept:
    reference = episode.references[0]
    try:
        return model.learn(reference.photo.read(), reference.mask.read(), name=episode.name)
    except PerSAMError as error:
        raise type(error)(f"{episode.name}: {error}") from error


def _location(model: PerSAM, concepts: Sequence[Concept], photos: Iterable[Held], start: Calibration) -> LocationFit:
    by_name = {concept.name: concept for concept in concepts}
    known = []
    for name, target in photos:
        assert target.truth is not None
        embedding = model.backbone.encode([target.photo.read()])
        known.append(KnownPhoto.of(by_name[name], embedding, target.truth.read()))
    return fit_location(known, start)


def _with(model: PerSAM, calibration: Calibration) -> PerSAM:
    return PerSAM(model.backbone, recipe=FINDER, calibration=calibration)


def _evidence(comparison: Comparison, calibration: Calibration) -> float:
    return comparison.evidence[calibration.same_part, calibration.choice]


def _verdicts(
    comparisons: Sequence[Comparison], concept: Concept, calibration: Calibration, curve: Presence
) -> list[Verdict]:
    evidence = [(_evidence(one, calibration), one.held) for one in comparisons if one.concept == concept.name]
    return [Verdict(value, present=value >= curve.threshold, held=held) for value, held in evidence]


def _unseen(verdicts: Sequence[Sequence[Verdict]]) -> Metrics | None:
    try:
        return judge_by_halves(verdicts)
    except DataError:  # half of few objects may fit no curve where all of them do
        return None


def _shares(metrics: Metrics) -> str:
    assert metrics.refused is not None
    assert metrics.accepted is not None
    return f"absent refused {100 * metrics.refused:.1f} %, present accepted {100 * metrics.accepted:.1f} %"
