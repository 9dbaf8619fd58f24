"""Finds a cat in two pictures, from one photo of it and a mask: `python demos/quickstart.py [OUT]`."""

import sys
from pathlib import Path

from PIL import Image

import persam

EXAMPLES = Path(__file__).parent.parent / "data" / "examples"


def main(output: Path, model: str | persam.PerSAM = "nano") -> None:
    album = [EXAMPLES / "photos/garden.jpg", EXAMPLES / "photos/gallery.jpg"]
    output.mkdir(parents=True, exist_ok=True)
    for found in persam.segment(EXAMPLES / "photos/chelsea.jpg", EXAMPLES / "masks/cat.png", album, model=model):
        print(found)
        found.save(output / f"{found.name}.png")
        Image.fromarray(found.overlay()).save(output / f"{found.name}_overlay.jpg")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "quickstart"))
