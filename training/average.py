"""The mean of several weights: `python -m training.average FILE FILE... --out nano.safetensors`.

A course that teaches something new forgets a little of what came before; the mean of the weights before and after it
keeps most of both (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022). Where what was forgotten sits
in one part of the network, the other part may enter alone: `--mobilenet FILE`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

from training.weights import save

MOBILENET = "image_encoder.back."


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--mobilenet", type=Path, help="weights of which only MobileNetV2 enters, by half")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    paths: list[Path] = options.weights + ([options.mobilenet] if options.mobilenet else [])
    first, *others = paths
    files = [load_file(path) for path in (first, *others)]
    shapes = [{name: value.shape for name, value in file.items()} for file in files]
    for path, other in zip(others, shapes[1:], strict=True):
        if other != shapes[0]:
            parser.error(f"{first} and {path} do not hold the same model")
    half = files.pop() if options.mobilenet else {}
    mean = {name: torch.stack([file[name].float() for file in files]).mean(0) for name in files[0]}
    for name in half:
        if name.startswith(MOBILENET):
            mean[name] = (mean[name] + half[name].float()) / 2
    save(mean, options.out)


if __name__ == "__main__":
    main()
