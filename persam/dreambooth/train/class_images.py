"""Photos of the class for prior preservation: those in the folder, and as many more as the model has to draw."""

from collections.abc import Callable
from pathlib import Path

import torch

from persam.dreambooth.train.draws import CLASS, PICTURES, chance
from persam.dreambooth.train.families import Family
from persam.dreambooth.train.options import TrainOptions
from persam.io.write import write_picture

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}


def class_files(folder: Path) -> list[Path]:
    """Photos in the folder, sorted by name; none where there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != ".")


def draw_class_images(
    family: Family,
    options: TrainOptions,
    device: torch.device,
    *,
    process: int = 0,
    processes: int = 1,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Fills the folder of the class up to `num_class_images`, each process its share, before anything is trained.

    A picture depends on its number and the seed alone (rounding apart), so that a stopped run goes on where it was.
    """
    assert options.class_prompt  # options see to it
    there = class_files(options.class_dir)
    names = {path.stem for path in there}
    free = (number for number in range(len(there) + options.num_class_images) if _name(number) not in names)
    missing = [next(free) for _ in range(options.num_class_images - len(there))]
    if not missing:
        return
    say(f"drawing {len(missing)} photos of the class into {options.class_dir}")
    family.network.to(device)
    mine = missing[process::processes]
    for start in range(0, len(mine), options.sample_batch_size):
        some = mine[start : start + options.sample_batch_size]
        chances = [chance(options.seed, CLASS * 10 + PICTURES, number) for number in some]
        for number, picture in zip(some, family.draw(options.class_prompt, chances, device), strict=True):
            write_picture(picture, options.class_dir / f"{_name(number)}.png")


def _name(number: int) -> str:
    return f"class-{number:04d}"
