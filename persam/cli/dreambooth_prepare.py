"""`persam dreambooth prepare`. An edge, without logic of its own."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from persam.cli.action import Action
from persam.cli.marks import asked_for
from persam.cli.shell import say
from persam.cli.texts import PREPARE_HELP
from persam.errors import PerSAMError

if TYPE_CHECKING:
    from persam.dreambooth.preparation import Outcome

FEW = 3  # photos with which DreamBooth's paper begins


def add_prepare_options(command: argparse.ArgumentParser) -> None:
    command.usage = (
        "persam dreambooth prepare REF MASK PHOTO... -o DIR\n"
        "       persam dreambooth prepare --concept FILE [--concept FILE]... PHOTO... -o DIR"
    )
    command.epilog = "example: persam dreambooth prepare rex.jpg rex_mask.png rex/ -o training --for kohya"
    command.add_argument("inputs", nargs="+", metavar="REF MASK PHOTO", help=argparse.SUPPRESS)
    command.add_argument(
        "-o", "--output", required=True, type=Path, metavar="DIR", help="a new or an empty folder for the pairs"
    )
    command.add_argument(
        "--for",
        dest="layout",
        default="diffusers",
        metavar="TRAINER",
        help="whose layout: diffusers (the default, also that of `persam dreambooth train`), kohya, onetrainer, "
        "simpletuner, ai-toolkit",
    )
    add_preparing_options(command)


def add_preparing_options(command: argparse.ArgumentParser) -> None:
    """What is said of the photos and the object, wherever they go."""
    command.add_argument(
        "--concept",
        dest="concepts",
        action="append",
        metavar="FILE",
        help="what `persam learn` wrote, instead of REF MASK; give it again for more subjects",
    )
    command.add_argument(
        "--caption",
        default="a photo of {}",
        metavar="TEXT",
        help="what each photo shows, {} being the concept's name: REF's without its suffix (default: '%(default)s')",
    )
    command.add_argument(
        "--threshold",
        type=float,
        default=0.5,
        metavar="T",
        help="presence from 0 to 1 below which a photo is refused (default: %(default)s)",
    )
    command.add_argument(
        "--min-score",
        type=float,
        default=0.5,
        metavar="S",
        help="how well a mask is expected to fit, 0 to 1, below which its photo is refused (default: %(default)s)",
    )
    command.add_argument(
        "--recipe", help="persam (the default), persam_f (fits two weights), official_persam, official_persam_f"
    )


def prepare(options: argparse.Namespace) -> int:
    """Words, photos and places are tried before a model is loaded."""
    try:
        answers = prepared(options, options.output, options.layout)
    except KeyboardInterrupt:
        say(f"interrupted; {options.output} is as it was before")
        return 130
    used = [one for one in answers if one.name is not None]
    say(_counted(answers))
    if len(used) < FEW:
        say(f"warning: {len(used)} is few: from three photos on, the object is told from its pose and light. Add some.")
    say(f"look at {options.output / 'sheet.jpg'} before you train")
    from persam.dreambooth.layouts import LAYOUTS

    say(f"to train with it: {LAYOUTS[options.layout].about.replace('DIR', str(options.output))}")
    return 0


def prepared(options: argparse.Namespace, folder: Path, layout: str) -> "list[Outcome]":
    """What became of the photos that the options name, each printed as a JSON line; the folder holds the pairs."""
    from tqdm import tqdm

    from persam.dreambooth import layouts, preparation
    from persam.io.album import iter_targets
    from persam.io.write import check_empty

    photos = options.inputs if options.concepts else options.inputs[2:]
    if not photos:
        raise PerSAMError("prepare needs REF MASK PHOTO..., or --concept FILE PHOTO...: there is no photo to train on.")
    if options.concepts and options.recipe:
        raise PerSAMError("a concept keeps the recipe it was learned with: leave --recipe away, or learn it again.")
    layouts.find(layout)
    check_empty(folder, why=preparation.NEVER_MIXED)
    count = sum(1 for _ in iter_targets(photos))  # nothing is read yet, but a folder that is not there is noticed
    model, concepts = asked_for(options)
    with tqdm(total=count * len(concepts), unit="photo", disable=None, file=sys.stderr) as bar:

        def tell(answer: "Outcome") -> None:
            bar.update()
            tqdm.write(json.dumps(answer.to_record()), file=sys.stdout)
            sys.stdout.flush()

        return preparation.prepare(
            photos,
            concepts,
            folder,
            model=model,
            layout=layout,
            caption=options.caption,
            min_score=options.min_score,
            watch=tell,
        )


def _counted(answers: "list[Outcome]") -> str:
    used = sum(one.name is not None for one in answers)
    areas = [one.area for one in answers if one.name is not None and one.area is not None]
    refused = f"; {len(answers) - used} refused: the lines above say why" if used < len(answers) else ""
    return f"{used} of {len(answers)} photos have masks, mean area {sum(areas) / max(1, len(areas)):.0%}{refused}"


ACTIONS = {
    "prepare": Action(
        summary="mask photos to train on, and check them",
        text=PREPARE_HELP,
        options=add_prepare_options,
        run=prepare,
        segments=True,
    ),
}
