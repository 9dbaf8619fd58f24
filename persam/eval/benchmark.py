"""Running a benchmark: predictions to files first, then numbers from the files, then rows in a CSV.

    OUT/<benchmark>/<model>/<recipe>/<fingerprint>/settings.json
    OUT/<benchmark>/<model>/<recipe>/<fingerprint>/<episode>/<target>.png, predictions.json

`predictions.json` is written last: an episode that has it is finished. The fingerprint stands for everything that the
predictions depend on, so what other settings made lies in another folder.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image

from persam.errors import DataError, PerSAMError
from persam.eval import scores
from persam.eval.datasets import (
    absence,
    album,
    coco20i,
    davis,
    fss,
    lookalikes,
    lvis92i,
    mosaic,
    parts,
    perseg,
    robustness,
)
from persam.eval.episodes import Answer, Episode, Prediction
from persam.eval.scores import Metrics, Row
from persam.eval.table import append_rows, provenance
from persam.io import write

Setting = str | int | float | bool | None
# For each target of the episodes, which go together (most often one), in order: a prediction for each episode, in order
Predict = Callable[[Sequence[Episode]], Iterator[tuple[Prediction, ...]]]


@dataclass(frozen=True)
class Benchmark:
    """A protocol: where its episodes come from and what is measured on their answers.

    options: which of shots, fold, seed and only the protocol has. overall: one more row, from all objects' answers.
    of_video: whether the targets are frames in order, which a tracker can follow. by: what a row is of, which the field
    `object` of the episodes names.
    """

    load: Callable[..., Iterator[Episode]]
    measure: Callable[[Iterable[Answer]], Metrics]
    options: tuple[str, ...] = ()
    overall: Callable[[Iterable[Iterable[Answer]]], Row] | None = None
    of_video: bool = False
    by: str = "objects"

    def episodes(
        self,
        root: Path,
        *,
        shots: int | None = None,
        fold: int | None = None,
        seed: int | None = None,
        only: Sequence[str] | None = None,
    ) -> tuple[Episode, ...]:
        """The protocol's episodes.

        Raises:
            DataError: the layout is not there, or the protocol does not have an option that was given.
        """
        given = {"shots": shots, "fold": fold, "seed": seed, "only": only}
        chosen = {name: value for name, value in given.items() if value is not None}
        if unknown := sorted(chosen.keys() - set(self.options)):
            has = ", ".join(self.options) or "no options"
            raise DataError(f"this benchmark has no {unknown[0]} to choose; it has {has}.")
        episodes = tuple(self.load(root, **chosen))
        if not episodes:
            raise DataError(f"{root} has the layout, but nothing to measure on. Is the download complete?")
        return episodes


_FEW_SHOT = ("fold", "shots", "seed")
BENCHMARKS: Mapping[str, Benchmark] = {
    "perseg": Benchmark(perseg.episodes, scores.measure_masks),
    "davis2016": Benchmark(davis.episodes_2016, scores.measure_video, of_video=True),
    "davis2017": Benchmark(davis.episodes_2017, scores.measure_video, of_video=True),
    "fss1000": Benchmark(fss.episodes, scores.measure_masks, options=("shots", "seed")),
    "coco20i": Benchmark(coco20i.episodes, scores.measure_masks, options=_FEW_SHOT),
    "lvis92i": Benchmark(lvis92i.episodes, scores.measure_masks, options=_FEW_SHOT),
    "pascal_part": Benchmark(parts.pascal_episodes, scores.measure_masks, options=_FEW_SHOT),
    "paco_part": Benchmark(parts.paco_episodes, scores.measure_masks, options=_FEW_SHOT),
    "album": Benchmark(album.episodes, scores.measure_masks),
    "mosaic": Benchmark(mosaic.episodes, scores.measure_mosaic, of_video=True),
    "absence": Benchmark(absence.episodes, scores.measure_presence, overall=scores.measure_fitted_presence),
    "robustness": Benchmark(robustness.episodes, scores.measure_changed, options=("only",), by="changes"),
    "lookalikes": Benchmark(lookalikes.episodes, scores.measure_lookalikes),
    "counter_examples": Benchmark(lookalikes.episodes_with_counter_examples, scores.measure_lookalikes),
}


@dataclass(frozen=True)
class Run:
    """Whose predictions these are.

    model, recipe: their names, which are folders too. settings: everything else that the predictions depend on, such
    as the source's digest, the weights' checksum and the recipe's values.
    """

    benchmark: str
    model: str
    recipe: str
    settings: Mapping[str, Setting]

    def fingerprint(self, episodes: Sequence[Episode], root: Path) -> str:
        """Twelve hex digits for the settings and the episodes, the same wherever the data lies."""
        asked = [_outline(episode, root) for episode in episodes]
        text = json.dumps([self.benchmark, self.model, self.recipe, dict(self.settings), asked], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def folder(self, out: Path, fingerprint: str) -> Path:
        return out / self.benchmark / self.model / self.recipe / fingerprint


@dataclass(frozen=True)
class Evaluation:
    """What a run came to. rows: one an object, their mean, then the overall one where the benchmark has it.

    folder: where the predictions of its episodes lie.
    """

    rows: tuple[Row, ...]
    episodes: tuple[Episode, ...]
    folder: Path


def find(name: str) -> Benchmark:
    """The benchmark of that name.

    Raises:
        DataError: there is none.
    """
    if name not in BENCHMARKS:
        raise DataError(f"there is no benchmark {name!r}; there are {', '.join(BENCHMARKS)}.")
    return BENCHMARKS[name]


def evaluate(
    run: Run,
    predict: Predict,
    root: Path,
    out: Path,
    csv_path: Path,
    *,
    shots: int | None = None,
    fold: int | None = None,
    seed: int | None = None,
    only: Sequence[str] | None = None,
    machine: str | None = None,
) -> Evaluation:
    """Predicts what is not predicted yet, scores it all from the files, and appends the rows to the CSV.

    Args:
        run: whose predictions these are.
        predict: the model; not called for episodes that are finished.
        root: the benchmark's own folder, in its public layout.
        out: where predictions go and, when interrupted, are found again.
        csv_path: the table that grows; made when it is not there.
        shots: references an episode, where the protocol has a choice; its own number when None.
        fold: which part of the classes, likewise.
        seed: of the draws, likewise.
        only: the changes of the photos, likewise; all of them when None.
        machine: named in the rows; the processor and its cores when None.

    Raises:
        DataError: the benchmark is unknown, or the layout is not there.
        OutputError: predictions or rows cannot be written.
    """
    benchmark = find(run.benchmark)
    episodes = benchmark.episodes(root, shots=shots, fold=fold, seed=seed, only=only)
    fingerprint = run.fingerprint(episodes, root)
    folder = run.folder(out, fingerprint)
    settings = {**run.settings, "model": run.model, "recipe": run.recipe, "shots": shots, "fold": fold, "seed": seed}
    write.write_bytes(json.dumps(settings | {"only": only}, indent=2).encode(), folder / "settings.json")
    export(predict, episodes, folder)
    rows = score(benchmark, episodes, folder)
    append_rows(csv_path, rows, provenance(run.benchmark, run.model, run.recipe, fingerprint, machine=machine))
    return Evaluation(rows, episodes, folder)


def export(predict: Predict, episodes: Sequence[Episode], folder: Path) -> None:
    """Writes the predictions of every episode that is not finished. Episodes that go together are asked together."""
    for together in grouped(episodes):
        if all(_record(folder, episode).is_file() for episode in together):
            continue
        written: list[list[dict[str, object]]] = [[] for _ in together]
        for place, predictions in zip(range(len(together[0].targets)), predict(together), strict=True):
            for episode, prediction, entries in zip(together, predictions, written, strict=True):
                name = episode.targets[place].name
                picture = Image.fromarray(prediction.mask.astype(np.uint8) * np.uint8(255))
                write.write_bytes(write.encode(picture, "PNG"), folder / episode.name / f"{name}.png")
                entries.append(_entry(name, prediction))
        for episode, entries in zip(together, written, strict=True):
            write.write_bytes(json.dumps(entries, indent=1).encode(), _record(folder, episode))


def grouped(episodes: Sequence[Episode]) -> Iterator[list[Episode]]:
    """The episodes that go together; most often one by one."""
    for _, group in groupby(enumerate(episodes), key=lambda item: item[1].together or item[0]):
        yield [episode for _, episode in group]


def answers(episode: Episode, folder: Path) -> Iterator[Answer]:
    """An episode's targets with the predictions that lie in the folder, paired by name.

    Raises:
        DataError: the episode is not finished, or lacks a target.
    """
    record = _record(folder, episode)
    if not record.is_file():
        raise DataError(f"{episode.name} has no predictions in {folder}. Export them first.")
    entries = {entry["name"]: entry for entry in json.loads(record.read_text())}
    for target in episode.targets:
        if target.name not in entries:
            raise DataError(f"{record} lacks {target.name}. Delete the file to predict the episode again.")
        entry = entries[target.name]
        with Image.open(folder / episode.name / f"{target.name}.png") as image:
            mask = np.asarray(image) > 0
        prediction = Prediction(
            mask=mask,
            score=entry["score"],
            presence=entry["presence"],
            present=entry["present"],
            points_xy=np.array(entry["points_xy"], dtype=np.float32).reshape(-1, 2),
            labels=np.array(entry["labels"], dtype=np.float32),
            seconds=entry["seconds"],
        )
        yield Answer(target, prediction)


def score(benchmark: Benchmark, episodes: Sequence[Episode], folder: Path) -> tuple[Row, ...]:
    """The rows of finished episodes: one an object, their mean (of the objects' numbers), and the overall one."""
    by_object: dict[str, list[Episode]] = {}
    for episode in episodes:
        by_object.setdefault(episode.object, []).append(episode)
    rows = [_row(benchmark, name, own, folder) for name, own in by_object.items()]
    n, seconds = sum(row.n for row in rows), sum(row.seconds for row in rows)
    rows.append(Row("mean", n, seconds, scores.mean_metrics([row.metrics for row in rows])))
    if benchmark.overall is not None:
        rows.append(benchmark.overall(_answers_of(own, folder) for own in by_object.values()))
    return tuple(rows)


def _row(benchmark: Benchmark, name: str, episodes: Sequence[Episode], folder: Path) -> Row:
    count, seconds = 0, 0.0

    def counted() -> Iterator[Answer]:
        nonlocal count, seconds
        for answer in _answers_of(episodes, folder):
            count += 1
            seconds += answer.prediction.seconds
            yield answer

    try:
        metrics = benchmark.measure(counted())
    except PerSAMError as error:
        raise type(error)(f"{name}: {error}") from error
    return Row(name, count, seconds, metrics)


def _answers_of(episodes: Sequence[Episode], folder: Path) -> Iterator[Answer]:
    for episode in episodes:
        yield from answers(episode, folder)


def _outline(episode: Episode, root: Path) -> list[object]:
    shown = [reference.photo for reference in (*episode.references, *episode.not_this)]
    photos = shown + [target.photo for target in episode.targets]
    places = [[photo.path.relative_to(root).as_posix(), photo.crop_xyxy] for photo in photos]
    beside = [photo.beside.relative_to(root).as_posix() for photo in photos if photo.beside is not None]
    return [episode.name, places, [target.name for target in episode.targets], *beside]


def _record(folder: Path, episode: Episode) -> Path:
    return folder / episode.name / "predictions.json"


def _entry(name: str, prediction: Prediction) -> dict[str, object]:
    return {
        "name": name,
        "score": float(prediction.score),
        "presence": float(prediction.presence),
        "present": bool(prediction.present),
        "points_xy": prediction.points_xy.tolist(),
        "labels": prediction.labels.tolist(),
        "seconds": float(prediction.seconds),
    }
