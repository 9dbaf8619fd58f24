"""The shell's words for what the library does: `persam segment|learn|demo|weights`. An edge, without logic of its own.

Exit codes: 0 done, 2 something the user can put right (one line says what), 130 interrupted.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persam.errors import ImageError, OutputError, PerSAMError

if TYPE_CHECKING:
    from persam.concept import Concept
    from persam.model import PerSAM
    from persam.segmentation import Segmentation

MASK_HELP = (
    "mask of the object (any image: object above half, rest black), or box:x0,y0,x1,y1, points:x,y;x,y, "
    "polygon:x,y;x,y;x,y, scribble:x,y;x,y in pixels of REF"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except PerSAMError as error:
        print(f"persam: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("persam: interrupted; what was finished is on disk", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def parser() -> argparse.ArgumentParser:
    """The whole command line; importing nothing heavy, so that help is instant."""
    root = argparse.ArgumentParser(
        prog="persam", description="Find one particular thing in photos, from a single photo of it and a rough mask."
    )
    from persam import __version__

    root.add_argument("--version", action="version", version=f"persam {__version__}")
    commands = root.add_subparsers(required=True, metavar="COMMAND")

    segment = _command(
        commands,
        "segment",
        _segment,
        "find an object in photos",
        usage="persam segment REF MASK TARGET... -o OUT\n       persam segment --concept FILE TARGET... -o OUT",
        epilog="example: persam segment rex.jpg rex_mask.png album/ -o found",
    )
    segment.add_argument("inputs", nargs="+", metavar="REF MASK TARGET", help=f"reference photo, {MASK_HELP}, targets")
    segment.add_argument("--concept", metavar="FILE", help="a concept that `persam learn` wrote, instead of REF MASK")
    segment.add_argument("-o", "--output", required=True, type=Path, metavar="OUT", help="folder for the results")
    segment.add_argument("--no-overlays", action="store_true", help="write masks and JSON only")
    _model_options(segment)

    learn = _command(
        commands,
        "learn",
        _learn,
        "learn an object from photos and save it",
        usage="persam learn REF MASK [REF MASK]... -o FILE",
        epilog="example: persam learn rex1.jpg rex1_mask.png rex2.jpg box:40,60,300,410 -o rex.safetensors",
    )
    learn.add_argument("pairs", nargs="+", metavar="REF MASK", help=f"reference photo and {MASK_HELP}")
    learn.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="the concept's file")
    learn.add_argument("--name", help="what results call the object; the file's stem when not given")
    _model_options(learn)

    demo = _command(commands, "demo", _demo, "run on the example photos and leave pictures to look at")
    demo.add_argument("-o", "--output", type=Path, default=Path("persam-demo"), metavar="OUT")
    demo.add_argument("--data", type=Path, default=Path("data/examples"), help="the example photos of a clone")
    _model_options(demo)

    _weights_commands(commands)
    return root


def _command(commands: Any, name: str, run: Callable[..., int], text: str, **more: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text.capitalize() + ".", **more)
    command.set_defaults(run=run)
    return command


def _model_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--model", default="nano", help="nano (bundled), vit_t, vit_b, vit_l, vit_h, or the path of a SAM checkpoint"
    )
    command.add_argument("--recipe", help="persam (default), persam_f, official_persam, official_persam_f")
    command.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))


def _weights_commands(commands: Any) -> None:
    weights = commands.add_parser("weights", help="list, fetch and check model weights")
    actions = weights.add_subparsers(required=True, metavar="ACTION")
    _command(actions, "list", _weights_list, "show every model, its size and whether it is here")
    for name, run, text in (
        ("fetch", _weights_fetch, "download weights once, and check them"),
        ("verify", _weights_verify, "check the sha256 of weights that are here"),
        ("path", _weights_path, "print where the weights are, or belong"),
    ):
        _command(actions, name, run, text).add_argument("name", help="vit_t, vit_b, vit_l or vit_h")


def _segment(options: argparse.Namespace) -> int:
    targets = options.inputs if options.concept else options.inputs[2:]
    if not targets:
        raise PerSAMError("segment needs REF MASK TARGET..., or --concept FILE TARGET...; there is no target.")
    _folder(options.output)
    model = _load(options)
    if options.concept:
        from persam.concept import Concept

        concept = Concept.load(options.concept)
    else:
        concept = _warned_learn(model, options.inputs[:1], options.inputs[1:2], name=Path(options.inputs[0]).stem)
    return _find(model, concept, targets, options.output, overlays=not options.no_overlays)


def _learn(options: argparse.Namespace) -> int:
    if len(options.pairs) % 2:
        raise PerSAMError(f"learn needs pairs of REF MASK, and {len(options.pairs)} names were given.")
    model = _load(options)
    name = options.name or options.output.stem
    concept = _warned_learn(model, options.pairs[::2], options.pairs[1::2], name=name)
    path = concept.save(options.output)
    print(json.dumps({"concept": concept.name, "file": str(path), "bytes": path.stat().st_size}))
    return 0


def _demo(options: argparse.Namespace) -> int:
    from persam import demo

    _folder(options.output)
    for line in demo.run(_load(options), options.data, options.output):
        print(line)
    return 0


def _find(model: "PerSAM", concept: "Concept", targets: list[str], output: Path, *, overlays: bool) -> int:
    failed = 0
    with (output / "results.jsonl").open("w") as lines:
        for outcome in _progress(_outcomes(model, concept, targets)):
            if isinstance(outcome, tuple):
                name, error = outcome
                record, failed = {"image": name, "error": str(error)}, failed + 1
                print(f"persam: {' '.join(str(error).split())}", file=sys.stderr)
            else:
                record = _write(outcome, output, overlays=overlays)
            line = json.dumps(record)
            print(line)
            print(line, file=lines, flush=True)
    if failed:
        print(f"persam: {failed} of the targets could not be used; the others are in {output}", file=sys.stderr)
    return 2 if failed else 0


def _outcomes(
    model: "PerSAM", concept: "Concept", targets: list[str]
) -> Iterator["Segmentation | tuple[str, ImageError]"]:
    """A result for every target, or its name and what is wrong with it: one bad photo does not end an album."""
    from persam.targets import iter_targets

    for target in iter_targets(targets):
        try:
            yield model.segment_one(target, concept)
        except ImageError as error:
            yield target.name, error


def _write(found: "Segmentation", output: Path, *, overlays: bool) -> dict[str, Any]:
    from persam import formats

    record: dict[str, Any] = {
        "image": str(found.source) if found.source else found.name,
        "present": found.present,
        "presence": round(found.presence, 4),
        "score": round(found.score, 4),
        "box_xyxy": found.box_xyxy if found.present else None,
        "area_px": int(found.mask.sum()) if found.present else 0,
        "points_xy": [[round(float(x), 1), round(float(y), 1)] for x, y in found.points_xy],
        "labels": [int(label) for label in found.labels],
    }
    if found.present:
        record["mask"] = str(found.save(output / "masks" / f"{found.name}.png"))
    if overlays:
        picture = output / "overlays" / f"{found.name}.jpg"
        formats.write_picture(found.overlay(), picture)
        record["overlay"] = str(picture)
    return record


def _warned_learn(model: "PerSAM", images: list[str], masks: list[str], *, name: str) -> "Concept":
    from persam.io import looks_inverted

    concept = model.learn(images, masks, name=name)
    for mask, reference in zip(masks, concept.references, strict=True):
        if looks_inverted(reference.mask):
            print(f"persam: warning: {mask} covers most of the photo and its border; is it inverted?", file=sys.stderr)
    return concept


def _load(options: argparse.Namespace) -> "PerSAM":
    from persam.model import load

    return load(options.model, device=options.device, recipe=options.recipe or "persam")


def _folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".persam-can-write"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(f"cannot write into {path}: {error.strerror}. Choose another folder with -o.") from error


def _progress(outcomes: Iterator[Any]) -> Iterator[Any]:
    from tqdm import tqdm

    yield from tqdm(outcomes, unit="photo", disable=None, file=sys.stderr)


def _weights_list(options: argparse.Namespace) -> int:
    from persam import weights

    for row in weights.rows():
        print(row)
    return 0


def _weights_fetch(options: argparse.Namespace) -> int:
    from persam import weights

    print(weights.fetch(options.name))
    return 0


def _weights_verify(options: argparse.Namespace) -> int:
    from persam import weights

    print(f"{weights.verify(options.name)}: the checksum is right")
    return 0


def _weights_path(options: argparse.Namespace) -> int:
    from persam import weights

    print(weights.path(options.name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
