"""From a location prior to a mask of one component: target-guided decoding (paper, section 3.2), in our form."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from persam.geometry import Frame
from persam.method.concept import Concept
from persam.method.scales import combine
from persam.sam.backbone import Backbone
from persam.sam.decoder import Guidance
from persam.types import Decoded, ImageEmbedding, LocationPrior

Array = np.ndarray[Any, Any]
OUTSIDE = -4.0  # logit of mask parts that are not the object: surely outside, within the decoder's usual range


def decode_prior(
    backbone: Backbone,
    embedding: ImageEmbedding,
    prior: LocationPrior,
    concept: Concept,
) -> Decoded:
    """The mask of the prior's points, at 4x the grid: the best of whole, part and subpart by predicted IoU.

    A tuned concept's weighted sum (section 3.3) is one more to choose from. The target-semantic prompt (eq. 9, 10) is
    not given: it makes the mask of a single object worse.
    """
    guidance = Guidance(attention=None if prior.attention is None else prior.attention[None])
    candidates = backbone.decode(embedding, prior.prompt, guidance)
    logits, scores = candidates.logits[0, 1:], candidates.predicted_iou[0, 1:]
    if concept.scale_weights is not None:
        logits, scores = (torch.cat([x, combine(x, concept.scale_weights)[None]]) for x in (logits, scores))
    best = scores.argmax()
    return Decoded(keep_component(logits[best], prior.points_xy[0], embedding.frame), scores[best])


def keep_component(logits: Float[Tensor, "h w"], point_xy: Float[Tensor, "2"], frame: Frame) -> Float[Tensor, "h w"]:
    """The mask's connected component that holds the point or is nearest to it; the others are set well below zero.

    A look-alike elsewhere in the image is not taken with it.
    """
    import cv2

    mask = (logits > 0).cpu().numpy().astype(np.uint8)
    count, label = cv2.connectedComponents(mask, connectivity=8)
    if count <= 2:  # background and one component
        return logits
    ys, xs = mask.nonzero()
    x, y = ((frame.to_input(point_xy) + 0.5) * (logits.shape[-1] / frame.input_size) - 0.5).tolist()
    nearest = ((xs - x) ** 2 + (ys - y) ** 2).argmin()
    others = (mask > 0) & (label != label[ys[nearest], xs[nearest]])
    return logits.masked_fill(torch.from_numpy(others).to(logits.device), OUTSIDE)


def at_original(decoded: Decoded, frame: Frame) -> Decoded:
    """The same over the original image."""
    return Decoded(frame.upscale(decoded.logits[None, None])[0, 0], decoded.score)
