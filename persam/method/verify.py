"""Verification: is what was found this very object? (Not in the paper.)

Where an object is, and whether it is this one, are asked at different distances. To locate it, patches of the whole
image are compared, and another car's look the same. To verify it, both images are cropped around the object
(`method.object_crop`), so that it has the same size in both and many patches, and its parts must match one to one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from persam.geometry import patch_cover
from persam.method.calibration import Calibration
from persam.method.object_crop import AS_IT_IS, AT_ONCE, REFERENCE_VIEWS, ObjectCrop, View, encode_objects
from persam.method.prototypes import Patches, cluster, patch_similarity
from persam.sam.backbone import Backbone
from persam.types import ImageEmbedding

Array = np.ndarray[Any, Any]
PARTS = 96  # of one image at most
SMALL = 72  # pixels of a find's longer side, up to which it is compared with references as from afar, too
COLOURLESS = 1.0  # chroma (CIELAB) of every patch of a crop, below which its photo is black and white
LIGHTNESS_ALONE = torch.tensor([1.0, 0.0, 0.0])


@dataclass(frozen=True, eq=False)
class IdentityDescriptor:
    """Parts of the object in crops of one or more images: unit features, CIELAB colours, and the image of each.

    A reference counts as several images, one for each view of it.

    afar: whether the image is a view from afar. colourless: of what is found, whether its photo is black and white, the
    surroundings too. small: of what is found, whether it has as few pixels as if it were seen from afar.
    """

    features: Float[Tensor, "n c"]
    colours: Float[Tensor, "n 3"]
    image: Int64[Tensor, "n"]
    afar: Bool[Tensor, "n"]
    colourless: bool = False
    small: bool = False

    @staticmethod
    def joined(descriptors: "Sequence[IdentityDescriptor]") -> "IdentityDescriptor":
        """One descriptor of the images of all."""
        images, before = [], 0
        for one in descriptors:
            images.append(one.image + before)
            before += 1 + int(one.image.max()) if len(one.image) else 0
        features, colours, afar = (
            torch.cat([getattr(one, name) for one in descriptors]) for name in ("features", "colours", "afar")
        )
        return IdentityDescriptor(features, colours, torch.cat(images), afar)

    def to(self, device: torch.device | str) -> "IdentityDescriptor":
        features, colours = self.features.to(device), self.colours.to(device)
        return replace(self, features=features, colours=colours, image=self.image.to(device), afar=self.afar.to(device))

    def views(self, *, afar: bool) -> list[Bool[Tensor, "n"]]:
        """Which parts are of each image; of those from afar only where they are asked for."""
        shown = self.image if afar else self.image[~self.afar]
        return [self.image == number for number in shown.unique().tolist()]


def describe(
    backbone: Backbone,
    objects: Sequence[tuple[UInt8[Array, "_ _ 3"], Bool[Array, "_ _"]]],
    calibration: Calibration,
    *,
    view: View = AS_IT_IS,
) -> list[IdentityDescriptor | None]:
    """For each image and mask, the object that the mask shows, in a view of it; None for an empty mask."""
    groups = (objects[start : start + AT_ONCE] for start in range(0, len(objects), AT_ONCE))
    return [one for group in groups for one in _described(backbone, group, calibration, view)]


def _described(
    backbone: Backbone,
    objects: Sequence[tuple[UInt8[Array, "_ _ 3"], Bool[Array, "_ _"]]],
    calibration: Calibration,
    view: View,
) -> list[IdentityDescriptor | None]:
    crops = encode_objects(backbone, objects, view=view)
    return [
        None if crop is None else descriptor_of(crop, mask, calibration)
        for crop, (_, mask) in zip(crops, objects, strict=True)
    ]


def describe_references(
    backbone: Backbone,
    objects: Sequence[tuple[UInt8[Array, "_ _ 3"], Bool[Array, "_ _"]]],
    calibration: Calibration,
) -> list[IdentityDescriptor | None]:
    """As `describe`, in all views of a reference, which are images of their own.

    Features do not stay the same when what they see is turned or blurred, and of several images the most similar one
    counts.
    """
    return views_together([describe(backbone, objects, calibration, view=view) for view in REFERENCE_VIEWS])


def views_together(seen: Sequence[Sequence[IdentityDescriptor | None]]) -> list[IdentityDescriptor | None]:
    """For each object one descriptor of all views: `seen` holds, for each view, that of each object or None."""
    views = [[view for view in own if view is not None] for own in zip(*seen, strict=True)]
    return [IdentityDescriptor.joined(own) if own else None for own in views]


def descriptor_of(seen: ObjectCrop, mask: Bool[Array, "h w"], calibration: Calibration) -> IdentityDescriptor:
    """The object that a mask over the image shows in a crop, which holds some of it."""
    crop = seen.embedding
    inside = np.rot90(mask[seen.crop.slices], seen.view.turn).copy()  # torch takes no view that runs backwards
    cover = crop.frame.valid(patch_cover(inside, crop.frame))
    patches = Patches.of_crop(crop, (cover > 0) & (cover >= 0.5 * cover.max()))
    features, colours, _ = cluster(patches, PARTS, same=calibration.same_part)
    image = torch.zeros(len(features), dtype=torch.long, device=features.device)
    afar = torch.full_like(image, seen.view.afar, dtype=torch.bool)
    return IdentityDescriptor(features, colours, image, afar, _is_colourless(crop), small=seen.object_px <= SMALL)


def _is_colourless(crop: ImageEmbedding) -> bool:
    return crop.colour is not None and bool((crop.frame.valid(crop.colour)[0, 1:].norm(dim=0) < COLOURLESS).all())


def identity_similarity(known: IdentityDescriptor, found: IdentityDescriptor | None, choice: float) -> float:
    """How similar one object is to another, 0..1 (1: itself), by `mutual_similarity`; 0 where nothing was found.

    With several images of the known object, the most similar one counts; those from afar where what was found is small.
    choice: see `Calibration`.
    """
    if found is None:
        return 0.0
    views = known.views(afar=found.small)
    return max((_view_similarity(known, view, found, choice) for view in views), default=0.0)


def mutual_similarity(similarity: Float[Tensor, "n m"], choice: float) -> Float[Tensor, ""]:
    """How much of two sets' similarity lies in pairs that choose each other, over the mean size of the two sets.

    The best-buddies similarity of Dekel et al. (CVPR 2015), whose members choose the most similar one; here they choose
    by a softmax (as in Plötz and Roth's neural nearest neighbours, NeurIPS 2018), so that near ties do not decide. Two
    objects of a kind have similar parts too, but many of one's are most similar to the same few of the other's.
    """
    chosen = (similarity / choice).softmax(0) * (similarity / choice).softmax(1)
    return 2 * (chosen * similarity.clamp(min=0)).sum() / sum(similarity.shape)


def _view_similarity(
    known: IdentityDescriptor, view: Bool[Tensor, "n"], found: IdentityDescriptor, choice: float
) -> float:
    """Similarity between the two over similarity within each: parts that are much alike split their choice.

    What is found in a photo without colour is compared without.
    """
    colours = known.colours[view], found.colours
    if found.colourless:
        colours = colours[0] * LIGHTNESS_ALONE.to(colours[0]), colours[1] * LIGHTNESS_ALONE.to(colours[1])
    first, second = (known.features[view], colours[0]), (found.features, colours[1])
    between, here, there = (
        mutual_similarity(patch_similarity(Patches(*one), *other), choice)
        for one, other in ((first, second), (first, first), (second, second))
    )
    return min(1.0, float(between / (here * there).sqrt()))
