"""Where the concept is in a photo: confidence map, location prior, guidance (paper, section 3.2)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from persam.geometry import Frame
from persam.recipes import Recipe
from persam.types import ImageEmbedding, LocationPrior


def confidence_map(feature: Float[Tensor, "c"], embedding: ImageEmbedding) -> Float[Tensor, "g g"]:
    """Cosine of every cell, padding included, to the normalised target feature: -1 to 1.

    The published order, cosine to the mean instead of the mean of cosines: one product whatever the object's size.
    """
    cells = embedding.features
    cells = cells / cells.norm(dim=0, keepdim=True).clamp(min=1e-12)
    return (feature[None] @ cells.flatten(1)).view(cells.shape[1:])


def locate(feature: Float[Tensor, "c"], embedding: ImageEmbedding, recipe: Recipe) -> LocationPrior:
    """The location prior of a normalised target feature in a photo."""
    similarity = confidence_map(feature, embedding)
    frame = embedding.frame
    inside = frame.valid(similarity)
    full = _at_original(similarity, frame) if "pixels" in recipe.points or recipe.guidance == "published" else None
    if recipe.points == "pixels":
        assert full is not None
        points = [_pixel_peak(full), _pixel_peak(-full)]
    else:
        points = [frame.cells_to_original(_cell_peak(inside)), frame.cells_to_original(_cell_peak(-inside))]
    labels = [1.0, 0.0]
    kept = 2 if recipe.negative_point else 1
    attention = None
    if recipe.guidance == "published":
        assert full is not None
        attention = _published_attention(full, similarity.shape[-1])
    elif recipe.guidance == "aligned":
        attention = _aligned_attention(inside, similarity.shape[-1], recipe)
    return LocationPrior(inside, torch.stack(points[:kept]), inside.new_tensor(labels[:kept]), attention)


def _at_original(similarity: Float[Tensor, "g g"], frame: Frame) -> Float[Tensor, "H W"]:
    finer = F.interpolate(similarity[None, None], scale_factor=4, mode="bilinear", align_corners=False)
    return frame.upscale(finer)[0, 0]


def _pixel_peak(full: Float[Tensor, "H W"]) -> Float[Tensor, "2"]:
    index = full.flatten().topk(1).indices[0]  # topk, not argmax: the published choice among equal values
    return torch.stack([index % full.shape[1], index // full.shape[1]]).float()


def _cell_peak(inside: Float[Tensor, "hv wv"]) -> Float[Tensor, "2"]:
    """The highest cell, x and y moved by up to half a cell to the top of a parabola through its neighbours."""
    y, x = divmod(int(inside.argmax()), inside.shape[1])
    return inside.new_tensor([x + _parabola_top(inside[y], x), y + _parabola_top(inside[:, x], y)])


def _parabola_top(line: Float[Tensor, "n"], top: int) -> float:
    if top in (0, len(line) - 1):
        return 0.0
    before, peak, after = line[top - 1 : top + 2].tolist()
    bend = before - 2 * peak + after
    return 0.0 if bend >= 0 else 0.5 * (before - after) / bend


def _published_attention(full: Float[Tensor, "H W"], side: int) -> Float[Tensor, "g g"]:
    # ledger 3: the cut map is squeezed over the whole grid; ledger 6: the z-score is taken over the photo's pixels
    scaled = (full - full.mean()) / full.std()
    return F.interpolate(scaled[None, None], (side, side), mode="bilinear", align_corners=False)[0, 0].sigmoid()


def _aligned_attention(inside: Float[Tensor, "hv wv"], side: int, recipe: Recipe) -> Float[Tensor, "g g"]:
    spread = inside.std(correction=0).clamp(min=1e-6)  # a flat map guides nowhere, instead of dividing by zero
    z = (inside - inside.mean()) / spread
    values = z.sigmoid() if recipe.placement == "after_softmax" else F.logsigmoid(z)
    padded = values.new_full((side, side), values.min().item())
    padded[: inside.shape[0], : inside.shape[1]] = values
    return padded
