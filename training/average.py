"""The mean of two courses' weights: `python -m training.average ONE OTHER --out nano.safetensors`.

A course that teaches something new forgets a little of what came before; the mean of the weights before and after it
keeps most of both (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load_file

from training.train import save


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("one", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="of the other, 0 to 1 (%(default)s)")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    if not 0 <= options.share <= 1:
        parser.error(f"--share must lie between 0 and 1, and {options.share} was given")
    one, other = load_file(options.one), load_file(options.other)
    if {name: value.shape for name, value in one.items()} != {name: value.shape for name, value in other.items()}:
        parser.error(f"{options.one} and {options.other} do not hold the same model")
    mixed = {name: value.float().lerp(other[name].float(), options.share) for name, value in one.items()}
    save(mixed, options.out)


if __name__ == "__main__":
    main()
