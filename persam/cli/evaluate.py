"""`persam eval`, its actions `calibrate` and `instances`, and `persam demo`. An edge, without logic of its own."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from persam.cli.shell import load_model, make_writable, say
from persam.errors import OutputError

if TYPE_CHECKING:
    from persam.eval.benchmark import Predict
    from persam.eval.episodes import Episode, Prediction

Item = TypeVar("Item")


def evaluate(options: argparse.Namespace) -> int:
    """Names, data and places are tried before a model is loaded."""
    from persam.eval import benchmark

    only = [name for words in options.only or [] for name in words.split(",")] or None
    given = {"shots": options.shots, "fold": options.fold, "seed": options.seed, "only": only}
    protocol = benchmark.find(options.benchmark)
    episodes = protocol.episodes(options.data, **given)

    from persam.eval import compare, report, sheet, table

    recipes = [name for words in options.recipes or ["persam"] for name in words.split(",")]
    for name in recipes:
        compare.check(name, options.benchmark)
    make_writable(options.output)
    table.start_table(options.csv)
    model = load_model(options)
    done = compare.compare(
        model,
        options.benchmark,
        recipes,
        options.data,
        options.output,
        options.csv,
        **given,
        watch=lambda recipe, answer: _watched(recipe, answer, episodes),
    )
    objects = len({episode.object for episode in episodes})
    print(f"{options.benchmark} with {model.backbone.name}, {objects} {protocol.by}, in percent:")
    few = protocol.by == "objects" and not options.verbose  # a change is what one looks for
    rows = {name: evaluation.rows for name, evaluation in done.items()}
    for line in report.lines(rows, without=objects if few else 0):
        print(line)
    place = options.output / options.benchmark / model.backbone.name
    if options.sheet:
        say(f"look at {sheet.write(done, place / 'sheet.jpg')}")
    say(f"predictions are in {place}, rows in {options.csv}")
    return 0


def _watched(recipe: str, predict: "Predict", episodes: "Sequence[Episode]") -> "Predict":
    """The same answers, with a bar on a terminal that knows where a run that was stopped goes on."""
    from tqdm import tqdm

    from persam.eval.benchmark import grouped

    starts, photos = {}, 0
    for together in grouped(episodes):
        starts[together[0].name] = photos
        photos += len(together[0].targets)

    def watched(together: "Sequence[Episode]") -> "Iterator[tuple[Prediction, ...]]":
        bar.update(starts[together[0].name] - bar.n)
        for predictions in predict(together):
            bar.update()
            yield predictions

    # goes away with the function that it counts for
    bar = tqdm(total=photos, desc=recipe, unit="photo", disable=None, leave=False, file=sys.stderr)
    return watched


def calibrate(options: argparse.Namespace) -> int:
    from persam.eval import calibrate as fitting
    from persam.method.calibration import own_file

    episodes = fitting.read_episodes(options.data)
    model = load_model(options)
    path = options.output or own_file(model.backbone.fingerprint)
    make_writable(path.parent)
    if path.is_dir():
        raise OutputError(f"cannot write {path}: it is a folder. Name a file in it with -o.")
    fit = fitting.calibrate(model, episodes, presence_only=options.presence_only, watch=_counted)
    for line in fit.lines():
        print(line)
    fit.calibration.save(path)
    found = f"give it as --calibration {path}" if options.output else "it is used from now on"
    say(f"the calibration of {model.backbone.name} is in {path}; {found}")
    return 0


def instances(options: argparse.Namespace) -> int:
    from persam.eval import instances as counting
    from persam.eval import table

    things = counting.things_of(options.data)
    scenes = counting.read_scenes(options.examples, things)
    make_writable(options.output)
    table.start_table(options.csv)
    model = load_model(options)
    for line in counting.run(model, scenes, options.output, options.csv, watch=lambda asked: _counted(asked, "count")):
        print(line, flush=True)
    say(f"pictures are in {options.output}, rows in {options.csv}")
    return 0


def _counted(items: Sequence[Item], task: str) -> Iterable[Item]:
    from tqdm import tqdm

    bar: Iterable[Item] = tqdm(items, desc=task, unit="photo", disable=None, leave=False, file=sys.stderr)
    return bar


def demo(options: argparse.Namespace) -> int:
    from persam.eval import demo as examples

    examples.read_albums(options.data)  # before anything is made: most often they are not there
    make_writable(options.output)
    for line in examples.run(load_model(options), options.data, options.output):
        print(line, flush=True)
    return 0
