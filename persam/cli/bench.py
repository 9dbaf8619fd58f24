"""`persam bench`: what persam costs here, as rows of a table. An edge, without logic of its own."""

import argparse
from dataclasses import asdict
from pathlib import Path

from persam.cli.shell import load_model
from persam.errors import PerSAMError

SMALL_INPUT = 256  # ten thousand frames in minutes; what is kept from frame to frame is the same


def track_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--memory", action="store_true", help="instead, the memory that a long clip takes")
    command.add_argument("--frames", type=int, metavar="N", help="(default: 40, with --memory 10,000)")
    command.add_argument("--data", type=Path, default=Path("data/examples"), help="the example photos (%(default)s)")
    command.add_argument(
        "--csv", type=Path, default=Path("data/results/track_cost.csv"), help="the table that grows (%(default)s)"
    )
    command.set_defaults(recipe=None)


def track(options: argparse.Namespace) -> int:
    """A row, and a line on stdout, for each recipe and number of objects, or for some of many frames."""
    from persam import PerSAM
    from persam.eval import track_cost
    from persam.tracking.recipes import TRACKING_RECIPES

    least = track_cost.STOPS[0] if options.memory else 1
    if options.frames is not None and options.frames < least:
        raise PerSAMError(f"--frames {options.frames} says nothing: give {least} or more.")
    model = load_model(options)
    if options.memory:
        small = PerSAM(model.backbone.at_input(SMALL_INPUT))
        costs = track_cost.memory(small, options.data, "persam_video", options.frames or track_cost.STOPS[-1])
    else:
        costs = (
            track_cost.speed(model, options.data, recipe, objects, options.frames or 40)
            for recipe in TRACKING_RECIPES
            if recipe != "official_persam_f_video"  # differs from the other in the first frame alone
            for objects in range(1, len(track_cost.OBJECTS) + 1)
        )
    for cost in costs:
        track_cost.append(options.csv, cost)
        print(", ".join(f"{name} {_short(value)}" for name, value in asdict(cost).items() if value is not None))
    return 0


def export_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--runs", type=int, default=20, metavar="N", help="of each, whose median counts (%(default)s)")
    command.add_argument(
        "--csv", type=Path, default=Path("data/results/export_speed.csv"), help="the table that grows (%(default)s)"
    )
    command.add_argument("--model", help="nano (the default), vit_t, vit_b, vit_l, vit_h, or a checkpoint's path")
    command.set_defaults(recipe=None, base=None, pixels=None, calibration=None, device="cpu")


def export(options: argparse.Namespace) -> int:
    """A row for encoding an image and one for a prompt, each by PyTorch and by ONNX Runtime."""
    from persam.eval import export_speed, track_cost

    if options.runs < 1:
        raise PerSAMError(f"--runs {options.runs} measures nothing: give 1 or more.")
    for speed in export_speed.speeds(load_model(options), options.runs):
        track_cost.append(options.csv, speed)
        print(", ".join(f"{name} {_short(value)}" for name, value in asdict(speed).items()))
    return 0


def _short(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
