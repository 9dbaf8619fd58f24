"""An album that is searched on the page: results as they come, on disk, so that masks do not fill the memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from persam.errors import PerSAMError
from persam.geometry import box_of
from persam.io.album import Target
from persam.io.images import read_image
from persam.io.mask_files import write_mask
from persam.io.names import photo_names
from persam.io.results import ImageResult, Segmentation
from persam.io.write import write_picture
from persam.method.concept import Concept
from persam.model import PerSAM
from persam.studio.limits import Limits
from persam.studio.photo import read_photo, view

Array = np.ndarray[Any, Any]
OVERLAY_SIDE = 960


@dataclass(frozen=True, eq=False)
class Found:
    """A `Segmentation` whose mask is in a file."""

    concept: str
    instance: int
    score: float
    presence: float | None
    present: bool
    mask_file: Path
    points_xy: Float[Array, "n 2"]
    labels: Float[Array, "n"]
    similarity: Float[Array, "hv wv"]

    @classmethod
    def of(cls, one: Segmentation, mask_file: Path) -> "Found":
        write_mask(one.mask, mask_file)
        return cls(
            one.concept,
            one.instance,
            one.score,
            one.presence,
            one.present,
            mask_file,
            one.points_xy,
            one.labels,
            one.similarity,
        )

    @property
    def mask(self) -> Bool[Array, "h w"]:
        with Image.open(self.mask_file) as image:
            return np.array(image) > 0

    def segmentation(self) -> Segmentation:
        mask = self.mask
        return Segmentation(
            self.concept,
            self.instance,
            mask,
            self.score,
            self.presence,
            self.present,
            box_of(mask),
            self.points_xy,
            self.labels,
            self.similarity,
        )

    def __str__(self) -> str:
        """What the page says of it."""
        presence = "" if self.presence is None else f", presence {self.presence:.2f}"
        return f"{self.concept}: {f'score {self.score:.2f}' if self.present else 'not here'}{presence}"


@dataclass(frozen=True, eq=False)
class Searched:
    """A photo of the album and what was found in it; error: why it could not be searched."""

    name: str
    path: Path
    size_hw: tuple[int, int]
    found: tuple[Found, ...]
    overlay: Path | None
    error: str | None = None

    def read(self) -> UInt8[Array, "h w 3"]:
        return read_image(self.path)  # it was within the limits when it was searched

    def result(self) -> ImageResult:
        segmentations = tuple(one.segmentation() for one in self.found)
        return ImageResult(self.name, self.size_hw, segmentations, self.read, source=self.path)

    def __str__(self) -> str:
        return f"{self.name} · {'; '.join(map(str, self.found)) if self.error is None else self.error}"


@dataclass(eq=False)
class Album:
    """What was searched last. folder: where masks and overlays are."""

    folder: Path
    searched: dict[str, Searched] = field(default_factory=dict)

    def search(
        self,
        paths: Sequence[Path],
        concepts: Sequence[Concept],
        model: PerSAM,
        limits: Limits,
        *,
        max_instances: int = 1,
    ) -> Iterator[Searched]:
        """Each photo when it has been searched, in order; a photo that cannot be read has an error and does not end it.

        Raises:
            LimitError: there are too many photos, or they take too long: what came before stays.
            ConceptError: as for `PerSAM.segment`.
        """
        limits.check_count(len(paths))
        deadline = limits.deadline("searching the album")
        names = photo_names([path.name for path in paths])
        targets = [Target(name, path, partial(_pixels, path, limits)) for name, path in zip(names, paths, strict=True)]
        results = model.segment(targets, concepts, max_instances=max_instances, on_error="skip")
        self.searched = {}
        for path, result in zip(paths, results, strict=True):
            self.searched[result.name] = self._kept(path, result)
            yield self.searched[result.name]
            deadline.check()

    def change(self, name: str, place: int, *, mask: Bool[Array, "h w"] | None = None, present: bool) -> Searched:
        """The photo with one of its finds as a person put it right."""
        photo = self[name]
        old = photo.found[place]
        one = replace(old.segmentation(), present=present)
        if mask is not None:
            one = replace(one, mask=mask, box_xyxy=box_of(mask))
        found = (*photo.found[:place], Found.of(one, old.mask_file), *photo.found[place + 1 :])
        self.searched[name] = self._drawn(replace(photo, found=found))
        return self.searched[name]

    def results(self) -> Iterator[ImageResult]:
        """What is known of every photo that could be searched, one in memory at a time.

        Raises:
            PerSAMError: nothing was searched yet.
        """
        photos = [one for one in self.searched.values() if one.error is None]
        if not photos:
            raise PerSAMError("there is nothing to download yet: search an album first.")
        return (one.result() for one in photos)

    def __getitem__(self, name: str) -> Searched:
        if name not in self.searched:
            raise PerSAMError(f"the photo {name!r} is not in the album that was searched last. Search it again.")
        return self.searched[name]

    def _kept(self, path: Path, result: ImageResult) -> Searched:
        if result.error is not None:
            return Searched(result.name, path, (0, 0), (), None, str(result.error))
        number = len(self.searched)
        found = tuple(
            Found.of(one, self.folder / f"mask-{number}-{place}.png") for place, one in enumerate(result.segmentations)
        )
        overlay = self.folder / f"overlay-{number}-0.jpg"
        write_picture(view(result.overlay(), OVERLAY_SIDE), overlay)
        return Searched(result.name, path, result.size_hw, found, overlay)

    def _drawn(self, photo: Searched) -> Searched:
        """With an overlay of what is known now, under a new name, as browsers keep what they have."""
        assert photo.overlay is not None
        number, _, turn = photo.overlay.stem.removeprefix("overlay-").partition("-")
        overlay = self.folder / f"overlay-{number}-{int(turn) + 1}.jpg"
        write_picture(view(photo.result().overlay(), OVERLAY_SIDE), overlay)
        photo.overlay.unlink(missing_ok=True)
        return replace(photo, overlay=overlay)


def _pixels(path: Path, limits: Limits) -> UInt8[Array, "h w 3"]:
    return read_photo(path, limits).rgb
