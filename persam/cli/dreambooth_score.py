"""`persam dreambooth score`. An edge, without logic of its own."""

import argparse
import json
import sys
from pathlib import Path

from persam.cli.action import Action
from persam.cli.marks import asked_for
from persam.cli.shell import one_line, say
from persam.cli.texts import SCORE_HELP
from persam.errors import PerSAMError


def add_score_options(command: argparse.ArgumentParser) -> None:
    command.usage = (
        "persam dreambooth score REF MASK SAMPLE...\n"
        "       persam dreambooth score SAMPLE... --concept FILE [--concept FILE]..."
    )
    command.epilog = "example: persam dreambooth score samples/ --concept rex.safetensors"
    command.add_argument("inputs", nargs="+", metavar="REF MASK SAMPLE", help=argparse.SUPPRESS)
    command.add_argument(
        "--concept",
        dest="concepts",
        action="append",
        metavar="FILE",
        help="what `persam learn` wrote, instead of REF MASK; give it again for more subjects",
    )
    command.add_argument(
        "--threshold",
        type=float,
        default=0.5,
        metavar="T",
        help="presence from 0 to 1 from which on it counts as shown (default: %(default)s)",
    )
    command.add_argument(
        "--features",
        choices=("persam", "dinov2", "clip"),
        default="persam",
        help="by which fidelity is judged: persam's own (the default), or a model of --features-model",
    )
    command.add_argument(
        "--features-model",
        type=Path,
        metavar="DIR",
        help="a folder that transformers loads as DINOv2 or CLIP; nothing is downloaded",
    )


def score(options: argparse.Namespace) -> int:
    """Words and the other model are tried before persam's is loaded."""
    from tqdm import tqdm

    from persam.dreambooth import scoring
    from persam.dreambooth.features import features_of
    from persam.io.album import iter_targets

    samples = options.inputs if options.concepts else options.inputs[2:]
    if not samples:
        raise PerSAMError("score needs REF MASK SAMPLE..., or SAMPLE... --concept FILE: there is no picture to score.")
    if options.concepts and options.features != "persam":
        raise PerSAMError(
            f"--features {options.features} needs the reference photo, which a concept's file does not hold: "
            "give REF MASK instead of --concept."
        )
    album = list(iter_targets(samples))
    features = features_of(options.features, options.features_model)
    model, concepts = asked_for(options)
    answers = []
    for answer in tqdm(
        scoring.score(album, concepts, model=model, features=features),
        total=len(album) * len(concepts),
        unit="picture",
        disable=None,
        file=sys.stderr,
    ):
        answers.append(answer)
        if answer.error:
            tqdm.write(f"persam: {one_line(answer.error)}", file=sys.stderr)
        tqdm.write(json.dumps(answer.to_record()), file=sys.stdout)
        sys.stdout.flush()
    for concept in concepts:
        say(scoring.summary(concept.name, answers))
    return 2 if any(one.error for one in answers) else 0


ACTIONS = {
    "score": Action(
        summary="say whether generated pictures show the object, and how alike it is",
        text=SCORE_HELP,
        options=add_score_options,
        run=score,
        segments=True,
    ),
}
