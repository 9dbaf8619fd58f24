"""`persam dreambooth train` and `run`. An edge, without logic of its own."""

import argparse
import dataclasses
import os
import sys
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from persam.cli.action import Action
from persam.cli.dreambooth_prepare import add_preparing_options, prepared
from persam.cli.shell import say
from persam.cli.texts import RUN_HELP, TRAIN_HELP
from persam.errors import PerSAMError

if typing.TYPE_CHECKING:
    from persam.dreambooth.train.options import TrainOptions

INTERRUPTED = 130
PHOTOS = "photos"  # in OUTPUT_DIR: what `run` prepares


def train(options: argparse.Namespace) -> int:
    """Runs one training, with a bar of its steps."""
    return _trained(train_options(options))


def run(options: argparse.Namespace) -> int:
    """Prepares and trains. The model is looked at first: preparing takes minutes too."""
    from persam.dreambooth.train import model

    given = train_options(options, instance_data_dir=options.output_dir / PHOTOS)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise PerSAMError("run is for one process: prepare first, then launch `persam dreambooth train` on several.")
    model.find_family(given)
    model.need_diffusers()
    prepared_before = given.resume_from_checkpoint is not None and (given.instance_data_dir / "images").is_dir()
    if not prepared_before:
        answers = prepared(options, given.instance_data_dir, "diffusers")
        used = sum(one.name is not None for one in answers)
        say(f"{used} of {len(answers)} photos have masks; look at {given.instance_data_dir / 'sheet.jpg'}")
    return _trained(given)


def _trained(given: "TrainOptions") -> int:
    from persam.dreambooth.train.run import train

    with _bar(given.max_train_steps) as bar:

        def tell(line: str) -> None:
            with bar.external_write_mode(file=sys.stderr):
                say(line)

        def done(step: int, loss: float) -> None:
            if not bar.n:  # loading is no part of the rate, nor are steps before a resume
                bar.initial = bar.n = step - 1
                bar.unpause()
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            bar.update()

        end = train(given, say=tell, step_done=done, hush=True)
    return INTERRUPTED if end.stopped else 0


def add_train_options(command: argparse.ArgumentParser, *, without: Sequence[str] = ()) -> None:
    """An option for each field of `TrainOptions`, under its name; `without` those that something else decides."""
    from persam.dreambooth.train.options import TrainOptions

    kinds = typing.get_type_hints(TrainOptions)
    for one in dataclasses.fields(TrainOptions):
        if one.name in without:
            continue
        words = [*_MORE_WORDS.get(one.name, ()), f"--{one.name}"]
        text = one.metadata["help"].replace("%", "%%")
        if kinds[one.name] is bool:
            command.add_argument(*words, action="store_true", help=text)
            continue
        needed = one.default is dataclasses.MISSING
        if one.default not in (None, dataclasses.MISSING):
            text += " (default: %(default)s)"
        command.add_argument(
            *words,
            required=needed,
            default=None if needed else one.default,
            type=_reader(kinds[one.name]),
            choices=one.metadata["choices"],
            metavar=None if one.metadata["choices"] else _METAVARS.get(_reader(kinds[one.name]), "TEXT"),
            help=text,
        )


def _only_train_options(command: argparse.ArgumentParser) -> None:
    command.usage = "persam dreambooth train --pretrained_model_name_or_path DIR --instance_data_dir DIR [option]..."
    command.epilog = (
        "example: persam dreambooth train --pretrained_model_name_or_path sdxl --instance_data_dir training "
        "--instance_prompt 'a photo of sks dog' --mixed_precision fp16 -o rex-lora"
    )
    add_train_options(command)


def add_run_options(command: argparse.ArgumentParser) -> None:
    command.usage = (
        "persam dreambooth run REF MASK PHOTO... --pretrained_model_name_or_path DIR [-o OUTPUT_DIR]\n"
        "       persam dreambooth run --concept FILE PHOTO... --pretrained_model_name_or_path DIR [-o OUTPUT_DIR]"
    )
    command.epilog = "example: persam dreambooth run rex.jpg rex_mask.png rex/ --pretrained_model_name_or_path sdxl"
    command.add_argument("inputs", nargs="+", metavar="REF MASK PHOTO", help=argparse.SUPPRESS)
    add_preparing_options(command)
    add_train_options(command, without=("instance_data_dir", "mask_data_dir"))


def train_options(options: argparse.Namespace, **decided: Any) -> "TrainOptions":
    """The options of a run, of the command line and of what was decided otherwise."""
    from persam.dreambooth.train.options import TrainOptions

    said: dict[str, Any] = {one.name: getattr(options, one.name, None) for one in dataclasses.fields(TrainOptions)}
    return TrainOptions(**(said | decided))


def _reader(kind: Any) -> Any:
    """What reads a word as the type of a field: `float` for `float | None`."""
    inner = [one for one in typing.get_args(kind) if one is not type(None)]
    return inner[0] if inner else kind


_MORE_WORDS = {"output_dir": ("-o",), "dry_run": ("--dry-run",)}
_METAVARS = {int: "N", float: "X", Path: "DIR"}


def _bar(steps: int) -> Any:
    from tqdm import tqdm

    is_first = os.environ.get("LOCAL_RANK", "0") == "0"
    # shown with the first step
    return tqdm(total=steps, unit="step", disable=None if is_first else True, delay=1e-6, file=sys.stderr)


ACTIONS = {
    "train": Action(
        summary="train a text-to-image model on prepared photos, on the object alone",
        text=TRAIN_HELP,
        options=_only_train_options,
        run=train,
    ),
    "run": Action(
        summary="prepare an album and train on it", text=RUN_HELP, options=add_run_options, run=run, segments=True
    ),
}
