"""The values that flow between the stages. Frozen; they check themselves where a caller can build them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from persam.geometry import Frame


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

    @staticmethod
    def joined(embeddings: "Sequence[ImageEmbedding]") -> "ImageEmbedding":
        """One batch of all, which are of one backbone and input size."""
        first, *_ = embeddings
        maps = {field.name: [getattr(one, field.name) for one in embeddings] for field in fields(first)}
        joined: dict[str, Any] = {name: torch.cat(one) for name, one in maps.items() if isinstance(one[0], Tensor)}
        if first.fine is not None:
            joined["fine"] = tuple(torch.cat(scale) for scale in zip(*maps["fine"], strict=True))
        frames, keys = (tuple(one for part in maps[name] for one in part) for name in ("frames", "keys"))
        return replace(first, **joined, frames=frames, keys=keys)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> "ImageEmbedding":
        """A batch of one image, without a copy."""
        place = range(len(self))[index]
        frames, keys = (self.frames[place],), (self.keys[place],)
        return replace(self, frames=frames, keys=keys, **self._changed(lambda maps: maps[place : place + 1]))

    def __iter__(self) -> "Iterator[ImageEmbedding]":
        return (self[index] for index in range(len(self)))

    @property
    def frame(self) -> Frame:
        """The frame of a batch of one image."""
        (frame,) = self.frames
        return frame

    @property
    def device(self) -> torch.device:
        return self.features.device

    def to(self, device: torch.device | str) -> "ImageEmbedding":
        return replace(self, **self._changed(lambda maps: maps.to(device)))

    def _changed(self, change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
        """Every map by name, changed."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        changed: dict[str, Any] = {name: change(maps) for name, maps in values.items() if isinstance(maps, Tensor)}
        return changed if self.fine is None else changed | {"fine": (change(self.fine[0]), change(self.fine[1]))}


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
