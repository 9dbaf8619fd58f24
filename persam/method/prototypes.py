"""Prototypes: a few patches for the object's parts and a few for what surrounded it, and which patches look like them.

The published confidence map asks how similar a patch is to the object's mean. This one asks whether it is more similar
to some part of the object than to anything in the reference's background, and than anything is to a stranger (part and
background prototypes and open-set rejection, each in a simple form of our own). Similar in features, and in colour:
features of what a thing is do not tell a red car from a black one, and this is about one car.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from persam.geometry import Frame
from persam.method.calibration import Calibration
from persam.types import ImageEmbedding

FOREGROUND, BACKGROUND = 8, 16  # prototypes, at most
COLOUR_SHARE = 0.3  # of colour in similarity
COLOUR_SPREAD = 10.0  # CIELAB difference at which the similarity of colours has fallen to 0.6
LIGHTNESS = 0.3  # weight of a difference in lightness, which shadows change
ROUNDS = 10
EQUAL = 0.999  # similarity from which on two patches differ by rounding alone


@dataclass(frozen=True, eq=False)
class Patches:
    """Patches as they are compared: features of unit length, and CIELAB colours or None."""

    features: Float[Tensor, "n c"]
    colours: Float[Tensor, "n 3"] | None

    @staticmethod
    def of_image(embedding: ImageEmbedding, where: Bool[Tensor, "hv wv"] | None = None) -> "Patches":
        """Patches by which an object is located, of an embedding of one image, row by row; only those in `where`."""
        maps = embedding.features if embedding.location is None else embedding.location
        return _taken(maps[0], embedding.colour, embedding.frame, where)

    @staticmethod
    def of_crop(embedding: ImageEmbedding, where: Bool[Tensor, "hv wv"]) -> "Patches":
        """Patches by which an object is verified, of an embedding of one crop, row by row; only those in `where`."""
        maps = embedding.features if embedding.identity is None else embedding.identity
        return _taken(maps[0], embedding.colour, embedding.frame, where)

    @staticmethod
    def joined(parts: "Sequence[Patches]") -> "Patches":
        """The patches of several images."""
        colours = [part.colours for part in parts if part.colours is not None]
        return Patches(
            torch.cat([part.features for part in parts]), torch.cat(colours) if len(colours) == len(parts) else None
        )


def _taken(
    maps: Float[Tensor, "c g g"], colour: Tensor | None, frame: Frame, where: Bool[Tensor, "hv wv"] | None
) -> Patches:
    features = frame.valid(maps).flatten(1).T
    colours = None if colour is None else frame.valid(colour[0]).flatten(1).T
    if where is not None:
        kept = where.flatten().to(features.device)
        features, colours = features[kept], None if colours is None else colours[kept]
    return Patches(F.normalize(features, dim=1), colours)


@dataclass(frozen=True, eq=False)
class Prototypes:
    """Patches that stand for others: unit features, CIELAB colours, and the share of the others each stands for."""

    foreground: Float[Tensor, "k c"]
    foreground_colour: Float[Tensor, "k 3"]
    foreground_share: Float[Tensor, "k"]
    background: Float[Tensor, "m c"]
    background_colour: Float[Tensor, "m 3"]
    background_share: Float[Tensor, "m"]

    def to(self, device: torch.device | str) -> "Prototypes":
        return Prototypes(**{name: value.to(device) for name, value in vars(self).items()})


def summarise(foreground: Patches, background: Patches) -> Prototypes:
    """The prototypes of an object's patches and of the patches around it."""
    return Prototypes(*cluster(foreground, FOREGROUND), *cluster(background, BACKGROUND))


def against(known: Prototypes, others: Sequence[Patches]) -> Prototypes:
    """The prototypes, to which the patches of each other object are a further background, as likely as the first."""
    more = [cluster(one, FOREGROUND) for one in others]
    own = (known.background, known.background_colour, known.background_share)
    background, colour, share = (torch.cat(parts) for parts in zip(own, *more, strict=True))
    return replace(known, background=background, background_colour=colour, background_share=share)


def cluster(
    patches: Patches, count: int, *, same: float = EQUAL
) -> tuple[Float[Tensor, "k c"], Float[Tensor, "k 3"], Float[Tensor, "k"]]:
    """At most `count` centres of patches (k-means by similarity): their features, colours, and share of the patches.

    Fewer where every patch is more than `same` similar to one already: a plain ball has few parts at any size.

    Starts from the patch most similar to the mean and adds the one least similar to those before it, so the result
    depends on nothing but the patches. Centres are rounded to half precision, in which a concept is saved.
    """
    unit = patches.features
    colours = unit.new_zeros(len(unit), 3) if patches.colours is None else patches.colours
    if not len(unit):
        return unit, colours, unit.new_zeros(0)
    chosen = [int((unit @ unit.mean(0)).argmax())]
    nearest = patch_similarity(patches, unit[chosen], colours[chosen])[:, 0]
    while len(chosen) < min(count, len(unit)) and nearest.min() < same:
        chosen.append(int(nearest.argmin()))
        nearest = torch.maximum(nearest, patch_similarity(patches, unit[chosen[-1:]], colours[chosen[-1:]])[:, 0])
    centres, shades = unit[chosen], colours[chosen]
    for _ in range(ROUNDS):
        member = F.one_hot(patch_similarity(patches, centres, shades).argmax(1), len(centres)).to(unit.dtype)
        centres = F.normalize(member.T @ unit + 1e-6 * centres, dim=1)
        shades = (member.T @ colours + 1e-6 * shades) / (member.sum(0)[:, None] + 1e-6)
    member = F.one_hot(patch_similarity(patches, centres, shades).argmax(1), len(centres)).to(unit.dtype)
    return centres.half().float(), shades.half().float(), member.mean(0).half().float()


def log_ratio(prototypes: Prototypes, embedding: ImageEmbedding, calibration: Calibration) -> Float[Tensor, "hv wv"]:
    """How much better the object's prototypes explain each patch than the background's or a stranger, about -1..0.5.

    Above 0 the patch rather shows the object. Padding is cut off.
    """
    patches, known, sharpness = Patches.of_image(embedding), prototypes, calibration.temperature
    as_object = _evidence(patches, known.foreground, known.foreground_colour, known.foreground_share, sharpness)
    as_other = torch.full_like(as_object, calibration.stranger * sharpness)
    if len(known.background):
        background = _evidence(patches, known.background, known.background_colour, known.background_share, sharpness)
        as_other = torch.logaddexp(as_other, background)
    return ((as_object - as_other) / sharpness).view(embedding.frame.valid_hw)


def patch_similarity(
    patches: Patches, centres: Float[Tensor, "k c"], colours: Float[Tensor, "k 3"]
) -> Float[Tensor, "n k"]:
    """Of each patch to each centre, up to 1: cosine of the features and a Gaussian of the difference in colour."""
    cosine = patches.features @ centres.T
    if patches.colours is None:
        return cosine
    weight = colours.new_tensor([LIGHTNESS, 1.0, 1.0]) / COLOUR_SPREAD
    difference = torch.cdist(patches.colours * weight, colours * weight)
    return (1 - COLOUR_SHARE) * cosine + COLOUR_SHARE * (-0.5 * difference.square()).exp()


def _evidence(
    patches: Patches,
    centres: Float[Tensor, "k c"],
    colours: Float[Tensor, "k 3"],
    share: Float[Tensor, "k"],
    sharpness: float,
) -> Float[Tensor, "n"]:
    return (sharpness * patch_similarity(patches, centres, colours) + share.clamp(min=1e-6).log()).logsumexp(1)
