"""What the shell's words do: `persam segment|learn|demo|eval|weights`. An edge, without logic of its own.

Exit codes: 0 done, 2 something the user can put right (one line on stderr says what), 130 interrupted. Results go to
the output folder and, as one JSON line per photo, to stdout; everything meant for people goes to stderr.
"""

import argparse
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persam.cli.arguments import command_line
from persam.errors import ConceptError, OutputError, PerSAMError

if TYPE_CHECKING:
    from persam.eval.benchmark import Predict
    from persam.eval.episodes import Episode, Prediction
    from persam.io.album import Target
    from persam.io.folder import Record
    from persam.method.concept import Concept
    from persam.model import PerSAM


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    parser = command_line()
    options, more = parser.parse_known_args(arguments)
    if more and (not hasattr(options, "inputs") or any(word.startswith("-") for word in more)):
        parser.error(f"unknown arguments: {' '.join(more)}")
    if more:  # photos after -o OUT, which argparse does not take together with those before it
        options.inputs += more
    try:
        return COMMANDS[options.run](options)
    except PerSAMError as error:
        _say(str(error))
        return 2
    except BrokenPipeError:  # the reader of stdout has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        _say(f"{error}. Check that the disk has room and that the folder can be written.")
        return 2
    except KeyboardInterrupt:
        _say("interrupted; what was finished is on disk")
        return 130


def _segment(options: argparse.Namespace) -> int:
    from persam.io.album import iter_targets
    from persam.io.folder import Folder

    targets = options.inputs if options.concepts else options.inputs[2:]
    if not targets:
        raise PerSAMError("segment needs REF MASK TARGET..., or --concept FILE TARGET...: there is no target.")
    if options.concepts and options.recipe:
        raise PerSAMError("a concept keeps the recipe it was learned with: leave --recipe away, or learn it again.")
    if options.instances < 1:
        raise PerSAMError(f"--instances {options.instances} finds nothing: give 1 or more.")
    if options.instances > 1 and len(options.concepts or ()) > 1:
        raise PerSAMError("--instances is for one concept: leave it away, or search one --concept at a time.")
    album = list(iter_targets(targets))  # nothing is read yet, but a folder that is not there is noticed
    _make_writable(options.output)
    if options.concepts:
        concepts = _concepts(options.concepts)
        model = _load(options, options.model or concepts[0].backbone)
    else:
        model, concept = _model_and_concept(options, options.inputs[:2], name=Path(options.inputs[0]).stem)
        concepts = [concept]
    folder = Folder(options.output, overlays=not options.no_overlays)

    def ask(target: "Target") -> "Record":
        if len(concepts) > 1:
            return folder.concepts(target, next(model.segment_together(target.source, concepts)))
        if options.instances > 1:
            found = next(model.segment_instances(target.source, concepts[0], limit=options.instances))
            return folder.instances(target, found)
        return folder.one(target, model.segment_one(target, concepts[0]))

    return _tell(folder.search(album, ask), [concept.name for concept in concepts], len(album), options.output)


def _tell(records: "Iterator[Record]", names: list[str], photos: int, output: Path) -> int:
    """Prints every record as it comes, then says how often each concept was found."""
    from tqdm import tqdm

    present: Counter[str] = Counter()
    failed = 0
    for record in tqdm(records, total=photos, unit="photo", disable=None, file=sys.stderr):
        if "error" in record:
            failed += 1
            tqdm.write(f"persam: {_one_line(record['error'])}", file=sys.stderr)
        for found in record.get("concepts", [{"concept": names[0], "present": record.get("present", False)}]):
            present[found["concept"]] += found["present"]
        tqdm.write(json.dumps(record), file=sys.stdout)
        sys.stdout.flush()
    counts = ", ".join(f"{name!r} in {present[name]}" for name in names)
    unusable = f", {failed} could not be used" if failed else ""
    _say(f"found {counts} of {photos} photos{unusable}; results are in {output}")
    return 2 if failed else 0


def _concepts(paths: list[str]) -> "list[Concept]":
    """The concepts of the files, whose results must not take each other's place."""
    from persam.io.folder import file_part
    from persam.method.concept import Concept

    concepts = [Concept.load(path) for path in paths]
    taken: dict[str, str] = {}
    for path, concept in zip(paths, concepts, strict=True):
        other = taken.setdefault(file_part(concept.name).casefold(), path)
        if other is not path:
            raise ConceptError(
                f"{other} and {path} would both write their masks as {file_part(concept.name)!r}: learn one of them "
                "again with another name (`persam learn ... --name NAME`)."
            )
    return concepts


def _learn(options: argparse.Namespace) -> int:
    if len(options.inputs) % 2:
        raise PerSAMError(
            f"learn needs a MASK for every REF, and got {len(options.inputs)} names: {' '.join(options.inputs)}."
        )
    if options.each:
        files = _learn_each(options)
    else:
        _, concept = _model_and_concept(options, options.inputs, name=options.name or options.output.stem)
        files = [(concept, concept.save(options.output))]
    for concept, path in files:
        print(json.dumps({"concept": concept.name, "file": str(path), "bytes": path.stat().st_size}))
    return 0


