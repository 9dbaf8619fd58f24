"""What every command does beside its task: speak in single lines, try its output folder, load the model it is given."""

import argparse
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from persam.cli.cache import cache_of
from persam.cli.streams import printable
from persam.errors import CacheWarning, ConceptError, InputWarning, NotCalibratedWarning, OutputError, WeightsError

if TYPE_CHECKING:
    from persam.method.concept import Concept
    from persam.model import PerSAM


OWN = (NotCalibratedWarning, InputWarning, CacheWarning)


def say(text: str) -> None:
    """A line on stderr."""
    print(printable(f"persam: {one_line(text)}", sys.stderr), file=sys.stderr)


def one_line(text: str) -> str:
    return " ".join(text.split())


@contextmanager
def own_warnings_as_lines() -> Iterator[None]:
    """Warnings of persam's own are said like everything else; others are left as they are."""
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(message, category, *where, **more) -> None:  # type: ignore[no-untyped-def]  # as warnings calls it
            if issubclass(category, OWN):
                say(f"warning: {message}")
            else:
                others(message, category, *where, **more)

        for own in OWN:
            warnings.simplefilter("always", own)
        warnings.showwarning = show
        yield


def load_model(options: argparse.Namespace, model: str | None = None) -> "PerSAM":
    """The model that the options name; `model` goes before theirs."""
    from persam import api
    from persam.sam import malloc
    from persam.sam.load import find_device

    if find_device(options.device).type == "cpu":
        malloc.keep_large_blocks()
    with_cache = cache_of(options)  # before weights are fetched
    loaded = api.load(
        model or options.model or "nano",
        device=options.device,
        recipe=getattr(options, "recipe", None) or "persam",
        calibration=options.calibration,
        threshold=getattr(options, "threshold", 0.5),
        base=options.base,
        pixels=options.pixels,
    )
    return with_cache(loaded)


def load_model_of(options: argparse.Namespace, concept: "Concept") -> "PerSAM":
    """The model that the options name, else the one that the concept was learned with.

    Raises:
        ConceptError: that was a file, which only --model can name.
    """
    from persam.sam.weights import TABLE

    try:
        return load_model(options, options.model or concept.backbone)
    except WeightsError as error:
        if options.model or concept.backbone in TABLE:
            raise
        raise ConceptError(
            f"the concept {concept.name!r} was learned with the checkpoint {concept.backbone!r} (weights "
            f"{concept.fingerprint}), which is none of the named models. Give its file with --model."
        ) from error


def load_concepts(paths: Sequence[str]) -> "list[Concept]":
    from persam.method.concept import Concept

    return [Concept.load(path) for path in paths]


def files_of(options: argparse.Namespace, words: Sequence[str | None]) -> tuple[Path, ...]:
    """Every file that the command reads beside its album, and so may not write; words are photos and masks."""
    more = [options.model, options.base, options.calibration]
    return tuple(Path(word).expanduser() for word in (*words, *more) if word)


def check_concept_file(path: Path, inputs: Sequence[Path]) -> None:
    """Notices that a concept would replace what it is learned from, or another file that is no concept."""
    check_no_input(path, inputs)
    from persam.method.concept import is_concept_file

    if path.is_file() and path.stat().st_size and not is_concept_file(path):
        raise OutputError(f"{path} is there and is no concept, which -o could replace. Name another file.")


def check_no_input(path: Path, inputs: Sequence[Path]) -> None:
    """Notices that a file would replace one that the command reads."""
    from persam.io.names import key

    for given in inputs if path.exists() else ():
        if given.exists() and (given.samefile(path) or key(str(given.absolute())) == key(str(path.absolute()))):
            raise OutputError(
                f"{given} is an input of this command, and -o {path} would replace it. Name another file."
            )


def make_writable(folder: Path) -> None:
    """Makes the folder and tries it, before anything expensive is done for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".persam-can-write"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = "it is a file" if folder.is_file() else (error.strerror or str(error)).lower()
        raise OutputError(f"cannot write into {folder}: {reason}. Choose another folder with -o.") from error
