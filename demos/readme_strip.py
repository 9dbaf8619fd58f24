"""Draws the README's strip of a tracked clip with the bundled model: `python demos/readme_strip.py [FILE]`.

The clip is a camera that pans over one of the example pictures, from the cup to the cat and back; both were learned
from other photos, and no frame has a mask. Six of its frames are shown, each object in its own colour throughout.
"""

import math
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import persam
from persam.io import draw

EXAMPLES = Path(__file__).parent.parent / "data" / "examples"
FRAMES, SHOWN = 31, range(0, 31, 6)
WINDOW = (300, 400)  # height and width of a frame


def main(output: Path, model: persam.PerSAM | None = None) -> list[persam.ImageResult]:
    model = model or persam.load("nano", device="cpu")
    objects = [
        model.learn(EXAMPLES / "photos" / f"{photo}.jpg", EXAMPLES / "masks" / f"{name}.png", name=name)
        for name, photo in (("cat", "chelsea"), ("cup", "coffee"))
    ]
    results = list(persam.track(clip(), objects, model=model))
    for result in results:
        print(f"{result.time:.2f} s: {', '.join(f'{one.track_id} {one.concept}' for one in result) or 'nothing here'}")
    pictures = [results[place].overlay() for place in SHOWN]
    captions = [f"{results[place].time:.2f} s" for place in SHOWN]
    output.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw.side_by_side(pictures, captions=captions, height=174)).save(output, quality=85, optimize=True)
    return results


def clip() -> list[np.ndarray]:
    """From the right end of the picture to the left and back."""
    with Image.open(EXAMPLES / "photos" / "picnic.jpg") as image:
        rgb = np.array(image.convert("RGB"))
    height, width = WINDOW
    frames = []
    for number in range(FRAMES):
        share = (1 + math.cos(2 * math.pi * number / (FRAMES - 1))) / 2  # 1 at both ends, 0 in the middle
        top, left = round(share * (rgb.shape[0] - height)), round(share * (rgb.shape[1] - width))
        frames.append(rgb[top : top + height, left : left + width].copy())
    return frames


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLES.parent.parent / "docs" / "tracked.jpg")
