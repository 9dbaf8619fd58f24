"""A folder to train DreamBooth from: one that was prepared and then damaged, and one that is prepared of an album."""

import shutil
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image

from persam.dreambooth import MaskedPhotos, Pair, prepare, read_pairs
from persam.dreambooth.layouts import LAYOUTS
from persam.dreambooth.train.options import TrainOptions
from persam.dreambooth.train.proof import find_pairs, prompts_of
from tests.colour import colour_model, mask, photo
from tests.dreambooth.folders import write_pair
from tests.fuzz.mutate import mutated

NAMES = ["1", "a b", "é", "a.b", "x" * 200, ".hidden", "\n", "{}"]


def train_folder(rng: Random, folder: Path) -> None:
    """Where there are pairs, each of them can be trained on."""
    if rng.random() < 0.15:
        _prepare(rng, folder)
        return
    for number in range(rng.randint(1, 3)):
        write_pair(folder, rng.choice([*NAMES, str(number)]), hw=(rng.choice([64, 70]), 64))
    (folder / "captions").mkdir()
    for path in list((folder / "images").iterdir()):
        (folder / "captions" / f"{path.stem}.txt").write_text("a photo of sks dog\n")
    for _ in range(rng.randint(1, 3)):
        _damage(rng, folder)
    apart = folder / "masks" if rng.random() < 0.2 else None
    options = TrainOptions(
        pretrained_model_name_or_path="none",
        instance_data_dir=folder / "images" if apart else folder,
        mask_data_dir=apart,
    )
    pairs = find_pairs(options)
    prompts_of(pairs, options)
    _trained_on(rng, pairs)


def _trained_on(rng: Random, pairs: list[Pair]) -> None:
    side = rng.choice([8, 64, 104])
    photos = MaskedPhotos(
        pairs, resolution=side, random_flip=True, center_crop=rng.random() < 0.5, seed=rng.randrange(99)
    )
    for index in range(len(photos)):
        found = photos[index]
        assert found.pixels.shape == (3, side, side), found.pixels.shape
        assert found.mask.shape == (1, side, side), found.mask.shape
        assert 0 < float(found.mask.max()) <= 1, "no object in the crop"
        assert bool(torch.isfinite(found.pixels).all())


def _damage(rng: Random, folder: Path) -> None:
    there = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    if not there:
        return
    victim = rng.choice(there)
    change = rng.randrange(10)
    if change < 4:
        victim.write_bytes(mutated(rng, victim.read_bytes()))
    elif change == 4:
        victim.unlink()
    elif change == 5:
        victim.unlink()
        victim.symlink_to(rng.choice([victim, folder, Path("nowhere"), there[0]]))
    elif change == 6:
        victim.unlink()
        victim.mkdir()
    elif change == 7:
        victim.rename(victim.with_name(rng.choice(["x.png", "x.jpg", "notes.txt", ".DS_Store", "Thumbs.db"])))
    elif change == 8:
        Image.fromarray(np.zeros((rng.randint(1, 90), rng.randint(1, 90)), np.uint8)).save(victim, "PNG")
    else:
        part = folder / rng.choice(["images", "masks", "captions"])
        shutil.rmtree(part, ignore_errors=True)
        if rng.random() < 0.5 and not part.exists():
            part.write_text("no folder")


def _prepare(rng: Random, folder: Path) -> None:
    album, out = folder / "album", folder / "out"
    album.mkdir()
    for number in range(rng.randint(1, 3)):
        path = album / f"{rng.choice(NAMES)}{number}.png"
        Image.fromarray(photo(at_xyxy=(4 + 5 * number, 8, 25 + 5 * number, 36))).save(path)
        if rng.random() < 0.5:
            path.write_bytes(mutated(rng, path.read_bytes()))
    model = colour_model()
    names = rng.sample(["red", "../up", "a/b", "=1+1", "x" * 300, "con", "\0", "é"], rng.randint(1, 2))
    concepts = [model.learn(photo(), mask(), name=name) for name in names]
    layout = rng.choice([*LAYOUTS, "nothing"])
    caption = rng.choice(["a photo of {}", "{}{}", "{0}", "a\nb", "", '"; rm', "\ud800"])
    prepare(album, concepts, out, model=model, layout=layout, caption=caption)
    inside = {path.resolve() for path in folder.rglob("*")}
    assert all(path.is_relative_to(folder.resolve()) for path in inside), inside
    if layout == "diffusers":
        _trained_on(rng, read_pairs(out))
