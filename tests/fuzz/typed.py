"""Command lines: the right words, wrong ones, and damaged files among them."""

import contextlib
import io
import os
from pathlib import Path
from random import Random
from unittest import mock

import numpy as np
from PIL import Image

from persam.cli.main import main
from tests.colour import ColourBackbone, colour_model, mask, photo
from tests.fuzz.mutate import mutated

FILES = [
    "ref.png",
    "mask.png",
    "labels.png",
    "album",
    "bad.png",
    "red.safetensors",
    "nowhere.png",
    "a b.png",
    "walk",
    "",
]
PROMPTS = [
    *("box:8,18,31,41", "box:1,2", "box:nan,0,1,1", "box:-5,-5,900,900", "points:15,25", "points:;", "points:-1,-1"),
    *("points:1e999,1", "polygon:1,1;9,1;9,9", "scribble:15,25;20,30", "https://x/y.png", "*.png", "[", "album/*", "~"),
    *("-", "--"),
]
NUMBERS = ["0", "1", "2", "-1", "1.5", "nan", "inf", "x", "99999999999999999999", ""]
MASK = ["--label N", "--each", "--invert", "--alpha"]
MODEL = ["--recipe R", "--model M", "--device D", "--pixels unit", "--calibration F", "--base F"]
OPTIONS = {
    "segment": [*MASK, *MODEL, "--concept F", "--max-instances N", "--threshold N", "--no-overlays", "--recursive"],
    "learn": [*MASK, *MODEL, "--name F"],
    "track": [
        *(*MASK, *MODEL, "--labels F", "--concept F", "--name F", "--from N", "--to N", "--every N", "--backward"),
        *("--max-side N", "--cutout", "--export mots", "--no-overlay", "--fast"),
    ],
    "eval": ["--data F", "--recipe R", "--shots N", "--fold N", "--seed N"],
}
CHOICES = {
    "F": FILES,
    "N": NUMBERS,
    "R": ["persam", "official_persam", "persam@verify=False", "nothing", ""],
    "M": ["nano", "red.safetensors", "nowhere.pth", "ref.png", ""],
    "D": ["cpu", "auto", "tpu", "cuda:99", ""],
}
RIGHT = {
    "segment": ["ref.png", "mask.png", "album"],
    "learn": ["ref.png", "mask.png"],
    "track": ["walk", "mask.png"],
    "eval": ["davis2016"],
}
OUTPUTS = ["out", "out", "out", "x.safetensors", "ref.png", "album", "nowhere/deep", "a\0b", ""]
STRAY = ["--wrong", "-", "é", "\ud800", "--help", "--version"]


def type_into(rng: Random, folder: Path) -> None:
    """One command in a folder of its own; its exit code and its words are what a shell expects."""
    _make(rng, folder)
    words = _words(rng)
    out, err = io.StringIO(), io.StringIO()
    before = os.getcwd()
    try:
        os.chdir(folder)
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            mock.patch("persam.api.load_backbone", _backbone),
            mock.patch("persam.sam.malloc.keep_large_blocks"),
        ):
            try:
                code = main(words)
            except SystemExit as exit_:
                code = int(exit_.code or 0)
    except Exception as error:
        raise type(error)(f"{' '.join(words)}: {error}") from error
    finally:
        os.chdir(before)
    assert code in (0, 1, 2), f"{words}: exit {code}"
    assert "Traceback" not in err.getvalue(), f"{words}: {err.getvalue()}"
    assert code == 0 or err.getvalue(), f"{words}: exit {code} without a word"


def _backbone(model: object, **_: object) -> ColourBackbone:
    from persam.sam.load import load_backbone

    return ColourBackbone() if model == "nano" or model == "colour" else load_backbone(model, **_)  # type: ignore[return-value]


def _make(rng: Random, folder: Path) -> None:
    Image.fromarray(photo()).save(folder / "ref.png")
    Image.fromarray(mask()).save(folder / "mask.png")
    labels = mask().astype(np.uint8) + mask(at_xyxy=(40, 6, 53, 19)).astype(np.uint8) * 2
    Image.fromarray(labels).save(folder / "labels.png")
    Image.fromarray(photo()).save(folder / "a b.png")
    (folder / "bad.png").write_bytes(mutated(rng, (folder / "ref.png").read_bytes()))
    for name in ("album", "walk"):
        (folder / name).mkdir()
        for number in range(2):
            Image.fromarray(photo(at_xyxy=(4 + 20 * number, 8, 15 + 20 * number, 16))).save(
                folder / name / f"{number}.png"
            )
    (folder / "album" / "notes.txt").write_text("x")
    (folder / "album" / "sub").mkdir()
    concept = colour_model().learn(photo(), mask(), name="red")
    concept.save(folder / "red.safetensors")


def _words(rng: Random) -> list[str]:
    command = rng.choices(["segment", "learn", "track", "eval", "weights", "", "help", "-v"], [8, 8, 4, 2, 1, 1, 1, 1])[
        0
    ]
    if command == "weights":
        return [
            "weights",
            rng.choice(["list", "verify", "path", "x"]),
            *rng.choices([*FILES, "nano"], k=rng.randrange(3)),
        ]
    if command not in OPTIONS:
        return [command, *rng.choices(FILES, k=rng.randint(0, 3))]
    if rng.random() < 0.5:
        given = list(RIGHT[command])
        if rng.random() < 0.7:
            given[rng.randrange(len(given))] = rng.choice([*FILES, *PROMPTS])
    else:
        given = rng.choices([*FILES, *PROMPTS], k=rng.randint(0, 4))
    for option in rng.choices(OPTIONS[command], k=rng.choice([0, 0, 1, 1, 2, 3])):
        given += [rng.choice(CHOICES.get(word, [word])) for word in option.split()]
    if rng.random() < 0.9:
        given += ["-o", rng.choice(OUTPUTS)]
    if rng.random() < 0.1:
        given.insert(rng.randrange(len(given) + 1), rng.choice(STRAY))
    return [command, *given]
