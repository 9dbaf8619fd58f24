"""`persam bench`: what persam costs here, as rows of a table. An edge, without logic of its own."""

import argparse
from pathlib import Path

from persam.cli.bench_rows import RESULTS, examples_option, table_option, tell
from persam.cli.shell import load_model, say
from persam.errors import PerSAMError

SMALL_INPUT = 256  # ten thousand frames in minutes; what is kept from frame to frame is the same


def track_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--memory", action="store_true", help="instead, the memory that a long clip takes")
    command.add_argument("--frames", type=int, metavar="N", help="(default: 40, with --memory 10,000)")
    examples_option(command)
    table_option(command, "track_cost")
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
    tell(options.csv, costs)
    return 0


def photo_options(command: argparse.ArgumentParser) -> None:
    ways = command.add_mutually_exclusive_group()
    ways.add_argument("--instances", action="store_true", help="instead, 1 to 50 of one object in a photo")
    ways.add_argument("--sizes", action="store_true", help="instead, photos of 0.3 to 100 megapixels")
    command.add_argument("--recipe", metavar="RECIPE", default="persam", help="of photos (%(default)s)")
    command.add_argument("--repeats", type=int, default=9, metavar="N", help="of each measurement (%(default)s)")
    examples_option(command)
    table_option(command, "photo_cost")


def photo(options: argparse.Namespace) -> int:
    """A row, and a line on stdout, for learning, a photo and each number of concepts; or of instances; or each size."""
    from tempfile import TemporaryDirectory

    from persam.eval import photo_cost
    from persam.method.recipes import OfficialRecipe, find

    if options.repeats < 1:
        raise PerSAMError(f"--repeats {options.repeats} measures nothing: give 1 or more.")
    if options.instances and isinstance(find(options.recipe), OfficialRecipe):
        raise PerSAMError(f"--instances measures ours: {options.recipe} finds one. Leave --recipe away.")
    model = load_model(options)
    if not options.sizes:
        measure = photo_cost.instances if options.instances else photo_cost.costs
        tell(options.csv, measure(model, options.data, repeats=options.repeats))
        return 0
    with TemporaryDirectory(prefix="persam-bench-") as work:
        sizes = {"repeats": options.repeats, "megapixels": photo_cost.SIZES}
        tell(options.csv, photo_cost.sizes(model, options.data, Path(work), **sizes))
    return 0


def album_options(command: argparse.ArgumentParser) -> None:
    ways = command.add_mutually_exclusive_group()
    ways.add_argument(
        "--cache",
        dest="way",
        action="store_const",
        const="cache",
        help="instead, with an embedding cache: empty, and then full and with another object",
    )
    ways.add_argument(
        "--one-by-one",
        dest="way",
        action="store_const",
        const="one_by_one",
        help="instead, read, searched and written one after the other",
    )
    command.add_argument("--photos", type=int, default=300, metavar="N", help="(%(default)s)")
    command.add_argument("--side", type=int, metavar="PX", help="scale photos to this longer side (4000: a phone's)")
    examples_option(command)
    table_option(command, "album_speed")
    command.set_defaults(recipe=None, way="batches")


def album(options: argparse.Namespace) -> int:
    """A row, and a line on stdout, after some of the photos and after all."""
    from tempfile import TemporaryDirectory

    from persam.eval import album_cost

    if not 1 <= options.photos <= 4096 or (options.side is not None and options.side < 16):
        raise PerSAMError("an album to measure has 1 to 4096 photos of 16 pixels or more: check --photos and --side.")
    model = load_model(options)
    with TemporaryDirectory(prefix="persam-bench-") as work:
        how = {"way": options.way, "side_px": options.side}
        costs = album_cost.album(model, options.data, Path(work), options.photos, **how)
    tell(options.csv, costs)
    return 0


def growth_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--rows", type=Path, default=RESULTS, metavar="DIR", help="the tables' folder (%(default)s)")
    command.add_argument(
        "-o", "--out", dest="output", type=Path, default=Path("docs/growth.svg"), metavar="FILE", help="(%(default)s)"
    )


def growth(options: argparse.Namespace) -> int:
    """A picture of the rows; nothing is measured."""
    from persam.eval.growth import picture
    from persam.io.write import write_bytes

    drawn = picture(options.rows / "photo_cost.csv", options.rows / "album_speed.csv")
    say(f"{write_bytes(drawn.encode(), options.output)} shows time and memory")
    return 0


def export_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--runs", type=int, default=20, metavar="N", help="of each, whose median counts (%(default)s)")
    table_option(command, "export_speed")
    command.add_argument("--model", help="nano (the default), vit_t, vit_b, vit_l, vit_h, or a checkpoint's path")
    command.set_defaults(recipe=None, base=None, pixels=None, calibration=None, device="cpu")


def export(options: argparse.Namespace) -> int:
    """A row for encoding an image and one for a prompt, each by PyTorch and by ONNX Runtime."""
    from persam.eval import export_speed

    if options.runs < 1:
        raise PerSAMError(f"--runs {options.runs} measures nothing: give 1 or more.")
    tell(options.csv, export_speed.speeds(load_model(options), options.runs))
    return 0


def cluster_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--photos", type=int, default=60, metavar="N", help="(default: %(default)s)")
    command.add_argument(
        "--workers", default="1,2", metavar="N,N", help="how many workers, one run each (default: %(default)s)"
    )
    command.add_argument("--block", type=int, default=4, metavar="N", help="photos in a block (default: %(default)s)")
    examples_option(command)
    table_option(command, "cluster_speed")
    command.set_defaults(recipe=None)


def cluster(options: argparse.Namespace) -> int:
    """A row, and a line on stdout, for one process and for each number of workers; on cores unless --device cuda."""
    from tempfile import TemporaryDirectory

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
    with TemporaryDirectory() as folder:
        speeds = cluster_speed.measure(
            model,
            options.data,
            Path(folder),
            photos=options.photos,
            workers=counts,
            block=options.block,
            device=device,
        )
        tell(options.csv, speeds)
    return 0
