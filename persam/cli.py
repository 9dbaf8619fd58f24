"""The shell's words for what the library does: `persam segment|learn|demo|weights`. An edge, without logic of its own.

Exit codes: 0 done, 2 something the user can put right (one line on stderr says what), 130 interrupted. Results go to
the output folder and, as one JSON line per photo, to stdout; everything meant for people goes to stderr.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from persam.errors import ImageError, OutputError, PerSAMError

if TYPE_CHECKING:
    from persam.concept import Concept
    from persam.model import PerSAM
    from persam.segmentation import Segmentation
    from persam.targets import Target

MASK_HELP = """\
  MASK    where it is in REF: an image of REF's size (object light, rest black), or in words, in pixels of REF:
            box:x0,y0,x1,y1           two corners
            "points:x,y;x,y;-x,y"     places on the object; a leading - marks a place that is not
            "polygon:x,y;x,y;x,y"     its outline
            "scribble:x,y;x,y"        a line drawn over it"""
SEGMENT_HELP = f"""\
Find an object in photos.

  REF     a photo that shows the object
{MASK_HELP}
  TARGET  where to look for it: photos, folders, or patterns such as "album/*.jpg"

Writes OUT/masks/*.png (0 and 255), OUT/overlays/*.jpg (to look at) and OUT/results.jsonl, one line per photo."""
LEARN_HELP = f"""\
Learn an object from one or more photos of it, and save it in a file of a few kilobytes.

  REF     a photo that shows the object
{MASK_HELP}"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    parser = command_line()
    options, more = parser.parse_known_args(arguments)
    if more and (not hasattr(options, "inputs") or any(word.startswith("-") for word in more)):
        parser.error(f"unknown arguments: {' '.join(more)}")
    if more:  # photos after -o OUT, which argparse does not take together with those before it
        options.inputs += more
    try:
        return int(options.run(options))
    except PerSAMError as error:
        _say(str(error))
        return 2
    except BrokenPipeError:  # the reader of stdout has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        _say(f"{error}. Check that the disk has room and that the folder can be written.")
        return 2
    except KeyboardInterrupt:
        _say("interrupted; what was finished is on disk")
        return 130


class _Parser(argparse.ArgumentParser):
    """Answers wrong usage with one line instead of a page."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}. `{self.prog} --help` shows what it takes.\n")


def command_line() -> argparse.ArgumentParser:
    """The parser of everything; importing nothing heavy, so that help is instant."""
    from persam import __version__

    root = _Parser(
        prog="persam",
        description="Find one particular thing in photos, from a single photo of it and a rough mask.",
        epilog="`persam COMMAND --help` says more. Try `persam demo` in a clone of the repository.",
    )
    root.add_argument("--version", action="version", version=f"persam {__version__}")
    commands = _subcommands(root, "COMMAND")

    segment = _command(commands, "segment", _segment, "find an object in photos", SEGMENT_HELP)
    segment.usage = "persam segment REF MASK TARGET... -o OUT\n       persam segment --concept FILE TARGET... -o OUT"
    segment.epilog = "example: persam segment rex.jpg rex_mask.png album/ -o found"
    segment.add_argument("inputs", nargs="+", metavar="REF MASK TARGET", help=argparse.SUPPRESS)
    segment.add_argument("-o", "--output", required=True, type=Path, metavar="OUT", help="folder for the results")
    segment.add_argument("--concept", metavar="FILE", help="what `persam learn` wrote, instead of REF MASK")
    segment.add_argument("--no-overlays", action="store_true", help="write masks and JSON only")
    _model_options(segment, model_help="; with --concept: the one it was learned with")

    learn = _command(commands, "learn", _learn, "learn an object from photos and save it", LEARN_HELP)
    learn.usage = "persam learn REF MASK [REF MASK]... -o FILE"
    learn.epilog = "example: persam learn rex1.jpg rex1_mask.png rex2.jpg box:40,60,300,410 -o rex.safetensors"
    learn.add_argument("inputs", nargs="+", metavar="REF MASK", help=argparse.SUPPRESS)
    learn.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="the concept's file")
    learn.add_argument("--name", help="what results call the object (default: the file's name)")
    _model_options(learn)

    demo = _command(commands, "demo", _demo, "run on the example photos and leave pictures to look at")
    demo.add_argument("-o", "--output", type=Path, default=Path("persam-demo"), metavar="OUT", help="(%(default)s)")
    demo.add_argument("--data", type=Path, default=Path("data/examples"), help="the example photos (%(default)s)")
    _model_options(demo)

    weights = _command(commands, "weights", None, "list, fetch and check model weights")
    actions = _subcommands(weights, "ACTION")
    _command(actions, "list", _weights_list, "show every model, its size and whether it is here")
    for name, run, text in (
        ("fetch", _weights_fetch, "download weights once, and check them"),
        ("verify", _weights_verify, "check the sha256 of weights that are here"),
        ("path", _weights_path, "print where the weights are, or belong"),
    ):
        _command(actions, name, run, text).add_argument("name", help="one of `persam weights list`")
    return root


def _subcommands(parser: argparse.ArgumentParser, metavar: str) -> Any:
    """A place for commands; without any, the parser's help is shown."""
    parser.set_defaults(run=lambda _: _help(parser))
    return parser.add_subparsers(metavar=metavar, title="commands")


def _command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int] | None, summary: str, text: str | None = None
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=text or f"{summary.capitalize()}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    return command


def _model_options(command: argparse.ArgumentParser, *, model_help: str = "") -> None:
    command.add_argument(
        "--model",
        help=f"nano (bundled, the default{model_help}), vit_t, vit_b, vit_l, vit_h, or the path of a SAM checkpoint",
    )
    command.add_argument(
        "--recipe", help="persam (the default), persam_f (fits two weights), official_persam, official_persam_f"
    )
    command.add_argument("--device", default="auto", help="auto (the default), cpu, cuda, mps")


def _help(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return 0


def _segment(options: argparse.Namespace) -> int:
    from persam.concept import Concept
    from persam.targets import iter_targets

    targets = options.inputs if options.concept else options.inputs[2:]
    if not targets:
        raise PerSAMError("segment needs REF MASK TARGET..., or --concept FILE TARGET...: there is no target.")
    if options.concept and options.recipe:
        raise PerSAMError("a concept keeps the recipe it was learned with: leave --recipe away, or learn it again.")
    album = list(iter_targets(targets))  # nothing is read yet, but a folder that is not there is noticed
    _make_writable(options.output)
    if options.concept:
        concept = Concept.load(options.concept)
        model = _load(options, options.model or concept.backbone)
    else:
        model, concept = _model_and_concept(options, options.inputs[:2], name=Path(options.inputs[0]).stem)
    return _find(model, concept, album, options.output, overlays=not options.no_overlays)


def _learn(options: argparse.Namespace) -> int:
    if len(options.inputs) % 2:
        raise PerSAMError(
            f"learn needs a MASK for every REF, and got {len(options.inputs)} names: {' '.join(options.inputs)}."
        )
    _, concept = _model_and_concept(options, options.inputs, name=options.name or options.output.stem)
    path = concept.save(options.output)
    print(json.dumps({"concept": concept.name, "file": str(path), "bytes": path.stat().st_size}))
    return 0


def _demo(options: argparse.Namespace) -> int:
    from persam import demo

    demo.read_albums(options.data)  # before anything is made: most often they are not there
    _make_writable(options.output)
    for line in demo.run(_load(options), options.data, options.output):
        print(line, flush=True)
    return 0


def _model_and_concept(options: argparse.Namespace, pairs: list[str], *, name: str) -> "tuple[PerSAM, Concept]":
    """The references are read first: a wrong mask is noticed before a model of gigabytes is fetched."""
    references = [_reference(image, mask) for image, mask in zip(pairs[::2], pairs[1::2], strict=True)]
    model = _load(options)
    images, masks = ([pair[part] for pair in references] for part in (0, 1))
    return model, model.learn(images, masks, name=name)


def _reference(image: str, mask: str) -> tuple[Any, Any]:
    from persam.io import looks_inverted, read_image, read_mask
    from persam.reference import parse_hint

    rgb, hint = read_image(image), parse_hint(mask)
    if hint is not None:
        return rgb, hint
    pixels = read_mask(mask, rgb.shape[:2], image_name=image)
    if looks_inverted(pixels):
        _say(f"warning: {mask} marks the border and most of {image}; is it inverted? The object should be light.")
    return rgb, pixels


def _find(model: "PerSAM", concept: "Concept", album: "list[Target]", output: Path, *, overlays: bool) -> int:
    from tqdm import tqdm

    present = failed = 0
    with (output / "results.jsonl").open("w", encoding="utf-8") as lines:
        outcomes = _outcomes(model, concept, album)
        for outcome in tqdm(outcomes, total=len(album), unit="photo", disable=None, file=sys.stderr):
            if isinstance(outcome, tuple):
                target, error = outcome
                record: dict[str, Any] = {"image": str(target.source), "error": str(error)}
                failed += 1
                tqdm.write(f"persam: {_one_line(str(error))}", file=sys.stderr)
            else:
                record = _write(outcome, output, overlays=overlays)
                present += outcome.present
            line = json.dumps(record)
            lines.write(line + "\n")
            lines.flush()
            tqdm.write(line, file=sys.stdout)
            sys.stdout.flush()
    unusable = f", {failed} could not be used" if failed else ""
    _say(f"found {concept.name!r} in {present} of {len(album)} photos{unusable}; results are in {output}")
    return 2 if failed else 0


def _outcomes(
    model: "PerSAM", concept: "Concept", album: "list[Target]"
) -> "Iterator[Segmentation | tuple[Target, ImageError]]":
    """A result for every target, or what is wrong with it: one bad photo does not end an album."""
    for target in album:
        try:
            yield model.segment_one(target, concept)
        except ImageError as error:
            yield target, error


def _write(found: "Segmentation", output: Path, *, overlays: bool) -> dict[str, Any]:
    from persam import formats

    record: dict[str, Any] = {
        "image": str(found.source),
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
        suffix = "jpg" if max(found.mask.shape) < 65_000 else "png"  # JPEG ends at 65,535 pixels a side
        picture = output / "overlays" / f"{found.name}.{suffix}"
        formats.write_picture(found.overlay(), picture)
        record["overlay"] = str(picture)
    return record


def _load(options: argparse.Namespace, model: str | None = None) -> "PerSAM":
    from persam.model import load
    from persam.recipes import find

    recipe = find(options.recipe or "persam")
    return load(model or options.model or "nano", device=options.device, recipe=recipe)


def _make_writable(folder: Path) -> None:
    """Makes the folder and tries it, before anything expensive is done for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".persam-can-write"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = "it is a file" if folder.is_file() else (error.strerror or str(error)).lower()
        raise OutputError(f"cannot write into {folder}: {reason}. Choose another folder with -o.") from error


def _say(text: str) -> None:
    print(f"persam: {_one_line(text)}", file=sys.stderr)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _weights_list(options: argparse.Namespace) -> int:
    from persam import weights

    table = [("NAME", "STATE", "SIZE", "LICENCE", "ABOUT")]
    for row in weights.rows():
        source = row.source
        size_bytes = row.path.stat().st_size if row.state in ("bundled", "here") else source.size_bytes
        size = f"{size_bytes / 1e6:.0f} MB" if size_bytes else "-"
        table.append((source.name, row.state, size, source.licence, source.about))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
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
