"""`persam segment` and `persam learn`. An edge, without logic of its own."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persam.cli.shell import (
    check_mask_words,
    load_concepts,
    load_model,
    make_writable,
    one_line,
    read_each,
    read_mark,
    say,
    warned_already,
)
from persam.errors import PerSAMError

if TYPE_CHECKING:
    from persam.io.album import Target
    from persam.io.folder import Folder, Record
    from persam.io.results import ImageResult
    from persam.method.concept import Concept
    from persam.model import PerSAM


def segment(options: argparse.Namespace) -> int:
    """Words, photos and places are tried before a model is loaded."""
    from persam.io.album import iter_targets

    targets = options.inputs if options.concepts else options.inputs[2:]
    if not targets:
        raise PerSAMError("segment needs REF MASK TARGET..., or --concept FILE TARGET...: there is no target.")
    if options.concepts and options.recipe:
        raise PerSAMError("a concept keeps the recipe it was learned with: leave --recipe away, or learn it again.")
    if options.max_instances < 1:
        raise PerSAMError(f"--max-instances {options.max_instances} finds nothing: give 1 or more.")
    check_mask_words(options)
    album = list(
        iter_targets(targets, recursive=options.recursive)  # nothing is read yet, but a missing folder is noticed
    )
    make_writable(options.output)
    if options.concepts:
        concepts = load_concepts(options.concepts)
        folder = _folder(options, [concept.name for concept in concepts])
        model = load_model(options, options.model or concepts[0].backbone)
    elif options.each:
        rgb, masks = _labelled(*options.inputs[:2])
        folder = _folder(options, list(masks))
        model, concepts = _model_and_each(options, rgb, masks)
    else:
        folder = _folder(options, [Path(options.inputs[0]).stem])
        model, concept = _model_and_concept(options, options.inputs[:2], name=Path(options.inputs[0]).stem)
        concepts = [concept]
    most = options.max_instances
    model.segment((), concepts, max_instances=most)  # what cannot be searched is said before results are begun

    def ask(target: "Target") -> "ImageResult":
        return next(model.segment(target.source, concepts, max_instances=most))

    return _tell(folder.search(album, ask), [concept.name for concept in concepts], len(album), options.output)


def _folder(options: argparse.Namespace, names: list[str]) -> "Folder":
    from persam.io.folder import Folder

    several = options.max_instances > 1
    return Folder(options.output, tuple(names), instances=several, overlays=not options.no_overlays)


def _tell(records: "Iterator[Record]", names: list[str], photos: int, output: Path) -> int:
    """Prints every record as it comes, then says in how many photos each concept was found."""
    from tqdm import tqdm

    present: Counter[str] = Counter()
    failed = 0
    for record in tqdm(records, total=photos, unit="photo", disable=None, file=sys.stderr):
        if "error" in record:
            failed += 1
            tqdm.write(f"persam: {one_line(record['error'])}", file=sys.stderr)
        present.update({one["concept"] for one in record.get("objects", ()) if one["present"]})
        tqdm.write(json.dumps(record), file=sys.stdout)
        sys.stdout.flush()
    counts = ", ".join(f"{name!r} in {present[name]}" for name in names)
    unusable = f", {failed} could not be used" if failed else ""
    say(f"found {counts} of {photos} photos{unusable}; results are in {output}")
    return 2 if failed else 0


def learn(options: argparse.Namespace) -> int:
    if len(options.inputs) % 2:
        raise PerSAMError(
            f"learn needs a MASK for every REF, and got {len(options.inputs)} names: {' '.join(options.inputs)}."
        )
    check_mask_words(options)
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

    if len(options.inputs) != 2 or options.name:
        raise PerSAMError("--each takes one REF, one MASK and no --name: results are called 'object 1' on.")
    _, concepts = _model_and_each(options, *_labelled(*options.inputs))
    return [(one, one.save(options.output / f"{file_part(one.name)}.safetensors")) for one in concepts]


def _labelled(image: str, mask: str) -> "tuple[Any, dict[str, Any]]":
    """The reference and every object's mask in it, by name."""
    from persam.io.images import read_image

    rgb = read_image(image)
    return rgb, read_each(mask, (rgb.shape[0], rgb.shape[1]), image=image)


def _model_and_each(options: argparse.Namespace, rgb: Any, masks: dict[str, Any]) -> "tuple[PerSAM, list[Concept]]":
    """Loaded after the masks were read, as a model may be gigabytes to fetch."""
    model = load_model(options)
    with warned_already():
        return model, model.learn_each(rgb, list(masks.values()), names=list(masks))


def _model_and_concept(options: argparse.Namespace, pairs: list[str], *, name: str) -> "tuple[PerSAM, Concept]":
    """The references are read first: a wrong mask is noticed before a model of gigabytes is fetched."""
    references = [_reference(options, *pair) for pair in zip(pairs[::2], pairs[1::2], strict=True)]
    model = load_model(options)
    images, masks = ([pair[part] for pair in references] for part in (0, 1))
    with warned_already():
        return model, model.learn(images, masks, name=name)


def _reference(options: argparse.Namespace, image: str, mask: str) -> tuple[Any, Any]:
    from persam.io.images import read_image

    rgb = read_image(image)
    return rgb, read_mark(mask, options, (rgb.shape[0], rgb.shape[1]), image=image)
