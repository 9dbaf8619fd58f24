"""Photos with masks, as a diffusion model trains on them: resized, flipped and cropped as one, the object kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from persam.dreambooth.pairs import Pair
from persam.errors import DreamBoothError
from persam.io.images import read_image
from persam.io.masks import read_mask

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class MaskedPhoto:
    """One photo as the network sees it, and which of it counts.

    pixels: -1 to 1. mask: 0 to 1, the share of each pixel that is the object.
    original_hw: of the photo's file. crop_top_left: row and column at which the crop begins in the resized (and, where
    it was, flipped) photo. SDXL takes both.
    """

    pixels: Float[Tensor, "3 r r"]
    mask: Float[Tensor, "1 r r"]
    original_hw: tuple[int, int]
    crop_top_left: tuple[int, int]


class MaskedPhotos(Dataset[MaskedPhoto]):
    """Square crops of the photos: the short side becomes `resolution`, and the longer one is cut.

    The crop holds all of the object where it fits, else its middle. An item depends on the seed, its index and the
    epoch alone. `torch.utils.data` collates no dataclasses: give the loader a `collate_fn`.

    Args:
        pairs: as `read_pairs` gives them.
        resolution: side of the crop in pixels.
        center_crop: take the crop nearest to the photo's middle, instead of one at random.
        random_flip: mirror every second photo, by chance. Not for an object with writing on it.
        seed: of crops and flips.

    Raises:
        DreamBoothError: there are no pairs, or the resolution is no multiple of 8.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        *,
        resolution: int,
        center_crop: bool = False,
        random_flip: bool = False,
        seed: int = 0,
    ):
        if not pairs:
            raise DreamBoothError("there are no photos to train on. Prepare some with `persam dreambooth prepare`.")
        if resolution < 8 or resolution % 8:
            raise DreamBoothError(
                f"photos cannot be trained on at a resolution of {resolution}: latents are 8 pixels wide. "
                f"Give a multiple of 8, such as 512 or 1024."
            )
        self.pairs, self.resolution, self.seed = list(pairs), resolution, seed
        self.center_crop, self.random_flip = center_crop, random_flip
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Other crops and flips from here on; call it before the epoch's loader makes its workers."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> MaskedPhoto:
        """Raises ImageError or MaskError when a file has gone or changed since its pair was read."""
        if not 0 <= index < len(self.pairs):
            raise IndexError(index)
        pair = self.pairs[index]
        rgb = read_image(pair.image)
        original_hw = (rgb.shape[0], rgb.shape[1])
        mask = read_mask(pair.mask, original_hw, image_name=str(pair.image))
        draws = np.random.default_rng((self.seed, index, self.epoch))
        is_flipped = self.random_flip and draws.random() < 0.5
        if is_flipped:
            rgb, mask = rgb[:, ::-1], mask[:, ::-1]
        size_hw = _resized_hw(original_hw, self.resolution)
        photo = _resize(rgb, size_hw, Image.Resampling.LANCZOS)
        cover = _resize(mask.astype(np.float32), size_hw, Image.Resampling.BOX)  # floats: one pixel of many is kept
        rows, columns = (np.asarray((cover > 0).any(axis=axis)) for axis in (1, 0))
        top, left = (
            crop_start(shown, self.resolution, None if self.center_crop else draws.random())
            for shown in (rows, columns)
        )
        window = slice(top, top + self.resolution), slice(left, left + self.resolution)
        return MaskedPhoto(
            pixels=torch.from_numpy(photo[window].astype(np.float32) / 127.5 - 1).permute(2, 0, 1).contiguous(),
            mask=torch.from_numpy(cover[window].clip(0, 1))[None],
            original_hw=original_hw,
            crop_top_left=(top, left),
        )


def crop_start(shown: Bool[Array, "n"], side: int, chance: float | None) -> int:
    """Where along one axis a crop begins.

    The crop holds all that is shown where that fits. Else it is centred on the middle one of the places that show the
    object, so that it never holds none of them.

    Args:
        shown: for each row (or column) whether the object is there; at least once.
        side: of the crop, at most the length of the axis.
        chance: 0 to 1, which of the possible crops, from the first to the last; None takes the one nearest to the
            middle of the photo.
    """
    places = np.flatnonzero(shown)
    first, last = int(places[0]), int(places[-1])
    latest = len(shown) - side
    if last - first >= side:
        middle = int(places[len(places) // 2])
        return min(max(middle - side // 2, 0), latest)
    lowest, highest = max(0, last + 1 - side), min(first, latest)
    if chance is None:
        return min(max(round(latest / 2), lowest), highest)
    return min(lowest + int(chance * (highest - lowest + 1)), highest)


def _resized_hw(original_hw: tuple[int, int], resolution: int) -> tuple[int, int]:
    """The size at which the short side is the resolution."""
    scale = resolution / min(original_hw)
    height, width = (max(resolution, round(side * scale)) for side in original_hw)
    return height, width


def _resize(picture: Array, size_hw: tuple[int, int], by: Image.Resampling) -> Array:
    height, width = size_hw
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize((width, height), by))
