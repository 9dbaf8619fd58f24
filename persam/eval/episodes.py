"""What a benchmark asks, and what it is answered: values between loaders, model and scores."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8
from PIL import Image

from persam.errors import DataError
from persam.eval import changes
from persam.io.rle import Polygon, Rle, draw

Array = np.ndarray[Any, Any]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Photo:
    """A photo, or the part of it that the protocol shows.

    crop_xyxy: x0, y0, x1, y1 in pixels, the last two exclusive; None for all of it.
    beside: another photo of the same height, shown to the right of it.
    """

    path: Path
    crop_xyxy: Box | None = None
    beside: Path | None = None

    def read(self) -> UInt8[Array, "h w 3"]:
        rgb = _cropped(_pixels(self.path), self.crop_xyxy)
        if self.beside is None:
            return rgb
        right = _pixels(self.beside)
        if len(right) != len(rgb):
            raise DataError(
                f"{self.beside} is {len(right)} pixels high and {self.path} {len(rgb)}: they make no mosaic."
            )
        return np.concatenate([rgb, right], axis=1)


@dataclass(frozen=True)
class MaskFile:
    """A mask in an image file.

    label: the pixel value (palette index, grey level) that is the object; None for every value from `least` up.
    """

    path: Path
    label: int | None = None
    least: int = 1

    def read(self) -> Bool[Array, "h w"]:
        values = read_labels(self.path)
        return values == self.label if self.label is not None else values >= self.least


@dataclass(frozen=True)
class CocoMask:
    """A mask from COCO's json: polygons and run lengths, together. They are in the frame of the whole photo."""

    segments: tuple[Polygon | Rle, ...]
    photo: Photo

    def read(self) -> Bool[Array, "h w"]:
        with Image.open(self.photo.path) as image:
            size_hw = (image.height, image.width)
        return _cropped(draw(self.segments, size_hw), self.photo.crop_xyxy)


@dataclass(frozen=True)
class HalfMask:
    """A mask of the left or the right photo of a mosaic. other: the path of the other photo, whose half is empty."""

    mask: MaskFile
    other: Path
    on_right: bool

    def read(self) -> Bool[Array, "h w"]:
        own = self.mask.read()
        with Image.open(self.other) as image:
            empty = np.zeros((len(own), image.width), bool)
        return np.concatenate([empty, own] if self.on_right else [own, empty], axis=1)


@dataclass(frozen=True)
class ChangedPhoto(Photo):
    """A photo under a change, one of `changes.CHANGES`.

    mask: of the object that the photo shows, which some changes go by. It is of the whole photo, as it is stored.
    """

    mask: MaskFile = field(kw_only=True)
    change: str = field(kw_only=True)

    def read(self) -> UInt8[Array, "h w 3"]:
        return self.with_mask()[0]

    def with_mask(self) -> tuple[UInt8[Array, "h w 3"], Bool[Array, "h w"]]:
        """The photo and its object's mask, changed together."""
        return changes.apply(self.change, super().read(), self.mask.read(), changes.seed_of(self.path))


@dataclass(frozen=True)
class ChangedMask:
    """The mask of the object that a changed photo shows."""

    photo: ChangedPhoto

    def read(self) -> Bool[Array, "h w"]:
        return self.photo.with_mask()[1]


MaskSource = MaskFile | CocoMask | HalfMask | ChangedMask


@dataclass(frozen=True)
class Reference:
    """A photo and where the object is in it."""

    photo: Photo
    mask: MaskSource


@dataclass(frozen=True)
class Target:
    """A photo to find the object in. truth: where it is; None when the photo does not hold it."""

    name: str
    photo: Photo
    truth: MaskSource | None


@dataclass(frozen=True)
class Episode:
    """One question: this object, in these photos?

    object: whose row in the results this counts for.
    draw: tells apart the episodes of one object (the few-shot benchmarks draw many); empty when there is one.
    together: episodes with the same mark follow each other, have the same photos as targets and are asked at once:
        the objects of a video, the references of an album. Empty for an episode on its own.
    not_this: counter-examples, of what is not the object.
    """

    object: str
    references: tuple[Reference, ...]
    targets: tuple[Target, ...]
    draw: str = ""
    together: str = ""
    not_this: tuple[Reference, ...] = ()

    @property
    def name(self) -> str:
        """Unique within its benchmark; the folder of its predictions."""
        return f"{self.object}/{self.draw}" if self.draw else self.object


@dataclass(frozen=True)
class Prediction:
    """The answer for one target.

    mask: in the target's own size: the best guess, also when the object is not `present`.
    score: how good the mask is thought to be, 0 to 1.
    presence: how sure it is that the object is there, 0 to 1; `present` is this against a threshold.
    points_xy, labels: the prompt points (1 inside, 0 outside) in the target's pixels; none for methods without.
    seconds: what this answer took, its share where several were found at once.
    """

    mask: Bool[Array, "h w"]
    score: float
    presence: float
    present: bool
    points_xy: Float[Array, "n 2"]
    labels: Float[Array, "n"]
    seconds: float


@dataclass(frozen=True)
class Answer:
    """A target and the prediction for it."""

    target: Target
    prediction: Prediction


def read_labels(path: Path) -> UInt8[Array, "h w"]:
    """A mask file's values: palette indices of a palette image, grey levels of any other."""
    try:
        with Image.open(path) as image:
            return np.asarray(image if image.mode == "P" else image.convert("L"))
    except OSError as error:
        raise DataError(f"{path} cannot be read as a mask: {error}. Download it again.") from error


def folder_in(root: Path, *parts: str) -> Path:
    """A folder of the layout.

    Raises:
        DataError: it is not there.
    """
    folder = root.joinpath(*parts)
    if not folder.is_dir():
        raise DataError(f"no folder {'/'.join(parts) or '.'} in {root}: give the folder that the benchmark unpacks to.")
    return folder


def file_in(root: Path, *parts: str) -> Path:
    """A file of the layout.

    Raises:
        DataError: it is not there.
    """
    path = root.joinpath(*parts)
    if not path.is_file():
        raise DataError(f"no file {'/'.join(parts)} in {root}: give the folder that the benchmark unpacks to.")
    return path


def check_fold(fold: int, folds: int) -> None:
    if not 0 <= fold < folds:
        raise DataError(f"there is no fold {fold}: this benchmark has folds 0 to {folds - 1}.")


def check_shots(shots: int) -> None:
    if shots < 1:
        raise DataError(f"an episode needs at least one reference, got shots = {shots}.")


def _pixels(path: Path) -> UInt8[Array, "h w 3"]:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise DataError(f"{path} cannot be read as a photo: {error}. Download it again.") from error


def _cropped(pixels: Shaped[Array, "h w *c"], crop_xyxy: Box | None) -> Shaped[Array, "hc wc *c"]:
    if crop_xyxy is None:
        return pixels
    x0, y0, x1, y1 = crop_xyxy
    return pixels[y0:y1, x0:x1]
