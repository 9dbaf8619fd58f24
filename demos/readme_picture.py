"""Draws the README's picture with the bundled model: `python demos/readme_picture.py [FILE]`.

The masks, "found" and "not here" are what the model says of the example photos; where the truth says otherwise, the
caption says that it is wrong.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import persam
from persam.eval import demo
from persam.io import draw
from persam.io.images import read_image
from persam.io.masks import read_mask

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "data" / "examples"
# reference, mask, photos to look in, and whether every one of its kind is looked for
ROWS = (
    ("chelsea", "cat", ("picnic", "gallery", "coffee"), False),
    ("coffee", "cup", ("gravel_cup", "lawn_cup", "chelsea"), False),
    ("coin", "coin", ("coins", "coins_turned", "camera"), True),
)
WIDTH, HEIGHT = 1400, 200


def main(output: Path, model: persam.PerSAM | None = None) -> None:
    model = model or persam.load("nano", device="cpu")
    rows = [in_a_row(*drawn(model, *row)) for row in ROWS]
    output.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)).save(output, quality=85, optimize=True)


def drawn(model, reference, thing, targets, every):
    """The row's pictures and their captions."""
    rgb = read_image(EXAMPLES / "photos" / f"{reference}.jpg")
    mask = read_mask(EXAMPLES / "masks" / f"{thing}.png", rgb.shape[:2])
    concept = model.learn(rgb, mask, name=thing)
    pictures, captions = [draw.overlay(rgb, mask, colour=draw.INSIDE)], [f"one photo and its mask: {thing}"]
    for name in targets:
        photo = EXAMPLES / "photos" / f"{name}.jpg"
        [found] = model.segment(photo, concept, max_instances=demo.LIMIT if every else 1)
        masks = [one.mask for one in found]
        pictures.append(demo.draw_every(read_image(photo), masks))
        captions.append(judged(masks, EXAMPLES / "truth" / f"{name}_{thing}.png", every=every))
        print(f"{thing}: {name}: {captions[-1]}")
    return pictures, captions


def judged(masks, truth, *, every):
    """What is said of the masks. truth: the mask file, not there when the object is not in the photo."""
    if not truth.exists():
        return "found (wrong)" if masks else "not here"
    with Image.open(truth) as image:
        count = demo.count(masks, np.array(image) > 0)
    if every:
        return str(count)
    return "found" if count.right else "found (wrong)" if masks else "not here (wrong)"


def in_a_row(pictures, captions):
    """The pictures side by side, as wide as the others' rows."""
    row = draw.side_by_side(pictures, captions=captions, height=HEIGHT)
    height = round(HEIGHT * WIDTH / row.shape[1])
    row = draw.side_by_side(pictures, captions=captions, height=height)
    return np.asarray(Image.fromarray(row).resize((WIDTH, round(row.shape[0] * WIDTH / row.shape[1]))))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "found.jpg")
