"""What `persam segment` looks for, in this process or on a cluster: concepts, or what is learned from a reference."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persam.cli.marks import counter_examples_of, learned, learned_each, read_each_of, references_of, words_of_not
from persam.cli.settings import digest_of_marks, digests_of_files
from persam.cli.shell import load_concepts, load_model, load_model_of

if TYPE_CHECKING:
    from persam.method.concept import Concept
    from persam.model import PerSAM


@dataclass(frozen=True)
class Asked:
    """The names of what is looked for, and what it takes.

    words: what decides the results beside the model. files: read beside the album. learn: loads the model, and learns.
    """

    names: list[str]
    words: dict[str, Any]
    files: list[str]
    learn: "Callable[[], tuple[PerSAM, list[Concept]]]"


def asked_of(options: argparse.Namespace) -> Asked:
    """Photos, masks and concepts are read here: a wrong one is noticed before a model of gigabytes is fetched."""
    words: dict[str, Any] = {"threshold": options.threshold, "recipe": options.recipe or "persam"}
    if options.concepts:
        known = load_concepts(options.concepts)
        words |= {"recipe": [one.recipe.name for one in known], "learned": digests_of_files(options.concepts)}
        names = [one.name for one in known]
        return Asked(names, words, options.concepts, lambda: (load_model_of(options, known[0]), known))
    reference = options.inputs[:2]
    if options.each:
        rgb, masks = read_each_of(*reference)
        words |= {"learned": digest_of_marks((rgb, mask) for mask in masks.values())}

        def learn_each() -> "tuple[PerSAM, list[Concept]]":
            model = load_model(options)
            return model, learned_each(model, rgb, masks)

        return Asked(list(masks), words, reference, learn_each)
    name = Path(reference[0]).stem
    references, others = references_of(options, reference), counter_examples_of(options)
    words |= {"learned": digest_of_marks(references)}
    words |= {"not_this": digest_of_marks(others)} if others else {}

    def learn() -> "tuple[PerSAM, list[Concept]]":
        model = load_model(options)
        return model, [learned(model, references, name, others)]

    return Asked([name], words, [*reference, *words_of_not(options)], learn)
