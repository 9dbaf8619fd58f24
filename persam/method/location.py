"""Where the concept is in an image: confidence map, location prior, guidance (paper, section 3.2), in our form."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from persam.method.calibration import Calibration
from persam.method.concept import Concept
from persam.method.prototypes import Patches, Prototypes, cluster, log_ratio, patch_similarity
from persam.types import ImageEmbedding, LocationPrior

PARTS = 3  # of the object, each with a positive point of its own, so that a rider's bike is meant too
UNLIKELY = -1.5  # log-odds of a patch that surely is not the object: a posterior of 0.18
BLOCKED = -2.0  # below any similarity and any smoothed log ratio


@dataclass(frozen=True)
class Location:
    """The prior, and how likely each patch shows the object, 0 to 1. peak: row and column of the likeliest patch."""

    prior: LocationPrior
    posterior: Float[Tensor, "hv wv"]
    peak: tuple[int, int]


def confidence_map(feature: Float[Tensor, "c"], embedding: ImageEmbedding) -> Float[Tensor, "g g"]:
    """Cosine of each patch, padding included, to the normalised target feature: -1 to 1 (eq. 5, 6).

    The published order, cosine to the mean instead of the mean of cosines: one product whatever the object's size.
    """
    patches = embedding.features[0]
    patches = patches / patches.norm(dim=0, keepdim=True).clamp(min=1e-12)
    return (feature[None] @ patches.flatten(1)).view(patches.shape[1:])


def locate(concept: Concept, prototypes: Prototypes, embedding: ImageEmbedding, calibration: Calibration) -> Location:
    """Where one instance of the concept is: the likeliest patch, the unlikeliest, and a point for each of its parts."""
    location = locate_point(concept, prototypes, embedding, calibration)
    parts = _part_peaks(prototypes, embedding, location.posterior)
    points = torch.stack([embedding.frame.patches_to_original(one) for one in parts])
    prior = location.prior
    return Location(
        LocationPrior(
            similarity=prior.similarity,
            points_xy=torch.cat([prior.points_xy, points]),
            labels=torch.cat([prior.labels, prior.labels.new_ones(len(points))]),
            attention=prior.attention,
        ),
        location.posterior,
        location.peak,
    )


def locate_point(
    concept: Concept, prototypes: Prototypes, embedding: ImageEmbedding, calibration: Calibration
) -> Location:
    """As `locate`, without points for parts."""
    frame, similarity = embedding.frame, confidence_map(concept.feature, embedding)
    inside = frame.valid(similarity)
    ratio = log_ratio(prototypes, embedding, calibration)
    posterior = (calibration.slope * ratio).sigmoid()
    floor = UNLIKELY / calibration.slope  # lower ratios would drown a small object beside them when smoothed
    column, row = peak_of(smooth(ratio.clamp(min=floor)))
    points = [inside.new_tensor([column, row]), inside.new_tensor(peak_of(-smooth(ratio)))]
    prior = LocationPrior(
        similarity=inside,
        points_xy=torch.stack([frame.patches_to_original(one) for one in points]),
        labels=inside.new_tensor([1.0, 0.0]),
        attention=aligned_attention(inside, frame.grid_side),
    )
    return Location(prior, posterior, (row, column))


def aligned_attention(inside: Float[Tensor, "hv wv"], side: int) -> Float[Tensor, "g g"]:
    """Target-guided attention (eq. 8) with each value at its own patch, where the published code misplaces them.

    ledger 3: the published map is squeezed over the padding too.
    """
    spread = inside.std(correction=0).clamp(min=1e-6)  # a flat map guides nowhere, instead of dividing by zero
    values = ((inside - inside.mean()) / spread).sigmoid()
    padded = values.new_full((side, side), values.min().item())
    padded[: inside.shape[0], : inside.shape[1]] = values
    return padded


def smooth(inside: Float[Tensor, "hv wv"], *, reach: int = 2) -> Float[Tensor, "hv wv"]:
    """The mean of 5 x 5 patches, the middle one counted four times; with a reach of 1 of 3 x 3, and twice.

    The peak then lies within the object instead of on its most telling edge, and an object of one patch keeps its own.
    """
    kernel = inside.new_ones(1, 1, 2 * reach + 1, 2 * reach + 1)
    kernel[..., reach, reach] = 2 * reach
    return F.conv2d(F.pad(inside[None, None], 4 * (reach,), mode="replicate"), kernel / kernel.sum())[0, 0]


def _part_peaks(
    prototypes: Prototypes, embedding: ImageEmbedding, posterior: Float[Tensor, "hv wv"]
) -> list[Float[Tensor, "2"]]:
    """For each part of the object the patch most similar to it, among those that rather show the object."""
    features, colours, _ = cluster(Patches(prototypes.foreground, prototypes.foreground_colour), PARTS)
    similarity = patch_similarity(Patches.of_image(embedding), features, colours).T.reshape(-1, *posterior.shape)
    unlikely = posterior < min(0.5, float(posterior.max()))
    return [posterior.new_tensor(peak_of(one)) for one in similarity.masked_fill(unlikely, BLOCKED)]


def peak_of(inside: Float[Tensor, "hv wv"]) -> tuple[int, int]:
    """Column and row of the highest value."""
    index = int(inside.argmax())
    return index % inside.shape[1], index // inside.shape[1]