def _learn_each(options: argparse.Namespace) -> "list[tuple[Concept, Path]]":
    from persam.io.folder import file_part
    from persam.io.images import read_image, read_labels

    if len(options.inputs) != 2 or options.name:
        raise PerSAMError("--each takes one REF, one map of labels and no --name: results are called 'object 1' on.")
    image, labels = options.inputs
    rgb = read_image(image)
    masks = read_labels(labels, rgb.shape[:2], image_name=image)  # before a model of gigabytes is fetched
    names = [f"object {label}" for label in masks]
    concepts = _load(options).learn_each(rgb, list(masks.values()), names=names)
    return [(one, one.save(options.output / f"{file_part(one.name)}.safetensors")) for one in concepts]


def _demo(options: argparse.Namespace) -> int:
    from persam.eval import demo

    demo.read_albums(options.data)  # before anything is made: most often they are not there
    _make_writable(options.output)
    for line in demo.run(_load(options), options.data, options.output):
        print(line, flush=True)
    return 0


def _model_and_concept(options: argparse.Namespace, pairs: list[str], *, name: str) -> "tuple[PerSAM, Concept]":
    """The references are read first: a wrong mask is noticed before a model of gigabytes is fetched."""
    references = [_reference(image, mask) for image, mask in zip(pairs[::2], pairs[1::2], strict=True)]
    model = _load(options)
    images, masks = ([pair[part] for pair in references] for part in (0, 1))
    return model, model.learn(images, masks, name=name)


def _reference(image: str, mask: str) -> tuple[Any, Any]:
    from persam.io.images import looks_inverted, read_image, read_mask
    from persam.method.prompts import parse_hint

    rgb, hint = read_image(image), parse_hint(mask)
    if hint is not None:
        return rgb, hint
    pixels = read_mask(mask, rgb.shape[:2], image_name=image)
    if looks_inverted(pixels):
        _say(f"warning: {mask} marks the border and most of {image}; is it inverted? The object should be light.")
    return rgb, pixels


def _eval(options: argparse.Namespace) -> int:
    """Names, data and places are tried before a model is loaded."""
    from persam.eval import benchmark

    given = {"shots": options.shots, "fold": options.fold, "seed": options.seed}
    episodes = benchmark.find(options.benchmark).episodes(options.data, **given)

    from persam.eval import compare, predict, report, sheet, table

    between = re.compile(r",(?![^(]*\))")  # a comma within brackets is part of a setting
    recipes = [name for words in options.recipes or ["persam"] for name in between.split(words)]
    for name in recipes:
        predict.check(name)
    _make_writable(options.output)
    table.start_table(options.csv)
    model = _load(options)
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
    print(f"{options.benchmark} with {model.backbone.name}, {objects} objects, in percent:")
    rows = {name: evaluation.rows for name, evaluation in done.items()}
    for line in report.lines(rows, without=0 if options.verbose else objects):
        print(line)
    place = options.output / options.benchmark / model.backbone.name
    if options.sheet:
        _say(f"look at {sheet.write(done, place / 'sheet.jpg')}")
    _say(f"predictions are in {place}, rows in {options.csv}")
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


def _load(options: argparse.Namespace, model: str | None = None) -> "PerSAM":
    from persam.method.recipes import find
    from persam.model import load

    recipe = find(options.recipe or "persam")
    name = model or options.model or "nano"
    threshold = getattr(options, "threshold", None)
    return load(
        name,
        device=options.device,
        recipe=recipe,
        threshold=threshold,
        base=options.base,
        pixels=options.pixels,
    )


def _make_writable(folder: Path) -> None:
    """Makes the folder and tries it, before anything expensive is done for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".persam-can-write"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = "it is a file" if folder.is_file() else (error.strerror or str(error)).lower()
        raise OutputError(f"cannot write into {folder}: {reason}. Choose another folder with -o.") from error


def _say(text: str) -> None:
    print(f"persam: {_one_line(text)}", file=sys.stderr)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _weights_list(options: argparse.Namespace) -> int:
    from persam.sam import weights

    table = [("NAME", "STATE", "SIZE", "LICENCE", "ABOUT")]
    for row in weights.rows():
        source = row.source
        size_bytes = row.path.stat().st_size if row.state in ("bundled", "here") else source.size_bytes
        size = f"{size_bytes / 1e6:.0f} MB" if size_bytes else "-"
        table.append((source.name, row.state, size, source.licence, source.about))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
    return 0


def _weights_fetch(options: argparse.Namespace) -> int:
    from persam.sam import weights

    print(weights.fetch(options.name))
    return 0


def _weights_verify(options: argparse.Namespace) -> int:
    from persam.sam import weights

    print(f"{weights.verify(options.name)}: the checksum is right")
    return 0


def _weights_path(options: argparse.Namespace) -> int:
    from persam.sam import weights

    print(weights.path(options.name))
    return 0


def _help(options: argparse.Namespace) -> int:
    options.parser.print_help()
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "help": _help,
    "segment": _segment,
    "learn": _learn,
    "demo": _demo,
    "eval": _eval,
    "weights list": _weights_list,
    "weights fetch": _weights_fetch,
    "weights verify": _weights_verify,
    "weights path": _weights_path,
}

if __name__ == "__main__":
    sys.exit(main())
