"""What follows objects through a clip, and what it is given of each frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, UInt8

from persam.io.segmentation import Segmentation
from persam.method.concept import Concept
from persam.method.find import Find, without_overlap
from persam.sam.backbone import Backbone
from persam.tracking.motion import half_grey
from persam.types import ImageEmbedding

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class ClipFrame:
    """A frame, and what is made of it once something asks for that."""

    rgb: UInt8[Array, "h w 3"]
    backbone: Backbone

    @cached_property
    def embedding(self) -> ImageEmbedding:
        return self.backbone.encode([self.rgb])

    @cached_property
    def grey(self) -> UInt8[Array, "hs ws"]:
        return half_grey(self.rgb)

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.rgb.shape[0], self.rgb.shape[1]


@runtime_checkable
class Follower(Protocol):
    """One way of following objects, from frame to frame. names: of its objects, in the order of their numbers."""

    @property
    def names(self) -> list[str]: ...

    def add(self, concepts: Sequence[Concept]) -> None:
        """More objects, of which no mask is given."""
        ...

    def step(self, frame: ClipFrame, masks: Sequence[Bool[Array, "h w"]], names: Sequence[str]) -> list[Segmentation]:
        """Every object in the next frame; masks with names are of objects that enter in it."""
        ...

    def correct(self, frame: ClipFrame, place: int, mask: Bool[Array, "h w"]) -> None:
        """Goes on from this mask in the latest frame; place: of its object among the names."""
        ...


def given(mask: Bool[Array, "h w"], name: str, number: int) -> Segmentation:
    """A mask that was given, as a result."""
    return Segmentation.of_mask(name, mask, score=1.0, present=bool(mask.any()), track_id=number)


def apart(finds: Sequence[Find]) -> list[Find]:
    """The finds in the same order, each pixel with one of them."""
    kept = {one.concept.name: one for one in without_overlap(finds)} if finds else {}
    return [kept[find.concept.name] for find in finds]
