"""A few features for the object's parts and a few for what surrounded it, and which cells look like the former.

The published confidence map asks how alike a cell is to the object's mean. This one asks whether it is more alike to
some part of the object than to anything in the reference's background, and than anything is to a stranger (part and
background prototypes, METHOD ideas of P2SAM and of open-set recognition, each in a simple form of our own).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from persam.types import ImageEmbedding

FOREGROUND, BACKGROUND = 8, 16  # prototypes kept; 16 and 32 measured the same
TEMPERATURE = 20.0  # how sharply the nearest prototype counts
STRANGER = 0.5  # cosine that anything may have to anything: below it, likeness to the object is no evidence
ROUNDS = 10


@dataclass(frozen=True)
class Prototypes:
    """Unit features and the share of the reference's cells that each stands for."""

    foreground: Float[Tensor, "k c"]
    foreground_share: Float[Tensor, "k"]
    background: Float[Tensor, "m c"]
    background_share: Float[Tensor, "m"]

    def to(self, device: torch.device | str) -> "Prototypes":
        return Prototypes(**{name: value.to(device) for name, value in vars(self).items()})


def summarise(foreground: Float[Tensor, "n c"], background: Float[Tensor, "m c"]) -> Prototypes:
    """The prototypes of an object's cells and of the cells around it, of which a close-up may have none."""
    return Prototypes(*cluster(foreground, FOREGROUND), *cluster(background, BACKGROUND))


def cluster(cells: Float[Tensor, "n c"], count: int) -> tuple[Float[Tensor, "k c"], Float[Tensor, "k"]]:
    """At most `count` unit centres of the cells' directions (spherical k-means), and the share of cells of each.

    Starts from the cell nearest to the mean and adds the one farthest from those before it, so the result depends on
    nothing but the cells. Centres are rounded to half precision, in which a concept is saved.
    """
    unit = F.normalize(cells, dim=1)
    if not len(unit):
        return unit, unit.new_zeros(0)
    chosen = [int((unit @ unit.mean(0)).argmax())]
    while len(chosen) < min(count, len(unit)):
        chosen.append(int((unit @ unit[chosen].T).amax(1).argmin()))
    centres = unit[chosen]
    for _ in range(ROUNDS):
        member = F.one_hot((unit @ centres.T).argmax(1), len(centres)).to(unit.dtype)
        centres = F.normalize(member.T @ unit + 1e-6 * centres, dim=1)
    member = F.one_hot((unit @ centres.T).argmax(1), len(centres)).to(unit.dtype)
    return centres.half().float(), member.mean(0)


def log_ratio(prototypes: Prototypes, embedding: ImageEmbedding) -> Float[Tensor, "hv wv"]:
    """How much better the object's prototypes explain each cell than the background's or a stranger, about -1..0.5.

    Above 0 the cell is rather the object. Padding is cut off.
    """
    cells = F.normalize(embedding.frame.valid(embedding.features), dim=0)
    shape = cells.shape[1:]
    flat = cells.flatten(1).T
    as_object = _likeness(flat, prototypes.foreground, prototypes.foreground_share)
    as_other = torch.full_like(as_object, STRANGER * TEMPERATURE)
    if len(prototypes.background):
        as_other = torch.logaddexp(as_other, _likeness(flat, prototypes.background, prototypes.background_share))
    return ((as_object - as_other) / TEMPERATURE).view(shape)


def _likeness(
    cells: Float[Tensor, "n c"], centres: Float[Tensor, "k c"], share: Float[Tensor, "k"]
) -> Float[Tensor, "n"]:
    return (TEMPERATURE * cells @ centres.T + share.clamp(min=1e-6).log()).logsumexp(1)
