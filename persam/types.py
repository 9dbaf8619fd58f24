"""The values that flow between the stages. Frozen; they check themselves where a caller can build them."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from persam.geometry import Frame


@dataclass(frozen=True)
class ImageEmbedding:
    """What a backbone knows of one photo: the expensive step, kept so that everything after it is cheap.

    features: the grid the decoder works on, padding included.
    fine: maps at 2x and 4x the grid for decoders that upscale with them; None for SAM's own.
    colour: mean CIELAB colour of every cell that holds photo (L 0 to 100, a and b about -100 to 100); None where it
        is not known.
    levels, identity: grids by which cells of two photos are compared, to find the object and to recognise it, where
        the backbone has some for that; None where `features` serve for it too.
    """

    features: Float[Tensor, "c g g"]
    frame: Frame
    fine: tuple[Float[Tensor, "c2 g2 g2"], Float[Tensor, "c4 g4 g4"]] | None = None
    colour: Float[Tensor, "3 hv wv"] | None = None
    levels: Float[Tensor, "k g g"] | None = None
    identity: Float[Tensor, "d g g"] | None = None


@dataclass(frozen=True)
class Prompt:
    """What SAM is asked, one row a prompt, in original pixels.

    points_xy with labels: 1 inside the object, 0 outside. mask_logits: a previous answer at 4x the grid.
    """

    points_xy: Float[Tensor, "b n 2"] | None = None
    labels: Float[Tensor, "b n"] | None = None
    box_xyxy: Float[Tensor, "b 4"] | None = None
    mask_logits: Float[Tensor, "b 1 h w"] | None = None

    def __post_init__(self) -> None:
        if (self.points_xy is None) != (self.labels is None):
            raise ValueError("points_xy and labels come together: one label (1 inside, 0 outside) a point")

    def __len__(self) -> int:
        parts = (self.points_xy, self.box_xyxy, self.mask_logits)
        return next((len(part) for part in parts if part is not None), 1)


@dataclass(frozen=True)
class Candidates:
    """SAM's answer to every prompt: four masks (single, whole, part, subpart) as logits, and their predicted IoU."""

    logits: Float[Tensor, "b 4 h w"]
    predicted_iou: Float[Tensor, "b 4"]


@dataclass(frozen=True)
class LocationPrior:
    """Where the concept may be in a photo.

    similarity: cosine to the target feature, -1 to 1, for the cells that hold photo (padding cut off).
    points_xy, labels: the location prior as prompt points, in original pixels.
    attention: what is added to the decoder's attention, over the whole padded grid; None without guidance.
    posterior: how likely every cell shows the object, 0 to 1; None for recipes that do not ask.
    """

    similarity: Float[Tensor, "hv wv"]
    points_xy: Float[Tensor, "n 2"]
    labels: Float[Tensor, "n"]
    attention: Float[Tensor, "g g"] | None
    posterior: Float[Tensor, "hv wv"] | None = None
