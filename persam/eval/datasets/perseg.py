"""PerSeg (PerSAM, §4.1): one photo of an object is the reference, its other photos are the targets.

Images/<object>/00.jpg, 01.jpg, …
Annotations/<object>/00.png, 01.png, …      palette index (or grey level) above 0 is the object
"""

from collections.abc import Iterator
from pathlib import Path

from persam.errors import DataError
from persam.eval.episodes import Episode, MaskFile, Photo, Reference, Target, folder_in

PAPER_OBJECTS = 40
# Left out by name in the published evaluation.
UNPUBLISHED = frozenset(
    {"physics_mug", "clock", "pink_sunglasses", "cat2", "red_teapot", "mug_skulls", "flower", "vase"}
)


def episodes(root: Path) -> Iterator[Episode]:
    """An episode an object: photo 00 is the reference, every other annotated photo a target.

    Masks and photos meet by name (ledger 7: the published script pairs sorted lists and skips every path that
    contains the reference's number). A folder with more objects than the paper's 40 is cut down as the published
    evaluation does it, by eight names.

    Raises:
        DataError: a folder, the reference, or the photo of a mask is missing.
    """
    folder_in(root, "Images")
    objects = sorted(folder for folder in folder_in(root, "Annotations").iterdir() if folder.is_dir())
    if len(objects) > PAPER_OBJECTS:
        objects = [folder for folder in objects if folder.name not in UNPUBLISHED]
    for folder in objects:
        masks = {path.stem: path for path in sorted(folder.glob("*.png"))}
        photos = {path.stem: path for path in (root / "Images" / folder.name).glob("*.jpg")}
        if alone := sorted(masks.keys() - photos.keys()):
            raise DataError(f"{folder.name}: mask {alone[0]}.png has no photo {alone[0]}.jpg in Images/{folder.name}.")
        if "00" not in masks or len(masks) < 2:
            raise DataError(f"{folder.name}: the reference 00.png and one more mask are needed, got {sorted(masks)}.")
        yield Episode(
            object=folder.name,
            references=(Reference(Photo(photos["00"]), MaskFile(masks["00"])),),
            targets=tuple(
                Target(name, Photo(photos[name]), MaskFile(path)) for name, path in masks.items() if name != "00"
            ),
        )
