"""A folder of photos and masks: DIR/images/NAME.png with DIR/masks/NAME.png, and nothing that has no partner."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from persam.errors import DreamBoothError, ImageError, MaskError
from persam.io.images import read_image
from persam.io.masks import read_mask

IMAGES, MASKS, CAPTIONS = "images", "masks", "captions"


@dataclass(frozen=True)
class Pair:
    """A photo's file and its mask's. caption: what the photo shows, in words; None where nobody said."""

    image: Path
    mask: Path
    caption: str | None = None


def read_pairs(folder: str | Path) -> list[Pair]:
    """The pairs of a folder that `persam dreambooth prepare` wrote, sorted by name. Every file is read once.

    Files whose names begin with a dot are passed over. A caption is what DIR/captions/NAME.txt says.

    Raises:
        DreamBoothError: the folder is not of this layout or holds no pair, a photo or a mask has no partner or two
            files have one name, or a photo, a mask or a caption cannot be used; the message names the file.
    """
    folder = Path(folder).expanduser()
    images, masks = (_files(folder, part) for part in (IMAGES, MASKS))
    if not images and not masks:
        raise DreamBoothError(f"{folder} holds no photos. Fill it with `persam dreambooth prepare`.")
    for there, other, missing in ((images, masks, MASKS), (masks, images, IMAGES)):
        alone = [there[stem] for stem in there if stem not in other]
        if alone:
            raise DreamBoothError(
                f"{_listed(alone)} {'has' if len(alone) == 1 else 'have'} no partner of the same name in "
                f"{folder / missing}: every photo needs one mask, every mask one photo. Remove or add the other half."
            )
    return [_checked(Pair(image, masks[stem], _caption(folder, stem))) for stem, image in images.items()]


def _files(folder: Path, part: str) -> dict[str, Path]:
    """Files of images/ or masks/ by their stems."""
    try:
        inside = sorted(path for path in (folder / part).iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DreamBoothError(
            f"cannot list {folder / part}: {(error.strerror or str(error)).lower()}. A training folder holds "
            f"{IMAGES}/ and {MASKS}/; `persam dreambooth prepare` makes one."
        ) from error
    found: dict[str, Path] = {}
    for path in inside:
        if path.stem in found:
            raise DreamBoothError(f"{found[path.stem]} and {path.name} have one name: rename or remove one of them.")
        found[path.stem] = path
    return found


def _caption(folder: Path, stem: str) -> str | None:
    path = folder / CAPTIONS / f"{stem}.txt"
    try:
        return path.read_text(encoding="utf-8").strip() if path.is_file() else None
    except (UnicodeDecodeError, OSError) as error:
        raise DreamBoothError(
            f"cannot read the caption {path}: {error}. Save it as UTF-8 text, or remove it."
        ) from error


def _checked(pair: Pair) -> Pair:
    try:
        height, width, _ = read_image(pair.image).shape
        read_mask(pair.mask, (height, width), image_name=str(pair.image))
    except ImageError as error:
        raise DreamBoothError(f"{error} Or remove it and its mask.") from error
    except MaskError as error:
        raise DreamBoothError(f"{pair.mask} cannot be used: {error}") from error
    return pair


def _listed(paths: Iterable[Path], most: int = 3) -> str:
    names = [str(path) for path in paths]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
