"""Options that several commands take."""

import argparse
from typing import Any


def existing_options(command: argparse.ArgumentParser) -> Any:
    """What to do with results that are there; by default the command is refused."""
    existing = command.add_mutually_exclusive_group()
    existing.add_argument(
        "--overwrite",
        dest="existing",
        action="store_const",
        const="overwrite",
        default="refuse",
        help="replace the results of an earlier run in OUT; files that it did not make stay",
    )
    return existing


def mask_options(command: argparse.ArgumentParser, *, each: str | None = None) -> None:
    """What has to be said of a mask that holds more than one object, or the background.

    each: what --each does, for a command that has it.
    """
    command.add_argument(
        "--label",
        metavar="N",
        help="which object of a MASK with several is meant: a number, colour (c80000) or category",
    )
    if each is None:
        command.set_defaults(each=False)
    else:
        command.add_argument("--each", action="store_true", help=each)
    command.add_argument("--invert", action="store_true", help="MASK marks the background")
    command.add_argument("--alpha", action="store_true", help="MASK is its transparency, whatever its colours say")


def not_option(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--not",
        dest="not_this",
        action="append",
        nargs=2,
        default=[],
        metavar=("PHOTO", "MASK"),
        help="what may be taken for the object and is not it, such as its twin: what resembles that more does not "
        "count as found; give it again for more",
    )


def json_option(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON lines on a terminal too, instead of a table")


def model_options(command: argparse.ArgumentParser, *, model_help: str = "") -> None:
    command.add_argument(
        "--recipe", help="persam (the default), persam_f (fits two weights), official_persam, official_persam_f"
    )
    network_options(command, model_help=model_help)


def network_options(command: argparse.ArgumentParser, *, model_help: str = "") -> None:
    command.add_argument(
        "--model",
        help=f"nano (bundled, the default{model_help}), vit_t, vit_b, vit_l, vit_h, the path of a SAM checkpoint, or "
        "the folder of an exported model",
    )
    command.add_argument("--base", metavar="MODEL", help="what the LoRA or SAM-Adapter given as --model was trained on")
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
