"""Where the concept is in a photo: confidence map, location prior, guidance (paper, section 3.2)."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from persam.geometry import Frame
from persam.method.concept import Concept
from persam.method.prototypes import Cells, cluster, likeness, log_ratio
from persam.method.recipes import Recipe
from persam.types import ImageEmbedding, LocationPrior

POSTERIOR_SLOPE = 15.0  # of the logistic curve that turns a likelihood ratio into a probability
SURELY_NOT = -0.1  # likelihood ratio below which a cell is no less the object: small things lie among such cells


def confidence_map(feature: Float[Tensor, "c"], embedding: ImageEmbedding) -> Float[Tensor, "g g"]:
    """Cosine of every cell, padding included, to the normalised target feature: -1 to 1.

    The published order, cosine to the mean instead of the mean of cosines: one product whatever the object's size.
    """
    cells = embedding.features
    cells = cells / cells.norm(dim=0, keepdim=True).clamp(min=1e-12)
    return (feature[None] @ cells.flatten(1)).view(cells.shape[1:])


def locate(
    concept: Concept,
    embedding: ImageEmbedding,
    *,
    taken: Bool[Tensor, "hv wv"] | None = None,
    alone: bool = True,
) -> LocationPrior:
    """The location prior of a concept in a photo, by the concept's recipe.

    taken: cells where an instance was found already; positive points lie in another one.
    alone: whether the photo holds the object once; points for its parts might else lie on several.
    """
    recipe = concept.recipe
    similarity = confidence_map(concept.feature, embedding)
    frame, side = embedding.frame, similarity.shape[-1]
    inside = frame.valid(similarity)
    posterior = attention = None
    parts: list[Tensor] = []
    if recipe.points == "pixels":
        full = _at_original(similarity, frame)
        free = full if taken is None else full.masked_fill(_pixels_of(taken, full), -2.0)
        points = [_pixel_peak(free), _pixel_peak(-full)]
        if recipe.guidance == "published":
            attention = _published_attention(full, side)
    else:
        ratio = log_ratio(concept.prototypes, embedding)
        gone = torch.zeros_like(ratio, dtype=torch.bool) if taken is None else taken
        posterior = (POSTERIOR_SLOPE * ratio).sigmoid().masked_fill(gone, 0.0)
        likely = ratio.clamp(min=SURELY_NOT).masked_fill(gone, SURELY_NOT)  # it shall not show in cells beside it
        free = _smooth(likely).masked_fill(gone, -2.0)
        points = [frame.cells_to_original(_cell_peak(free)), frame.cells_to_original(_cell_peak(-_smooth(ratio)))]
        if recipe.parts and alone:
            parts = [frame.cells_to_original(one) for one in _part_peaks(concept, embedding, posterior)]
    if recipe.guidance == "aligned":
        attention = _aligned_attention(inside, side, recipe)
    kept = 2 if recipe.negative_point else 1
    labels = inside.new_tensor([1.0, 0.0][:kept] + [1.0] * len(parts))
    return LocationPrior(inside, torch.stack(points[:kept] + parts), labels, attention, posterior)


def _at_original(similarity: Float[Tensor, "g g"], frame: Frame) -> Float[Tensor, "H W"]:
    finer = F.interpolate(similarity[None, None], scale_factor=4, mode="bilinear", align_corners=False)
    return frame.upscale(finer)[0, 0]


def _pixels_of(cells: Bool[Tensor, "hv wv"], full: Float[Tensor, "H W"]) -> Bool[Tensor, "H W"]:
    return F.interpolate(cells[None, None].float(), full.shape, mode="nearest")[0, 0] > 0


def _pixel_peak(full: Float[Tensor, "H W"]) -> Float[Tensor, "2"]:
    index = full.flatten().topk(1).indices[0]  # topk, not argmax: the published choice among equal values
    return torch.stack([index % full.shape[1], index // full.shape[1]]).float()


def _cell_peak(inside: Float[Tensor, "hv wv"]) -> Float[Tensor, "2"]:
    index = int(inside.argmax())
    return inside.new_tensor([index % inside.shape[1], index // inside.shape[1]])


def _part_peaks(
    concept: Concept, embedding: ImageEmbedding, posterior: Float[Tensor, "hv wv"]
) -> list[Float[Tensor, "2"]]:
    """Of every part of the object the cell most like it, among those that rather show the object."""
    known = concept.prototypes
    features, colours, _ = cluster(Cells(known.foreground, known.foreground_colour), concept.recipe.parts)
    alike = likeness(Cells.of(embedding), features, colours).T.reshape(-1, *posterior.shape)
    unlikely = posterior < min(0.5, float(posterior.max()))
    return [_cell_peak(one) for one in alike.masked_fill(unlikely, -2.0)]


def _smooth(inside: Float[Tensor, "hv wv"]) -> Float[Tensor, "hv wv"]:
    """The mean of 5 x 5 cells, the middle one counted four times.

    The peak then lies within the object instead of on its most telling edge, and an object of one cell keeps its own.
    """
    kernel = inside.new_ones(1, 1, 5, 5)
    kernel[..., 2, 2] = 4
    return F.conv2d(F.pad(inside[None, None], (2, 2, 2, 2), mode="replicate"), kernel / kernel.sum())[0, 0]


def _published_attention(full: Float[Tensor, "H W"], side: int) -> Float[Tensor, "g g"]:
    # ledger 3: the cut map is squeezed over the whole grid; ledger 6: the z-score is taken over the photo's pixels
    spread = full.std(correction=min(1, full.numel() - 1)).clamp(min=1e-6)  # a flat map guides nowhere, without NaN
    scaled = (full - full.mean()) / spread
    return F.interpolate(scaled[None, None], (side, side), mode="bilinear", align_corners=False)[0, 0].sigmoid()


def _aligned_attention(inside: Float[Tensor, "hv wv"], side: int, recipe: Recipe) -> Float[Tensor, "g g"]:
    spread = inside.std(correction=0).clamp(min=1e-6)  # a flat map guides nowhere, instead of dividing by zero
    z = (inside - inside.mean()) / spread
    values = z.sigmoid() if recipe.placement == "after_softmax" else F.logsigmoid(z)
    padded = values.new_full((side, side), values.min().item())
    padded[: inside.shape[0], : inside.shape[1]] = values
    return padded
