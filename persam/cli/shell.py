"""What every command does beside its task: speak in single lines, try its output folder, load the model it is given."""

import argparse
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persam.errors import InputWarning, NotCalibratedWarning, OutputError, PerSAMError

if TYPE_CHECKING:
    from persam.method.concept import Concept
    from persam.model import PerSAM


OWN = (NotCalibratedWarning, InputWarning)


def say(text: str) -> None:
    """A line on stderr."""
    print(f"persam: {one_line(text)}", file=sys.stderr)


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
    return api.load(
        model or options.model or "nano",
        device=options.device,
        recipe=getattr(options, "recipe", None) or "persam",
        calibration=options.calibration,
        threshold=getattr(options, "threshold", 0.5),
        base=options.base,
        pixels=options.pixels,
    )


def load_concepts(paths: Sequence[str]) -> "list[Concept]":
    from persam.method.concept import Concept

    return [Concept.load(path) for path in paths]


@contextmanager
def warned_already() -> Iterator[None]:
    """What was said of masks when they were read is not said again when they are used."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        yield


def read_mark(word: str, options: argparse.Namespace, image_hw: tuple[int, int], *, image: str) -> Any:
    """The prompt that a word says, or the mask of the file that it names, by --label, --invert and --alpha."""
    from persam.io.masks import Mask, read_mask
    from persam.method.prompts import parse_prompt

    prompt = parse_prompt(word)
    if prompt is not None:
        return prompt
    mask = Mask(word, label=options.label, invert=options.invert, alpha=options.alpha)
    return read_mask(mask, image_hw, image_name=image, photo=image)


def read_each(word: str, image_hw: tuple[int, int], *, image: str) -> "dict[str, Any]":
    """Every object's mask in the file that a word names, by what results call the object."""
    from persam.io.masks import object_name, read_labels

    return {object_name(label): mask for label, mask in read_labels(word, image_hw, image_name=image).items()}


def check_mask_words(options: argparse.Namespace) -> None:
    """What is said of masks must go together, and there must be masks."""
    chosen = [word for word in ("label", "invert", "alpha") if getattr(options, word) not in (None, False)]
    each = options.each or getattr(options, "labels", None) is not None
    if chosen and each:
        raise PerSAMError(f"--each takes every object as it is: leave --{chosen[0]} away.")
    if options.label is not None and options.alpha:
        raise PerSAMError("--label chooses by value and --alpha by transparency: give one of them.")
    if (chosen or options.each) and getattr(options, "concepts", None):
        raise PerSAMError(f"a concept needs no mask: leave --{chosen[0] if chosen else 'each'} away.")


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
