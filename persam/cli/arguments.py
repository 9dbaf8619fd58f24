"""What can be said on the command line. Nothing is done here, and nothing heavy imported: help is instant."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from persam.cli.texts import CALIBRATE_HELP, EVAL_HELP, LEARN_HELP, SEGMENT_HELP, TRACK_HELP


class _Parser(argparse.ArgumentParser):
    """Answers wrong usage with one line instead of a page."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}. `{self.prog} --help` shows what it takes.\n")


def joined(words: Sequence[str]) -> Sequence[str]:
    """The words with `eval calibrate` as one: it is a command of its own beside `eval NAME`, with other options."""
    return ["eval calibrate", *words[2:]] if list(words[:2]) == ["eval", "calibrate"] else words


def command_line() -> argparse.ArgumentParser:
    """The parser of everything. What was asked for is in `run`: a command, and its action where it has some."""
    from persam import __version__

    root = _Parser(
        prog="persam",
        description="Find one particular thing in photos, from a single photo of it and a rough mask.",
        epilog="`persam COMMAND --help` says more. Try `persam demo` in a clone of the repository.",
    )
    root.add_argument("--version", action="version", version=f"persam {__version__}")
    commands = _subcommands(root, "COMMAND")

    segment = _command(commands, "segment", "find an object in photos", SEGMENT_HELP)
    segment.usage = (
        "persam segment REF MASK TARGET... -o OUT\n"
        "       persam segment --concept FILE [--concept FILE]... TARGET... -o OUT"
    )
    segment.epilog = "example: persam segment rex.jpg rex_mask.png album/ -o found"
    segment.add_argument("inputs", nargs="+", metavar="REF MASK TARGET", help=argparse.SUPPRESS)
    segment.add_argument("-o", "--output", required=True, type=Path, metavar="OUT", help="folder for the results")
    segment.add_argument(
        "--concept",
        dest="concepts",
        action="append",
        metavar="FILE",
        help="what `persam learn` wrote, instead of REF MASK; several are searched in one pass, and a pixel belongs to "
        "one of them",
    )
    segment.add_argument(
        "--max-instances",
        type=int,
        default=1,
        metavar="N",
        help="find up to N of each concept in every photo (default: the most similar one)",
    )
    segment.add_argument(
        "--threshold",
        type=float,
        default=0.5,
        metavar="T",
        help="presence from 0 to 1 from which on it counts as found (default: %(default)s). Presence is judged with a "
        "calibration: nano has one, `persam eval calibrate` makes another model's",
    )
    segment.add_argument("--no-overlays", action="store_true", help="write masks and JSON only")
    segment.add_argument("--recursive", action="store_true", help="search the folders in TARGET folders too")
    _mask_options(segment, each="every object that MASK holds is searched as a concept of its own")
    _model_options(segment, model_help="; with --concept: the one it was learned with")

    _track_options(_command(commands, "track", "follow objects through a video", TRACK_HELP))

    learn = _command(commands, "learn", "learn an object from photos and save it", LEARN_HELP)
    learn.usage = "persam learn REF MASK [REF MASK]... -o FILE\n       persam learn REF LABELS --each -o FOLDER"
    learn.epilog = "example: persam learn rex1.jpg rex1_mask.png rex2.jpg box:40,60,300,410 -o rex.safetensors"
    learn.add_argument("inputs", nargs="+", metavar="REF MASK", help=argparse.SUPPRESS)
    learn.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="the concept's file")
    _mask_options(
        learn,
        each="every object that MASK holds (a map of labels with 0 background and 255 undecided, colours, shapes) is "
        "learned: FOLDER/object-1.safetensors and so on",
    )
    learn.add_argument("--name", help="what results call the object (default: the file's name)")
    _model_options(learn)

    demo = _command(commands, "demo", "run on the example photos and leave pictures to look at")
    demo.add_argument("-o", "--output", type=Path, default=Path("persam-demo"), metavar="OUT", help="(%(default)s)")
    demo.add_argument("--data", type=Path, default=Path("data/examples"), help="the example photos (%(default)s)")
    _model_options(demo)

    evaluation = _command(commands, "eval", "measure recipes on a benchmark", EVAL_HELP)
    evaluation.epilog = "example: persam eval album --data DAVIS --recipe persam,official_persam,oracle_box"
    evaluation.add_argument("benchmark", metavar="NAME", help=argparse.SUPPRESS)
    evaluation.add_argument("--data", required=True, type=Path, metavar="DIR", help="the folder it unpacks to")
    evaluation.add_argument(
        "--recipe",
        dest="recipes",
        action="append",
        help="one or more, with commas or given again: persam (the default), persam_f, official_persam, "
        "official_persam_f, an ablation such as persam@verify=False (or @crop_refine=False, @tune=True), and "
        "oracle_box, the mask of the truth's own box; on videos also persam_video, persam_video_fast, "
        "official_persam_video and official_persam_f_video",
    )
    evaluation.add_argument(
        "-o",
        "--out",
        dest="output",
        type=Path,
        default=Path("runs/eval"),
        metavar="OUT",
        help="folder for the predictions and the sheet (%(default)s)",
    )
    evaluation.add_argument(
        "--csv", type=Path, default=Path("data/results/eval.csv"), help="the table that grows (%(default)s)"
    )
    evaluation.add_argument("--shots", type=int, help="references of an episode, where the benchmark has a choice")
    evaluation.add_argument("--fold", type=int, help="which part of the classes, likewise")
    evaluation.add_argument("--seed", type=int, help="of the draws, likewise")
    evaluation.add_argument(
        "--sheet", action=argparse.BooleanOptionalAction, default=True, help="draw a contact sheet (the default)"
    )
    evaluation.set_defaults(recipe=None)
    evaluation.add_argument("-v", "--verbose", action="store_true", help="show a row for every object too")
    _network_options(evaluation)

    calibration = _command(commands, "eval calibrate", "fit a model's calibration", CALIBRATE_HELP)
    calibration.epilog = "example: persam eval calibrate --model vit_b --data DAVIS --data PerSeg"
    calibration.add_argument(
        "--data", required=True, action="append", type=Path, metavar="DIR", help="give it again for more folders"
    )
    calibration.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="(default: in the cache, where the model finds it)"
    )
    calibration.add_argument(
        "--presence-only",
        action="store_true",
        help="fit the presence curve alone; every other number stays as the model's calibration has it",
    )
    _network_options(calibration)

    weights = _command(commands, "weights", "list, fetch and check model weights")
    actions = _subcommands(weights, "ACTION")
    _command(actions, "list", "show every model, its size and whether it is here", run="weights list")
    for name, text in (
        ("fetch", "download weights once, and check them"),
        ("verify", "check the sha256 of weights that are here"),
        ("path", "print where the weights are, or belong"),
    ):
        _command(actions, name, text, run=f"weights {name}").add_argument("name", help="one of `persam weights list`")
    return root


