"""The values that flow between the stages. Frozen; they check themselves where a caller can build them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from persam.geometry import Frame

FINE = ("fine_2x", "fine_4x")


@dataclass(frozen=True, eq=False)
class ImageEmbedding:
    """What a backbone knows of a batch of images: the expensive step, kept so that everything after it is cheap.

    Maps lie over the padded grid. Those that a backbone does not have are None.

    features: the grid that the decoder works on.
    frames: how each image lies in its input.
    keys: for each image, a digest of its pixels as the network saw them: equal keys, equal maps.
    fine: maps at 2x and 4x the grid for decoders that upscale with them; SAM's own has none.
    location: by which patches of two images are compared to find an object; None where `features` serve.
    identity: by which patches of two crops are compared to verify that they show the same object; likewise.
    colour: mean CIELAB colour of each patch (L 0 to 100, a and b about -100 to 100), padding 0.
    """

    features: Float[Tensor, "b c g g"]
    frames: tuple[Frame, ...]
    keys: tuple[str, ...]
    fine: tuple[Float[Tensor, "b c2 g2 g2"], Float[Tensor, "b c4 g4 g4"]] | None = None
    location: Float[Tensor, "b k g g"] | None = None
    identity: Float[Tensor, "b d g g"] | None = None
    colour: Float[Tensor, "b 3 g g"] | None = None

    def __post_init__(self) -> None:
        if not len(self.features) == len(self.frames) == len(self.keys):
            counts = f"{len(self.features)} maps, {len(self.frames)} frames, {len(self.keys)} keys"
            raise ValueError(f"expected a map, a frame and a key for each image, got {counts}")

    @classmethod
    def of_maps(cls, maps: Mapping[str, Tensor], frames: tuple[Frame, ...], keys: tuple[str, ...]) -> "ImageEmbedding":
        """From maps under the names that `maps` gives them."""
        named: dict[str, Any] = dict(maps)
        fine = tuple(named.pop(name) for name in FINE if name in named)
        return cls(**named, frames=frames, keys=keys, fine=(fine[0], fine[1]) if fine else None)

    @staticmethod
    def joined(batches: "Sequence[ImageEmbedding]") -> "ImageEmbedding":
        """One batch of the images of all, in this order; at least one, and all of one backbone."""
        if len(batches) == 1:
            return batches[0]
        maps = {name: torch.cat([batch.maps[name] for batch in batches]) for name in batches[0].maps}
        frames, keys = (tuple(one for batch in batches for one in getattr(batch, name)) for name in ("frames", "keys"))
        return ImageEmbedding.of_maps(maps, frames, keys)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> "ImageEmbedding":
        """A batch of one image, without a copy."""
        place = range(len(self))[index]
        maps = {name: maps[place : place + 1] for name, maps in self.maps.items()}
        return self.of_maps(maps, (self.frames[place],), (self.keys[place],))

    def __iter__(self) -> "Iterator[ImageEmbedding]":
        return (self[index] for index in range(len(self)))

    @property
    def maps(self) -> dict[str, Tensor]:
        """The maps that there are, by name; the two of `fine` as fine_2x and fine_4x."""
        fine = dict(zip(FINE, self.fine or (), strict=False))
        named = {name: getattr(self, name) for name in ("features", "location", "identity", "colour")}
        return {name: maps for name, maps in (named | fine).items() if maps is not None}

    @property
    def frame(self) -> Frame:
        """The frame of a batch of one image."""
        (frame,) = self.frames
        return frame

    @property
    def device(self) -> torch.device:
        return self.features.device

    def to(self, device: torch.device | str) -> "ImageEmbedding":
        return self.of_maps({name: maps.to(device) for name, maps in self.maps.items()}, self.frames, self.keys)


@dataclass(frozen=True, eq=False)
class Prompt:
    """What SAM is asked, one row a prompt, in original pixels.

    points_xy with labels: 1 inside the object, 0 outside. mask_logits: a previous answer at 4x the grid.
    """

    points_xy: Float[Tensor, "b n 2"] | None = None
    labels: Float[Tensor, "b n"] | None = None
    box_xyxy: Float[Tensor, "b 4"] | None = None
    mask_logits: Float[Tensor, "b 1 h w"] | None = None

    def __post_init__(self) -> None:
        if (self.points_xy is None) != (self.labels is None):
            raise ValueError("points_xy and labels come together: one label (1 inside, 0 outside) a point")

    def __len__(self) -> int:
        parts = (self.points_xy, self.box_xyxy, self.mask_logits)
        return next((len(part) for part in parts if part is not None), 1)


@dataclass(frozen=True, eq=False)
class Candidates:
    """SAM's answer to every prompt: four masks (single, whole, part, subpart) as logits, and their predicted IoU."""

    logits: Float[Tensor, "b 4 h w"]
    predicted_iou: Float[Tensor, "b 4"]


@dataclass(frozen=True, eq=False)
class LocationPrior:
    """Where the concept may be in an image.

    similarity: cosine to the target feature, -1 to 1, for the patches that hold image (padding cut off).
    points_xy, labels: the location prior as prompt points, in original pixels; the first is positive.
    attention: what is added to the decoder's attention, over the whole padded grid; None without guidance.
    """

    similarity: Float[Tensor, "hv wv"]
    points_xy: Float[Tensor, "n 2"]
    labels: Float[Tensor, "n"]
    attention: Float[Tensor, "g g"] | None = None

    @property
    def prompt(self) -> Prompt:
        """The points as one prompt."""
        return Prompt(points_xy=self.points_xy[None], labels=self.labels[None])


@dataclass(frozen=True, eq=False)
class Decoded:
    """A mask on its way, on the device: above 0 is the object.

    logits: over the padded square at 4x the grid, or over the original image: the stage that gives it says which.
    score: its predicted IoU, as the decoder gives it (not yet brought into 0..1).
    """

    logits: Float[Tensor, "h w"]
    score: Float[Tensor, ""]
