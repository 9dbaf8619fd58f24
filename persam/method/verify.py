"""The object seen close up, as a set of cells: by it a find is recognised as this very object, or as another.

Where an object is, and whether it is this one, are asked at different distances. To find it, cells of the whole photo
are compared, and another car's look the same. To recognise it, both photos are cut out closely around the object, so
that it has the same size in both and many cells, and its parts must match one to one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from persam.geometry import cell_cover
from persam.method.prototypes import Cells, cluster, likeness
from persam.sam.backbone import Backbone
from persam.sam.crop import CloseUp
from persam.types import ImageEmbedding

Array = np.ndarray[Any, Any]
MARGIN = 1.2  # side of the cut-out over the longer side of the mask's box
PARTS = 96  # of one photo at most
SAME = 0.98  # likeness from which on two cells are one part: of a plain surface no cell chooses another for good
CHOICE = 0.03  # difference in likeness that makes a part prefer one other part to another e times


@dataclass(frozen=True)
class Portrait:
    """Cells of the object in close-ups of one or more photos: unit features, CIELAB colours, and the photo of each."""

    features: Float[Tensor, "n c"]
    colours: Float[Tensor, "n 3"]
    photo: Int64[Tensor, "n"]

    @staticmethod
    def of(backbone: Backbone, rgb: UInt8[Array, "h w 3"], mask: Bool[Array, "h w"]) -> "Portrait | None":
        """The object that the mask shows, in a cut-out that is encoded for it; None where it has no pixel."""
        close = CloseUp.of(backbone, rgb, mask, margin=MARGIN)
        if close is None:
            return None
        frame = close.embedding.frame
        cover = frame.valid(cell_cover(mask[close.slices], frame))
        shown = Cells.of(close.embedding, (cover > 0) & (cover >= 0.5 * cover.max()), by="identity")
        features, colours, _ = cluster(shown, PARTS, alike=SAME)
        return Portrait(features, colours, torch.zeros(len(features), dtype=torch.long, device=features.device))

    @staticmethod
    def empty(whole: ImageEmbedding) -> "Portrait":
        """No cell: of a photo that does not show the object, or for a recipe that never asks which object it is."""
        features = whole.features if whole.identity is None else whole.identity
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


def resemblance(known: Portrait, found: Portrait | None) -> float:
    """How much one object resembles another, 0..1 (1: itself), by `mutual_likeness`; 0 where nothing was found.

    With several photos of the known object, the one that resembles most counts.
    """
    if found is None:
        return 0.0
    views = (known.photo == number for number in known.photo.unique().tolist())
    return max((_resemblance(known, view, found) for view in views), default=0.0)


def mutual_likeness(alike: Float[Tensor, "n m"]) -> Float[Tensor, ""]:
    """Of two sets' likeness how much lies in pairs that choose each other, over the mean number of the two sets.

    The best-buddies similarity of Dekel et al. (CVPR 2015), whose members choose their most alike; here they choose by
    a softmax (as in Plötz and Roth's neural nearest neighbours, NeurIPS 2018), so that near ties do not decide. Two
    objects of a kind have like parts too, but many of one's are most like the same few of the other's.
    """
    chosen = (alike / CHOICE).softmax(0) * (alike / CHOICE).softmax(1)
    return 2 * (chosen * alike.clamp(min=0)).sum() / sum(alike.shape)


def _resemblance(known: Portrait, view: Bool[Tensor, "n"], found: Portrait) -> float:
    """Likeness between the two over likeness within each: parts that are much alike split their choice among them."""
    first, second = ((known.features[view], known.colours[view]), (found.features, found.colours))
    between, here, there = (
        mutual_likeness(likeness(Cells(*one), *other))
        for one, other in ((first, second), (first, first), (second, second))
    )
    return min(1.0, float(between / (here * there).sqrt()))
