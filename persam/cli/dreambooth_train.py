"""`persam dreambooth train` and `run`. An edge, without logic of its own."""

import argparse
import dataclasses
import sys
import typing
from pathlib import Path
from typing import Any

from persam.cli.action import Action
from persam.cli.shell import say

TRAIN_HELP = """\
Train a diffusion model on the photos of a folder that `persam dreambooth prepare` wrote: the object counts, what is
around it does not. A LoRA for SD 1.5, SDXL or SD 3, or with --full the whole UNet of SD 1.5.

The options have the names that they have in diffusers' DreamBooth examples. It begins by saying how many photos are
masked, and OUTPUT_DIR/masks.jpg shows how; --dry-run ends there.

Ctrl-C finishes the step, writes a checkpoint and says how to go on. On several GPUs:
  accelerate launch -m persam.cli.main dreambooth train ..."""
INTERRUPTED = 130


def train(options: argparse.Namespace) -> int:
    """Runs one training, with a bar of its steps."""
    from persam.dreambooth.train import model
    from persam.dreambooth.train.run import train

    given = train_options(options)
    model.need_diffusers()
    model.hush()
    with _bar(given.max_train_steps) as bar:

        def done(step: int, loss: float) -> None:
            bar.update(step - bar.n)
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)

        end = train(given, say=say, step_done=done)
    return INTERRUPTED if end.stopped else 0


def add_train_options(command: argparse.ArgumentParser, *, without: tuple[str, ...] = ()) -> None:
    """An option for each field of `TrainOptions`, under its name; `without` those that something else decides."""
    from persam.dreambooth.train.options import TrainOptions

    kinds = typing.get_type_hints(TrainOptions)
    for one in dataclasses.fields(TrainOptions):
        if one.name in without:
            continue
        words = [f"--{one.name}", *([f"--{one.name.replace('_', '-')}"] if "_" in one.name else [])]
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


def train_options(options: argparse.Namespace, **decided: Any) -> Any:
    """The options of a run, of the command line and of what was decided otherwise."""
    from persam.dreambooth.train.options import TrainOptions

    said: dict[str, Any] = {one.name: getattr(options, one.name, None) for one in dataclasses.fields(TrainOptions)}
    return TrainOptions(**(said | decided))


def _reader(kind: Any) -> Any:
    """What reads a word as the type of a field: `float` for `float | None`."""
    inner = [one for one in typing.get_args(kind) if one is not type(None)]
    return inner[0] if inner else kind


_METAVARS = {int: "N", float: "X", Path: "DIR"}


def _bar(steps: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=steps, unit="step", disable=None, file=sys.stderr)


ACTIONS = {
    "train": Action(
        summary="train a diffusion model on prepared photos, the object alone",
        text=TRAIN_HELP,
        options=add_train_options,
        run=train,
    ),
}
