"""What can be said on the command line. Nothing is done here, and nothing heavy imported: help is instant."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from persam.cli import bench, bench_speed, cluster, dreambooth
from persam.cli.cache import cache_options
from persam.cli.doctor import DOCTOR_HELP, doctor_options
from persam.cli.export import EXPORT_HELP, export_options
from persam.cli.option_groups import (
    existing_options,
    json_option,
    mask_options,
    model_options,
    network_options,
    not_option,
)
from persam.cli.propose import PROPOSE_HELP, propose_options
from persam.cli.serve import SERVE_HELP, serve_options
from persam.cli.texts import CALIBRATE_HELP, EVAL_HELP, INSTANCES_HELP, LEARN_HELP, SEGMENT_HELP, TRACK_HELP
from persam.cli.track_options import track_options


class _Parser(argparse.ArgumentParser):
    """Answers wrong usage with one line instead of a page."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}. `{self.prog} --help` shows what it takes.\n")


def joined(words: Sequence[str]) -> Sequence[str]:
    """The words with `eval calibrate` as one: such are commands of their own beside `eval NAME`, with other options."""
    own = words[0] == "eval" and words[1] in ("calibrate", "instances") if len(words) > 1 else False
    return [f"eval {words[1]}", *words[2:]] if own else words


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
    segment.add_argument("-o", "--output", required=True, type=_place, metavar="OUT", help="folder for the results")
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
    existing = existing_options(segment)
    existing.add_argument(
        "--resume",
        dest="existing",
        action="store_const",
        const="resume",
        help="go on with the run in OUT where it stopped, if it is the same one; begin where there is none",
    )
    json_option(segment)
    segment.add_argument("--recursive", action="store_true", help="search the folders in TARGET folders too")
    not_option(segment)
    mask_options(segment, each="every object that MASK holds is searched as a concept of its own")
    model_options(segment, model_help="; with --concept: the one it was learned with")
    cache_options(segment)
    cluster.cluster_options(segment)

    track_options(_command(commands, "track", "follow objects through a video", TRACK_HELP))

    learn = _command(commands, "learn", "learn an object from photos and save it", LEARN_HELP)
    learn.usage = (
        "persam learn REF MASK [REF MASK]... [--not PHOTO MASK]... -o FILE\n"
        "       persam learn REF LABELS --each -o FOLDER"
    )
    learn.epilog = "example: persam learn rex1.jpg rex1_mask.png rex2.jpg box:40,60,300,410 -o rex.safetensors"
    learn.add_argument("inputs", nargs="+", metavar="REF MASK", help=argparse.SUPPRESS)
    learn.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="the concept's file")
    not_option(learn)
    mask_options(
        learn,
        each="every object that MASK holds (a map of labels with 0 background and 255 undecided, colours, shapes) is "
        "learned: FOLDER/object-1.safetensors and so on",
    )
    json_option(learn)
    learn.add_argument("--name", help="what results call the object (default: the file's name)")
    model_options(learn)

    propose_options(_command(commands, "propose", "show what a photo holds, to choose from", PROPOSE_HELP))
    serve_options(_command(commands, "serve", "open a web page that does all of this", SERVE_HELP))

    demo = _command(commands, "demo", "run on the example photos and leave pictures to look at")
    demo.add_argument("-o", "--output", type=Path, default=Path("persam-demo"), metavar="OUT", help="(%(default)s)")
    demo.add_argument("--data", type=Path, default=Path("data/examples"), help="the example photos (%(default)s)")
    model_options(demo)

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
        "--only",
        action="append",
        metavar="CHANGE",
        help="of robustness: one or more changes, with commas or given again, such as x0.25,rot90 (default: all)",
    )
    evaluation.add_argument(
        "--sheet", action=argparse.BooleanOptionalAction, default=True, help="draw a contact sheet (the default)"
    )
    evaluation.set_defaults(recipe=None)
    evaluation.add_argument("-v", "--verbose", action="store_true", help="show a row for every object too")
    network_options(evaluation)

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
    network_options(calibration)

    counting = _command(commands, "eval instances", "measure how many instances are found", INSTANCES_HELP)
    counting.epilog = "example: persam eval instances --data DAVIS --data PerSeg"
    counting.add_argument(
        "--examples", type=Path, default=Path("data/examples"), help="the example photos (%(default)s)"
    )
    counting.add_argument(
        "--data",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="objects of a folder in DAVIS-2016's or PerSeg's layout are pasted too; give it again for more folders",
    )
    counting.add_argument(
        "-o",
        "--out",
        dest="output",
        type=Path,
        default=Path("runs/eval/instances"),
        metavar="OUT",
        help="(%(default)s)",
    )
    counting.add_argument(
        "--csv", type=Path, default=Path("data/results/eval.csv"), help="the table that grows (%(default)s)"
    )
    model_options(counting)

    measuring = _subcommands(_command(commands, "bench", "measure what persam costs here"), "WHAT")
    tracking = _command(measuring, "track", "time a tracked frame, in plain encodings of one", run="bench track")
    bench.track_options(tracking)
    network_options(tracking)
    photos = _command(measuring, "photo", "time a photo, in plain encodings of it", run="bench photo")
    bench.photo_options(photos)
    network_options(photos)
    encoding = _command(
        measuring, "encoder", "time the encoder, beside packages that compute the same", run="bench encoder"
    )
    bench_speed.encoder_options(encoding)
    tuning = _command(measuring, "tune", "time PerSAM-F's fit, beside the published procedure", run="bench tune")
    bench_speed.tune_options(tuning)
    network_options(tuning)
    proposing = _command(measuring, "propose", "time proposals, and count what they miss", run="bench propose")
    bench_speed.propose_options(proposing)
    network_options(proposing)
    albums = _command(
        measuring, "album", "time the photos of an album, and what they take in memory", run="bench album"
    )
    bench.album_options(albums)
    network_options(albums)
    growing = _command(
        measuring, "growth", "draw how time and memory grow, from rows of the others", run="bench growth"
    )
    bench.growth_options(growing)
    exporting = _command(measuring, "export", "time an exported model beside PyTorch", run="bench export")
    bench.export_options(exporting)

    clusters = _command(measuring, "cluster", "time an album on workers, against one process", run="bench cluster")
    bench.cluster_options(clusters)
    network_options(clusters)

    export_options(_command(commands, "export", "write a model for ONNX Runtime", EXPORT_HELP))

    training = _subcommands(
        _command(commands, "dreambooth", "teach a text-to-image model an object, and not its background"), "ACTION"
    )
    for name, action in dreambooth.ACTIONS.items():
        parser = _command(training, name, action.summary, action.text, run=f"dreambooth {name}")
        action.options(parser)
        if action.segments:
            mask_options(parser)
            network_options(parser)

    doctor_options(_command(commands, "doctor", "say what works on this machine", DOCTOR_HELP))

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


def _place(text: str) -> Path | str:
    """A folder; or an address, whose slashes a path would join."""
    return text if "://" in text else Path(text)


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
