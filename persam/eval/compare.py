"""Recipes beside each other on one benchmark, all with one model: what `persam eval` runs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from persam.errors import PerSAMError
from persam.eval import ablation
from persam.eval.benchmark import BENCHMARKS, Evaluation, Predict, Run, evaluate, find
from persam.eval.predict import ORACLE, oracle_box, predictor, run_of
from persam.eval.tracked import run_of_tracker, tracker_predictor
from persam.model import PerSAM
from persam.tracking.recipes import TRACKING_RECIPES

# Given a recipe's name and what answers, it gives what answers the same and may tell somebody how far it is.
Watch = Callable[[str, Predict], Predict]


def compare(
    model: PerSAM,
    benchmark: str,
    recipes: Sequence[str],
    root: Path,
    out: Path,
    csv_path: Path,
    *,
    shots: int | None = None,
    fold: int | None = None,
    seed: int | None = None,
    only: Sequence[str] | None = None,
    watch: Watch = lambda recipe, predict: predict,
) -> Mapping[str, Evaluation]:
    """What each recipe came to; arguments and errors are those of `evaluate`.

    recipes: names, or ablations such as `persam@verify=False`; `oracle_box` stands for the mask of the truth's own box.
    """
    done = {}
    for name in dict.fromkeys(recipes):
        run, predict = _asked(model, benchmark, name)
        done[name] = evaluate(
            run, watch(name, predict), root, out, csv_path, shots=shots, fold=fold, seed=seed, only=only
        )
    return done


def check(recipe: str, benchmark: str) -> None:
    """Nothing, where the recipe, the ablation or the ceiling of that name can be measured on the benchmark.

    Raises:
        PerSAMError: there is none, or it is a tracker's and the benchmark has no videos.
    """
    if recipe in TRACKING_RECIPES and not find(benchmark).of_video:
        videos = ", ".join(name for name, one in BENCHMARKS.items() if one.of_video)
        raise PerSAMError(f"{recipe!r} tracks through videos, and {benchmark} has none. Measure it on {videos}.")
    if recipe == ORACLE or recipe in TRACKING_RECIPES:
        return
    try:
        ablation.parse(recipe)
    except PerSAMError as error:
        more = f"{ORACLE}, which is told where the object is; for videos {', '.join(TRACKING_RECIPES)}"
        raise PerSAMError(f"{error} Or {more}.") from error


def _asked(model: PerSAM, benchmark: str, name: str) -> tuple[Run, Predict]:
    if name == ORACLE:
        return run_of(benchmark, model, oracle=True), oracle_box(model)
    if name in TRACKING_RECIPES:
        recipe = TRACKING_RECIPES[name]
        return run_of_tracker(benchmark, model, recipe), tracker_predictor(model, recipe)
    changed = PerSAM(
        model.backbone, recipe=ablation.parse(name), calibration=model.calibration, threshold=model.threshold
    )
    return run_of(benchmark, changed), predictor(changed)
