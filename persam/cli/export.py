"""`persam export`. An edge, without logic of its own."""

import argparse
from pathlib import Path

from persam.cli.shell import load_model, say

EXPORT_HELP = """\
Write a model for ONNX Runtime, and check that it computes the same as PyTorch.

  MODEL   nano, vit_t, vit_b, vit_l, vit_h, or the path of a SAM checkpoint

DIR holds encoder.onnx, decoder.onnx, persam.json (input size, normalisation, which weights) and calibration.json. Every
command takes it as --model DIR, and persam.load("DIR") loads it: with the same masks, and the same answer to whether
the object is there. A model that does not agree with PyTorch leaves no DIR."""


def export_options(command: argparse.ArgumentParser) -> None:
    command.usage = "persam export MODEL -o DIR"
    command.epilog = "example: persam export nano -o nano-onnx"
    command.add_argument("exported", metavar="MODEL", help=argparse.SUPPRESS)
    command.add_argument(
        "-o", "--output", required=True, type=Path, metavar="DIR", help="a new or an empty folder for the model"
    )
    command.add_argument("--base", metavar="MODEL", help="what a LoRA or SAM-Adapter given as MODEL was trained on")
    command.add_argument(
        "--pixels",
        choices=("sam", "unit"),
        help="how pixels reach the checkpoint: by Meta's mean and deviation, or as 0 to 1 (MedSAM); default: what the "
        "file says, else sam",
    )
    command.add_argument(
        "--calibration", metavar="FILE", help="what goes with it (default: the model's own, where there is one)"
    )
    command.set_defaults(recipe=None, device="cpu", model=None)


def export(options: argparse.Namespace) -> int:
    from persam.export import NEVER_MIXED, export_model
    from persam.io.write import check_empty
    from persam.sam.onnx_graph import import_onnx

    check_empty(options.output, why=NEVER_MIXED)  # before a model is fetched
    import_onnx()
    model = load_model(options, options.exported)
    difference = export_model(model, options.output)
    say(
        f"checked against PyTorch: the largest difference is {difference.encoder:.1e} of a map's largest value in the "
        f"encoder, {difference.decoder:.1e} in the decoder"
    )
    if model.calibration.presence is None:
        say(
            f"warning: {model.backbone.name} is not calibrated, so that its export judges no presence. Run "
            f"`persam eval calibrate` and export again, or write its result to {options.output}/calibration.json."
        )
    print(options.output)
    return 0
