"""`persam segment --engine ray`: the same words, on a cluster. An edge, without logic of its own."""

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from persam.cli.asked import asked_of
from persam.cli.settings import settings_of
from persam.cli.shell import one_line, say
from persam.cli.streams import printable
from persam.errors import PerSAMError

DEVICES = ("auto", "cpu", "cuda")
ONLY_HERE = {
    "no_overlays": "draws no overlays: leave --no-overlays away",
    "cache": "keeps no embeddings: leave --cache away",
}
ONLY_RAY = {"workers": "--workers", "block": "--block", "mask_files": "--mask-files"}


def cluster_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="where the album runs: in this process (the default), or on a Ray cluster, with results as Parquet "
        "(docs/cluster.md)",
    )
    group = command.add_argument_group(
        "with --engine ray",
        "TARGET and OUT may be addresses such as s3://bucket/album. Results are OUT/results/*.parquet, a row a find.",
    )
    group.add_argument("--workers", type=int, metavar="N", help="(default: one a GPU, or one a core where none is)")
    group.add_argument("--block", type=int, metavar="N", help="photos that one Parquet file holds (default: 64)")
    group.add_argument("--mask-files", action="store_true", help="write masks as PNG too, into OUT/masks")


def check_engine(options: argparse.Namespace) -> None:
    """Options that belong to the other engine are refused.

    Raises:
        PerSAMError: one of them is given.
    """
    if options.engine == "local":
        for name, word in ONLY_RAY.items():
            if getattr(options, name):
                raise PerSAMError(f"{word} belongs to --engine ray: leave it away, or say that.")
        if isinstance(options.output, str):
            raise PerSAMError(f"only --engine ray writes to an address such as {options.output}. Name a folder.")
        return
    for name, why in ONLY_HERE.items():
        if getattr(options, name):
            raise PerSAMError(f"--engine ray {why}.")
    if options.device not in DEVICES:
        raise PerSAMError(f"--engine ray knows the devices {', '.join(DEVICES)}, and {options.device!r} was given.")


def segment(options: argparse.Namespace) -> int:
    """The words have been checked. Photos and the place for results are tried before a model is loaded."""
    from persam.cluster import job
    from persam.cluster.addresses import photos_of
    from persam.cluster.store import summary

    here = argparse.Namespace(**{**vars(options), "device": "cpu"})  # workers put the model on their own
    workers = job.Workers(options.workers, options.device, job.BLOCK if options.block is None else options.block)
    photos = photos_of(options.inputs if options.concepts else options.inputs[2:], recursive=options.recursive)
    asked = asked_of(here)
    now = job.manifest_of(settings_of(asked.words), asked.names, options.max_instances, options.mask_files)
    job.check(options.output, now, options.existing)
    job.connect(quiet=True)
    model, concepts = asked.learn()
    blocks = job.run(
        photos,
        concepts,
        options.output,
        model=model,
        max_instances=options.max_instances,
        workers=workers,
        mask_files=options.mask_files,
        existing=options.existing,
        settings=settings_of(asked.words, model),
    )
    searched = _tell(blocks, len(photos), as_json=options.json)
    whole = summary(options.output)
    counts = ", ".join(f"{name!r} in {whole.found.get(name, 0)}" for name in asked.names)
    before = f", {whole.photos - searched} of them finished before" if whole.photos > searched else ""
    unusable = f", {whole.failed} could not be used" if whole.failed else ""
    say(f"found {counts} of {whole.photos} photos{before}{unusable}; results are in {options.output}")
    return 2 if whole.failed else 0


def _tell(blocks: Any, photos: int, *, as_json: bool) -> int:
    """Says of every block that it is done, and of every photo that could not be used; how many photos were searched."""
    from tqdm import tqdm

    searched, lines = 0, as_json or not sys.stdout.isatty()
    with tqdm(total=photos, unit="photo", disable=None, file=sys.stderr) as bar:
        for block in blocks:
            for error in block.errors:
                tqdm.write(f"persam: {one_line(error)}", file=sys.stderr)
            if lines:
                tqdm.write(printable(json.dumps(asdict(block)), sys.stdout), file=sys.stdout)
                sys.stdout.flush()
            searched += block.photos
            bar.update(block.photos)
    return searched
