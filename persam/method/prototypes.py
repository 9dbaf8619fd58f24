"""A few cells for the object's parts and a few for what surrounded it, and which cells look like the former.

The published confidence map asks how alike a cell is to the object's mean. This one asks whether it is more alike to
some part of the object than to anything in the reference's background, and than anything is to a stranger (part and
background prototypes and open-set rejection, each in a simple form of our own). Alike in features, and in colour:
features of what a thing is do not tell a red car from a black one, and this is about one car.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from persam.types import ImageEmbedding

FOREGROUND, BACKGROUND = 8, 16  # prototypes of a view, at most; what other numbers are worth is in the README
TEMPERATURE = 30.0  # how sharply the nearest prototype counts
STRANGER = 0.5  # likeness that anything may have to anything: below it, likeness to the object is no evidence
COLOUR_SHARE = 0.3  # of colour in likeness
COLOUR_SPREAD = 10.0  # CIELAB difference at which likeness in colour has fallen to 0.6
LIGHTNESS = 0.3  # how much a difference in lightness counts, which shadows change
ROUNDS = 10
EQUAL = 0.999  # likeness from which on two cells differ by rounding alone


@dataclass(frozen=True)
class Cells:
    """Grid cells as they are compared: features of unit length, and CIELAB colours or None."""

    features: Float[Tensor, "n c"]
    colours: Float[Tensor, "n 3"] | None

    @staticmethod
    def of(
        embedding: ImageEmbedding, where: Tensor | None = None, *, by: Literal["levels", "identity"] = "levels"
    ) -> "Cells":
        """The cells of a photo that hold photo, row by row; only those that are True in `where` (hv wv) if given.

        by: the map they are compared by; `features` where the backbone has none for that.
        """
        given = embedding.levels if by == "levels" else embedding.identity
        features = embedding.frame.valid(embedding.features if given is None else given).flatten(1).T
        colours = None if embedding.colour is None else embedding.colour.flatten(1).T
        if where is not None:
            kept = where.flatten().to(features.device)
            features, colours = features[kept], None if colours is None else colours[kept]
        return Cells(F.normalize(features, dim=1), colours)

    @staticmethod
    def joined(parts: "list[Cells]") -> "Cells":
        """The cells of several photos."""
        colours = [part.colours for part in parts if part.colours is not None]
        return Cells(
            torch.cat([part.features for part in parts]), torch.cat(colours) if len(colours) == len(parts) else None
        )


@dataclass(frozen=True)
class Prototypes:
    """Cells that stand for others: unit features, CIELAB colours, and the share of the others each stands for."""

    foreground: Float[Tensor, "k c"]
    foreground_colour: Float[Tensor, "k 3"]
    foreground_share: Float[Tensor, "k"]
    background: Float[Tensor, "m c"]
    background_colour: Float[Tensor, "m 3"]
    background_share: Float[Tensor, "m"]

    def to(self, device: torch.device | str) -> "Prototypes":
        return Prototypes(**{name: value.to(device) for name, value in vars(self).items()})


def summarise(foreground: Cells, background: Cells) -> Prototypes:
    """The prototypes of an object's cells and of the cells around it."""
    return Prototypes(*cluster(foreground, FOREGROUND), *cluster(background, BACKGROUND))


def cluster(
    cells: Cells, count: int, *, alike: float = EQUAL
) -> tuple[Float[Tensor, "k c"], Float[Tensor, "k 3"], Float[Tensor, "k"]]:
    """At most `count` centres of cells (k-means by likeness): their features, colours, and share of the cells.

    Fewer where every cell is more than `alike` to one already: a plain ball has few parts, however large it is shown.

    Starts from the cell most like the mean and adds the one least like those before it, so the result depends on
    nothing but the cells. Centres are rounded to half precision, in which a concept is saved.
    """
    unit = cells.features
    colours = unit.new_zeros(len(unit), 3) if cells.colours is None else cells.colours
    if not len(unit):
        return unit, colours, unit.new_zeros(0)
    chosen = [int((unit @ unit.mean(0)).argmax())]
    nearest = likeness(cells, unit[chosen], colours[chosen])[:, 0]
    while len(chosen) < min(count, len(unit)) and nearest.min() < alike:
        chosen.append(int(nearest.argmin()))
        nearest = torch.maximum(nearest, likeness(cells, unit[chosen[-1:]], colours[chosen[-1:]])[:, 0])
    centres, shades = unit[chosen], colours[chosen]
    for _ in range(ROUNDS):
        member = F.one_hot(likeness(cells, centres, shades).argmax(1), len(centres)).to(unit.dtype)
        centres = F.normalize(member.T @ unit + 1e-6 * centres, dim=1)
        shades = (member.T @ colours + 1e-6 * shades) / (member.sum(0)[:, None] + 1e-6)
    member = F.one_hot(likeness(cells, centres, shades).argmax(1), len(centres)).to(unit.dtype)
    return centres.half().float(), shades.half().float(), member.mean(0).half().float()


def log_ratio(prototypes: Prototypes, embedding: ImageEmbedding) -> Float[Tensor, "hv wv"]:
    """How much better the object's prototypes explain each cell than the background's or a stranger, about -1..0.5.

    Above 0 the cell is rather the object. Padding is cut off.
    """
    cells = Cells.of(embedding)
    as_object = _evidence(cells, prototypes.foreground, prototypes.foreground_colour, prototypes.foreground_share)
    as_other = torch.full_like(as_object, STRANGER * TEMPERATURE)
    if len(prototypes.background):
        background = _evidence(cells, prototypes.background, prototypes.background_colour, prototypes.background_share)
        as_other = torch.logaddexp(as_other, background)
    return ((as_object - as_other) / TEMPERATURE).view(embedding.frame.valid_hw)


def likeness(cells: Cells, centres: Float[Tensor, "k c"], colours: Float[Tensor, "k 3"]) -> Float[Tensor, "n k"]:
    """Of every cell to every centre, up to 1: cosine of the features and a Gaussian of the difference in colour."""
    alike = cells.features @ centres.T
    if cells.colours is None:
        return alike
    weight = colours.new_tensor([LIGHTNESS, 1.0, 1.0]) / COLOUR_SPREAD
    difference = torch.cdist(cells.colours * weight, colours * weight)
    return (1 - COLOUR_SHARE) * alike + COLOUR_SHARE * (-0.5 * difference.square()).exp()


def _evidence(
    cells: Cells, centres: Float[Tensor, "k c"], colours: Float[Tensor, "k 3"], share: Float[Tensor, "k"]
) -> Float[Tensor, "n"]:
    return (TEMPERATURE * likeness(cells, centres, colours) + share.clamp(min=1e-6).log()).logsumexp(1)
