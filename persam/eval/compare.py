"""Recipes beside each other on one benchmark, all with one model: what `persam eval` runs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from persam.eval import ablation
from persam.eval.benchmark import Evaluation, Predict, evaluate
from persam.eval.predict import ORACLE, oracle_box, predictor, run_of
from persam.model import PerSAM

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
    watch: Watch = lambda recipe, predict: predict,
) -> Mapping[str, Evaluation]:
    """What each recipe came to; arguments and errors are those of `evaluate`.

    recipes: names, or ablations such as `persam@verify=False`; `oracle_box` stands for the mask of the truth's own box.
    """
    done = {}
    for name in dict.fromkeys(recipes):
        is_oracle = name == ORACLE
        asked = model if is_oracle else _with_recipe(model, name)
        predict = watch(name, oracle_box(asked) if is_oracle else predictor(asked))
        run = run_of(benchmark, asked, oracle=is_oracle)
        done[name] = evaluate(run, predict, root, out, csv_path, shots=shots, fold=fold, seed=seed)
    return done


def _with_recipe(model: PerSAM, name: str) -> PerSAM:
    recipe = ablation.parse(name)
    return PerSAM(model.backbone, recipe=recipe, calibration=model.calibration, threshold=model.threshold)
