"""Shows that masking is on before anything is spent: a line to read, and a sheet of the crops that are trained on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from persam.dreambooth.dataset import MaskedPhotos
from persam.dreambooth.pairs import Pair, read_pairs
from persam.dreambooth.train.options import TrainOptions
from persam.errors import DreamBoothError, ImageError, MaskError
from persam.io.draw import overlay, side_by_side
from persam.io.images import read_image
from persam.io.masks import read_mask
from persam.io.write import write_picture

SHEET = "masks.jpg"
ALL = 0.995  # of a crop: a mask that covers more leaves nothing out
_KINDS = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


@dataclass(frozen=True)
class Proof:
    """Which part of each photo's crop its mask covers, 0 to 1."""

    names: list[str]
    areas: list[float]
    masking: str

    @property
    def line(self) -> str:
        """`masking on: 5 of 5 photos, mean area 23 %`."""
        count = len(self.areas)
        if self.masking == "off":
            return f"masking off: all of each of {count} photos counts, the background too"
        masked = [area for area in self.areas if area < ALL]
        kind = "" if self.masking == "paper" else f" ({self.masking})"
        return f"masking on{kind}: {len(masked)} of {count} photos, mean area {100 * np.mean(self.areas):.0f} %"


def find_pairs(options: TrainOptions) -> list[Pair]:
    """Photos and their masks: of a prepared folder, or of two folders with the same names.

    Raises:
        DreamBoothError: a photo or a mask has no partner, or cannot be used.
    """
    if options.mask_data_dir is None:
        return read_pairs(options.instance_data_dir)
    images, masks = (_by_stem(folder) for folder in (options.instance_data_dir, options.mask_data_dir))
    alone = sorted(images.keys() ^ masks.keys())
    if alone or not images:
        names = ", ".join(alone[:3]) or "no photos at all"
        raise DreamBoothError(
            f"{options.instance_data_dir} and {options.mask_data_dir} do not match: {names} without a partner. "
            f"Every photo needs one mask of its name."
        )
    pairs = [Pair(images[stem], masks[stem]) for stem in sorted(images)]
    for pair in pairs:
        try:
            height, width, _ = read_image(pair.image).shape
            read_mask(pair.mask, (height, width), image_name=str(pair.image))
        except (ImageError, MaskError) as error:
            raise DreamBoothError(f"{pair.image} and {pair.mask} cannot be used: {error}") from error
    return pairs


def prompts_of(pairs: list[Pair], options: TrainOptions) -> list[str]:
    """What each photo shows: `instance_prompt`, or where none is given the photo's caption.

    Raises:
        DreamBoothError: neither is there.
    """
    silent = [pair.image.name for pair in pairs if not pair.caption]
    if options.instance_prompt is None and silent:
        raise DreamBoothError(
            f"nothing says what {silent[0]} shows: give --instance_prompt, such as 'a photo of sks dog', or captions."
        )
    return [options.instance_prompt or pair.caption or "" for pair in pairs]


def prove(photos: MaskedPhotos, options: TrainOptions, *, say: Callable[[str], None]) -> Proof:
    """The proof, said in a line; OUTPUT_DIR/masks.jpg shows it. Warns of what is unlikely to be meant.

    Raises:
        DreamBoothError: no mask leaves anything out.
    """
    names = [pair.image.name for pair in photos.pairs]
    areas, pictures = [], []
    photos.set_epoch(0)
    for index in range(len(names)):
        photo = photos[index]
        areas.append(float(photo.mask.mean()))
        rgb = ((photo.pixels.permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8)
        pictures.append(overlay(rgb, photo.mask[0].numpy() >= 0.5))
    proof = Proof(names, areas, options.masking)
    captions = [f"{name}: {100 * area:.0f} %" for name, area in zip(names, areas, strict=True)]
    sheet = write_picture(side_by_side(pictures, captions=captions, columns=5), options.output_dir / SHEET)
    say(f"{proof.line}; look at {sheet}")
    if options.masking != "off":
        whole = [name for name, area in zip(names, areas, strict=True) if area >= ALL]
        if len(whole) == len(names):
            raise DreamBoothError(
                "no mask leaves anything out: each covers its whole crop. Check that they are not inverted, or say "
                "--masking off."
            )
        for name in whole:
            say(f"warning: the mask of {name} covers all of its crop, so that the background is learned there")
    if len(names) == 1:
        say("warning: one photo is little to tell an object from its pose by; three to five are usual")
    return proof


def _by_stem(folder: Path) -> dict[str, Path]:
    try:
        files = [path for path in folder.expanduser().iterdir() if path.suffix.lower() in _KINDS]
    except OSError as error:
        raise DreamBoothError(f"cannot list {folder}: {(error.strerror or str(error)).lower()}.") from error
    return {path.stem: path for path in files if not path.name.startswith(".")}
