"""`persam segment` and `persam learn`. An edge, without logic of its own."""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persam.cli import cluster
from persam.cli.asked import asked_of
from persam.cli.marks import (
    check_mask_words,
    counter_examples_of,
    learned,
    learned_each,
    read_each_of,
    references_of,
    words_of_not,
)
from persam.cli.settings import settings_of
from persam.cli.shell import (
    check_concept_file,
    files_of,
    load_model,
    make_writable,
    one_line,
    say,
)
from persam.cli.streams import printable
from persam.cli.table import Printer
from persam.errors import PerSAMError

if TYPE_CHECKING:
    from persam.io.album import Target
    from persam.io.folder import Folder
    from persam.io.results import ImageResult
    from persam.io.run import Record
    from persam.method.concept import Concept


def segment(options: argparse.Namespace) -> int:
    """Words, photos and places are tried before a model is loaded."""
    from persam.io.album import iter_targets

    cluster.check_engine(options)
    targets = options.inputs if options.concepts else options.inputs[2:]
    if not targets:
        raise PerSAMError("segment needs REF MASK TARGET..., or --concept FILE TARGET...: there is no target.")
    if options.concepts and options.recipe:
        raise PerSAMError("a concept keeps the recipe it was learned with: leave --recipe away, or learn it again.")
    if options.max_instances < 1:
        raise PerSAMError(f"--max-instances {options.max_instances} finds nothing: give 1 or more.")
    check_mask_words(options)
    if options.engine == "ray":
        return cluster.segment(options)
    # nothing is read yet, but a folder that is not there is noticed
    album = _without_results(list(iter_targets(targets, recursive=options.recursive)), options.output)
    asked = asked_of(options)
    folder = _folder(options, asked.names, asked.files)
    _prepare(folder, asked.words, album)
    model, concepts = asked.learn()
    most = options.max_instances
    model.segment((), concepts, max_instances=most)  # what cannot be searched is said before results are begun

    from persam.engines import batches  # imports torch, for which wrong words do not wait

    def engine(photos: "Sequence[Target]") -> "Iterator[ImageResult]":
        return batches.search(model, photos, concepts, max_instances=most, hold=folder.overlays)

    kept: list[Record] = []
    folder = replace(folder, settings=settings_of(asked.words, model))
    printer = Printer("image", [str(target.source) for target in album], as_json=options.json)
    records = folder.search_all(album, engine, behind=batches.photos_at_once(model.backbone), kept=kept.extend)
    return _tell(records, kept, folder, len(album), printer)


def _without_results(album: "list[Target]", output: Path) -> "list[Target]":
    """The album without the pictures that a run has left in the output folder, where it lies within the album's."""
    from persam.io.manifest import results_in

    own = results_in(output)
    photos = [target for target in album if not (own and os.path.realpath(str(target.source)) in own)]
    if len(photos) < len(album):
        say(f"left out {len(album) - len(photos)} pictures that a run has written into {output}")
    if not photos:
        raise PerSAMError(f"there is no photo to search: all that was given are results in {output}.")
    return photos


def _folder(options: argparse.Namespace, names: list[str], inputs: list[str]) -> "Folder":
    from persam.io.folder import Folder

    return Folder(
        options.output,
        tuple(names),
        max_instances=options.max_instances,
        overlays=not options.no_overlays,
        inputs=files_of(options, inputs),
        existing=options.existing,
    )


def _prepare(folder: "Folder", words: dict[str, Any], album: "list[Target]") -> None:
    """Tries the place for results before a model of gigabytes is fetched."""
    replace(folder, settings=settings_of(words)).check(album)
    make_writable(folder.path)


def _tell(records: "Iterator[Record]", kept: "list[Record]", folder: "Folder", photos: int, printer: Printer) -> int:
    """Prints every record as it comes, then says in how many photos each concept was found.

    kept: those of photos that were finished before this command.
    """
    from tqdm import tqdm

    present: Counter[str] = Counter()
    failed = 0
    for record in tqdm(records, total=photos, unit="photo", disable=None, file=sys.stderr):
        if "error" in record:
            failed += 1
            tqdm.write(f"persam: {one_line(record['error'])}", file=sys.stderr)
        present.update(_found(record))
        printer.show(record)
    for record in kept:
        present.update(_found(record))
    counts = ", ".join(f"{name!r} in {present[name]}" for name in folder.concepts)
    unusable = f", {failed} could not be used" if failed else ""
    before = f", {len(kept)} of them finished before" if kept else ""
    say(f"found {counts} of {photos} photos{before}{unusable}; results are in {folder.path}")
    return 2 if failed else 0


def _found(record: "Record") -> set[str]:
    return {one["concept"] for one in record.get("objects", ()) if one["present"]}


def learn(options: argparse.Namespace) -> int:
    if len(options.inputs) % 2:
        raise PerSAMError(
            f"learn needs a MASK for every REF, and got {len(options.inputs)} names: {' '.join(options.inputs)}."
        )
    check_mask_words(options)
    if options.each:
        files = _learn_each(options)
    else:
        check_concept_file(options.output, files_of(options, [*options.inputs, *words_of_not(options)]))
        references, others = references_of(options, options.inputs), counter_examples_of(options)
        concept = learned(load_model(options), references, options.name or options.output.stem, others)
        files = [(concept, concept.save(options.output))]
    for concept, path in files:
        size, count = path.stat().st_size, concept.counter_examples
        if sys.stdout.isatty() and not options.json:
            against = f", {count} counter-example{'s' if count > 1 else ''}" if count else ""
            print(printable(f"{concept.name}: {path} ({size / 1000:.0f} kB{against})", sys.stdout))
        else:
            told = {"concept": concept.name, "file": str(path), "bytes": size}
            print(json.dumps(told | ({"counter_examples": count} if count else {})))
    return 0


def _learn_each(options: argparse.Namespace) -> "list[tuple[Concept, Path]]":
    from persam.io.names import file_part

    if len(options.inputs) != 2 or options.name:
        raise PerSAMError("--each takes one REF, one MASK and no --name: results are called 'object 1' on.")
    rgb, masks = read_each_of(*options.inputs)  # before a model of gigabytes is fetched
    paths = [options.output / f"{file_part(name)}.safetensors" for name in masks]
    for path in paths:
        check_concept_file(path, files_of(options, options.inputs))
    concepts = learned_each(load_model(options), rgb, masks)
    return [(one, one.save(path)) for one, path in zip(concepts, paths, strict=True)]
