"""`persam bench encoder`, `tune` and `propose`: time beside the same work done otherwise. An edge, without logic."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from persam.cli.bench_rows import examples_option, table_option, tell
from persam.cli.shell import load_model
from persam.errors import PerSAMError

if TYPE_CHECKING:
    from persam.eval.shown import Shown


def encoder_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--encoder", choices=("vit_b", "vit_l", "vit_h", "vit_t", "nano"), default="vit_b", help="(%(default)s)"
    )
    command.add_argument("--device", default="auto", help="auto (the default), cpu, cuda or mps")
    command.add_argument(
        "--precision",
        choices=("float32", "bfloat16", "float16"),
        default="float32",
        help="of ours: autocast to it; a difference to float32 stands in the row (%(default)s)",
    )
    command.add_argument("--compile", action="store_true", help="ours through torch.compile, which needs a compiler")
    command.add_argument("--batch", type=int, default=1, metavar="N", help="images at once (%(default)s)")
    command.add_argument("--runs", type=int, default=5, metavar="N", help="whose median counts (%(default)s)")
    table_option(command, "encoder_speed")


def encoder(options: argparse.Namespace) -> int:
    """A row, and a line on stdout, for each package that computes this encoder, and for ours."""
    from persam.eval import encoder_speed
    from persam.sam.load import find_device

    if options.runs < 1 or options.batch < 1:
        raise PerSAMError("--runs and --batch count from 1.")
    speeds = encoder_speed.speeds(
        options.encoder,
        device=str(find_device(options.device)),
        precision=options.precision,
        compiled=options.compile,
        batch=options.batch,
        runs=options.runs,
    )
    tell(options.csv, speeds)
    return 0


def tune_options(command: argparse.ArgumentParser) -> None:
    _reference_options(command, 10)
    table_option(command, "tune_speed")
    command.set_defaults(recipe=None)


def tune(options: argparse.Namespace) -> int:
    """A row, and a line on stdout, for each reference."""
    from persam.eval import tune_speed

    shown = _references(options)
    tell(options.csv, tune_speed.speeds(load_model(options), shown))
    return 0


def propose_options(command: argparse.ArgumentParser) -> None:
    _reference_options(command, 100)
    command.add_argument("--crops", action="store_true", help="look into crops too")
    table_option(command, "proposals")
    command.set_defaults(recipe=None)


def propose(options: argparse.Namespace) -> int:
    """A row, and a line on stdout, for each reference."""
    from persam.eval import proposal_cost

    shown = _references(options)
    tell(options.csv, proposal_cost.costs(load_model(options), shown, crops=options.crops))
    return 0


def _reference_options(command: argparse.ArgumentParser, most: int) -> None:
    examples_option(command, "--examples")
    command.add_argument(
        "--data",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="references of a folder in DAVIS-2016's or PerSeg's layout too; give it again for more folders",
    )
    command.add_argument(
        "--references", type=int, default=most, metavar="N", help="of each DIR, evenly spread (%(default)s)"
    )


def _references(options: argparse.Namespace) -> "list[Shown]":
    from persam.eval.shown import references

    if options.references < 1:
        raise PerSAMError("--references counts from 1.")
    return references(options.examples, options.data, options.references)
