"""`persam bench`: what persam costs here, as rows of a table. An edge, without logic of its own."""

import argparse
import tempfile
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


def cluster_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--photos", type=int, default=60, metavar="N", help="(default: %(default)s)")
    command.add_argument(
        "--workers", default="1,2", metavar="N,N", help="how many workers, one run each (default: %(default)s)"
    )
    command.add_argument("--block", type=int, default=4, metavar="N", help="photos in a block (default: %(default)s)")
    command.add_argument("--data", type=Path, default=Path("data/examples"), help="the example photos (%(default)s)")
    command.add_argument(
        "--csv", type=Path, default=Path("data/results/cluster_speed.csv"), help="the table that grows (%(default)s)"
    )
    command.set_defaults(recipe=None)


def cluster(options: argparse.Namespace) -> int:
    """A row, and a line on stdout, for one process and for each number of workers; on cores unless --device cuda."""
    from persam.eval import cluster_speed

    try:
        counts = tuple(int(word) for word in options.workers.split(","))
    except ValueError:
        raise PerSAMError(f"--workers {options.workers} is no list of numbers such as 1,2.") from None
    least = options.block * max(counts)
    if options.photos < least:
        raise PerSAMError(f"--photos {options.photos} leaves a worker without a block: give {least} or more.")
    device = "cpu" if options.device == "auto" else options.device
    model = load_model(argparse.Namespace(**{**vars(options), "device": "cpu"}))  # workers put it on their own
    with tempfile.TemporaryDirectory() as folder:
        for speed in cluster_speed.measure(
            model,
            options.data,
            Path(folder),
            photos=options.photos,
            workers=counts,
            block=options.block,
            device=device,
        ):
            cluster_speed.append(options.csv, speed)
            print(", ".join(f"{name} {_short(value)}" for name, value in asdict(speed).items()), flush=True)
    return 0


def _short(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
