"""The object seen close up, as a set of cells: by it a find is recognised as this very object, or as another.

Where an object is, and whether it is this one, are asked at different distances. To find it, cells of the whole photo
are compared, and another car's look the same. To recognise it, both photos are cut out closely around the object, so
that it has the same size in both and many cells, and the cells must match one to one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from persam.backbones.base import Backbone
from persam.closeup import CloseUp
from persam.geometry import cell_cover
from persam.prototypes import Cells, cluster, likeness
from persam.types import ImageEmbedding

Array = np.ndarray[Any, Any]
MARGIN = 1.2  # side of the cut-out over the longer side of the mask's box
PARTS = 128  # of one photo at most
SAME = 0.98  # likeness from which on two cells are one part: of a plain surface no cell chooses another for good


@dataclass(frozen=True)
class Portrait:
    """Cells of the object in close-ups of one or more photos: unit features, CIELAB colours, and the photo of each."""

    features: Float[Tensor, "n c"]
    colours: Float[Tensor, "n 3"]
    photo: Int64[Tensor, "n"]

    @staticmethod
    def of(
        backbone: Backbone, rgb: UInt8[Array, "h w 3"], mask: Bool[Array, "h w"], whole: ImageEmbedding
    ) -> "Portrait":
        """The object that the mask shows, in a cut-out that is encoded for it; without a pixel of it, no cell.

        whole: the photo's own features, of which a portrait without a cell has the width.
        """
        close = CloseUp.of(backbone, rgb, mask, margin=MARGIN)
        if close is None:
            return Portrait.empty(whole)
        frame = close.embedding.frame
        cover = frame.valid(cell_cover(mask[close.slices], frame))
        features, colours, _ = cluster(
            Cells.of(close.embedding, (cover > 0) & (cover >= 0.5 * cover.max())), PARTS, alike=SAME
        )
        return Portrait(features, colours, torch.zeros(len(features), dtype=torch.long, device=features.device))

    @staticmethod
    def empty(whole: ImageEmbedding) -> "Portrait":
        """No cell: of a photo that does not show the object, or for a recipe that never asks which object it is."""
        features = whole.features
        photo = torch.zeros(0, dtype=torch.long, device=features.device)
        return Portrait(features.new_zeros(0, len(features)), features.new_zeros(0, 3), photo)

    @staticmethod
    def joined(portraits: "list[Portrait]") -> "Portrait":
        """Portraits from one photo each."""
        return Portrait(
            torch.cat([portrait.features for portrait in portraits]),
            torch.cat([portrait.colours for portrait in portraits]),
            torch.cat([portrait.photo + number for number, portrait in enumerate(portraits)]),
        )

    def to(self, device: torch.device | str) -> "Portrait":
        return Portrait(self.features.to(device), self.colours.to(device), self.photo.to(device))


def resemblance(known: Portrait, found: Portrait) -> float:
    """How much one object resembles another, 0..1: their best-buddies similarity (Dekel et al., CVPR 2015).

    The likeness of cells that are each other's most alike (a match forward that holds backward too), over the mean
    number of cells. Two objects of a kind have like cells as well, but many of one's are most like the same few of the
    other's. With several photos of the known object, the one that resembles most counts.
    """
    if not len(found.features):
        return 0.0
    return max(
        (_best_buddies(known, known.photo == number, found) for number in known.photo.unique().tolist()), default=0.0
    )


def _best_buddies(known: Portrait, kept: Tensor, found: Portrait) -> float:
    alike = likeness(Cells(known.features[kept], known.colours[kept]), found.features, found.colours)
    forward, backward = alike.argmax(1), alike.argmax(0)
    mutual = backward[forward] == torch.arange(len(forward), device=forward.device)
    return 2 * float((alike.amax(1).clamp(min=0) * mutual).sum()) / sum(alike.shape)
