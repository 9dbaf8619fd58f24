"""Where the object is in its photo, as the shell's words say it: read, and learned from."""

import argparse
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persam.cli.shell import load_concepts, load_model, load_model_of
from persam.errors import InputWarning, PerSAMError

if TYPE_CHECKING:
    from persam.method.concept import Concept
    from persam.model import PerSAM


def check_mask_words(options: argparse.Namespace) -> None:
    """What is said of masks must go together, and there must be masks."""
    chosen = [word for word in ("label", "invert", "alpha") if getattr(options, word) not in (None, False)]
    each = options.each or getattr(options, "labels", None) is not None
    if chosen and each:
        raise PerSAMError(f"--each takes every object as it is: leave --{chosen[0]} away.")
    if options.label is not None and options.alpha:
        raise PerSAMError("--label chooses by value and --alpha by transparency: give one of them.")
    if getattr(options, "not_this", None):
        if options.each:
            raise PerSAMError("--each learns several objects, and --not belongs to one: learn them one by one.")
        if getattr(options, "concepts", None):
            raise PerSAMError("a concept keeps the counter-examples it was learned with: leave --not away.")
    if (chosen or options.each) and getattr(options, "concepts", None):
        raise PerSAMError(f"a concept needs no mask: leave --{chosen[0] if chosen else 'each'} away.")


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


def read_each_of(image: str, mask: str) -> "tuple[Any, dict[str, Any]]":
    """The reference and every object's mask in it, by name."""
    from persam.io.images import read_image

    rgb = read_image(image)
    return rgb, read_each(mask, (rgb.shape[0], rgb.shape[1]), image=image)


def references_of(options: argparse.Namespace, pairs: Sequence[str]) -> list[tuple[Any, Any]]:
    """Photos and masks are read first: a wrong one is noticed before a model of gigabytes is fetched."""
    return [_reference(options, image, mask) for image, mask in zip(pairs[::2], pairs[1::2], strict=True)]


def counter_examples_of(options: argparse.Namespace) -> list[tuple[Any, Any]]:
    """Photos and masks of --not, read as the references are."""
    return references_of(options, words_of_not(options))


def words_of_not(options: argparse.Namespace) -> list[str]:
    return [word for pair in options.not_this for word in pair]


def learned(
    model: "PerSAM", references: Sequence[tuple[Any, Any]], name: str, not_this: Sequence[tuple[Any, Any]] = ()
) -> "Concept":
    images, masks = ([pair[part] for pair in references] for part in (0, 1))
    with warned_already():
        return model.learn(images, masks, not_this=not_this, name=name)


def learned_each(model: "PerSAM", rgb: Any, masks: dict[str, Any]) -> "list[Concept]":
    with warned_already():
        return model.learn_each(rgb, list(masks.values()), names=list(masks))


def asked_for(options: argparse.Namespace) -> "tuple[PerSAM, list[Concept]]":
    """The model, and the concepts of the files or the one of REF MASK, which is called as REF."""
    check_mask_words(options)
    if options.concepts:
        concepts = load_concepts(options.concepts)
        return load_model_of(options, concepts[0]), concepts
    references = references_of(options, options.inputs[:2])
    model = load_model(options)
    return model, [learned(model, references, Path(options.inputs[0]).stem)]


@contextmanager
def warned_already() -> Iterator[None]:
    """What was said of masks when they were read is not said again when they are used."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        yield


def _reference(options: argparse.Namespace, image: str, mask: str) -> tuple[Any, Any]:
    from persam.io.images import read_image

    rgb = read_image(image)
    return rgb, read_mark(mask, options, (rgb.shape[0], rgb.shape[1]), image=image)