def _subcommands(parser: argparse.ArgumentParser, metavar: str) -> Any:
    """A place for commands; without any, the help of this parser is what was asked for."""
    parser.set_defaults(run="help", parser=parser)
    return parser.add_subparsers(metavar=metavar, title="commands")


def _command(
    commands: Any, name: str, summary: str, text: str | None = None, *, run: str | None = None
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=text or f"{summary.capitalize()}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run or name)
    return command


def _track_options(track: argparse.ArgumentParser) -> None:
    track.usage = (
        "persam track CLIP MASK [MASK]... -o OUT\n"
        "       persam track CLIP --labels FILE -o OUT\n"
        "       persam track CLIP --concept FILE [--concept FILE]... -o OUT"
    )
    track.epilog = "example: persam track walk.mp4 rex.png -o tracked"
    track.add_argument("inputs", nargs="+", metavar="CLIP MASK", help=argparse.SUPPRESS)
    track.add_argument("-o", "--output", required=True, type=Path, metavar="OUT", help="folder for the results")
    track.add_argument(
        "--labels",
        metavar="FILE",
        help="instead of masks, a map of labels, one number an object (0 background, 255 undecided), as a palette file "
        "(the same as MASK --each)",
    )
    _mask_options(track, each="every object that MASK holds is followed as one of its own")
    track.add_argument(
        "--concept",
        dest="concepts",
        action="append",
        metavar="FILE",
        help="instead of masks, what `persam learn` wrote: no frame needs a mask; give it again for more objects",
    )
    track.add_argument(
        "--name",
        dest="names",
        action="append",
        metavar="NAME",
        help="what results call the object, once for each MASK (default: the files' names, or 'object 1' and so on)",
    )
    track.add_argument(
        "--from",
        dest="start",
        type=int,
        metavar="N",
        help="the frame to begin with, to which masks belong, counted from 0 (default: 0; with --backward the last)",
    )
    track.add_argument("--to", type=int, metavar="N", help="the last frame to track (default: where the clip ends)")
    track.add_argument("--every", type=int, default=1, metavar="N", help="track every N-th frame (default: all)")
    track.add_argument(
        "--backward", action="store_true", help="toward the beginning of the clip; overlay.mp4 still runs forward"
    )
    track.add_argument(
        "--max-side",
        type=int,
        metavar="PX",
        help="scale larger frames down to this many pixels; masks and places are given in the clip's own size",
    )
    track.add_argument("--cutout", action="store_true", help="write cutout.webm too: the objects alone, transparent")
    track.add_argument(
        "--export", choices=("coco_video", "mots"), help="write OUT/coco_video.json (YouTube-VIS) or OUT/mots.txt too"
    )
    track.add_argument("--no-overlay", action="store_true", help="write no overlay.mp4")
    recipes = track.add_mutually_exclusive_group()
    recipes.add_argument(
        "--recipe",
        dest="video_recipe",
        metavar="RECIPE",
        default="persam_video",
        help="persam_video (the default), persam_video_fast, official_persam_video, official_persam_f_video",
    )
    recipes.add_argument(
        "--fast",
        dest="video_recipe",
        action="store_const",
        const="persam_video_fast",
        help="short for --recipe persam_video_fast: one encoding a frame instead of two",
    )
    _network_options(track, model_help="; with --concept: the one it was learned with")


def _mask_options(command: argparse.ArgumentParser, *, each: str) -> None:
    """What has to be said of a mask that holds more than one object, or the background."""
    command.add_argument(
        "--label",
        metavar="N",
        help="which object of a MASK with several is meant: a number, colour (c80000) or category",
    )
    command.add_argument("--each", action="store_true", help=each)
    command.add_argument("--invert", action="store_true", help="MASK marks the background")
    command.add_argument("--alpha", action="store_true", help="MASK is its transparency, whatever its colours say")


def _model_options(command: argparse.ArgumentParser, *, model_help: str = "") -> None:
    command.add_argument(
        "--recipe", help="persam (the default), persam_f (fits two weights), official_persam, official_persam_f"
    )
    _network_options(command, model_help=model_help)


def _network_options(command: argparse.ArgumentParser, *, model_help: str = "") -> None:
    command.add_argument(
        "--model",
        help=f"nano (bundled, the default{model_help}), vit_t, vit_b, vit_l, vit_h, or the path of a SAM checkpoint",
    )
    command.add_argument("--base", metavar="MODEL", help="what the LoRA file given as --model belongs to")
    command.add_argument(
        "--pixels",
        choices=("sam", "unit"),
        help="how pixels reach the checkpoint given as --model: by Meta's mean and deviation, or as 0 to 1 (MedSAM); "
        "default: what the file says, else sam",
    )
    command.add_argument(
        "--calibration",
        metavar="FILE",
        help="what `persam eval calibrate` wrote for this model (default: its own, where there is one)",
    )
    command.add_argument("--device", default="auto", help="auto (the default), cpu, cuda, mps")
