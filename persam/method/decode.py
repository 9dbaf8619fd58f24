"""From a location prior to a mask of one component: target-guided decoding (paper, section 3.2), in our form."""

import torch

from persam.geometry import Frame
from persam.method.components import keep_component
from persam.method.concept import Concept
from persam.method.scales import combine
from persam.sam.backbone import Backbone
from persam.sam.decoder import Guidance
from persam.types import Decoded, ImageEmbedding, LocationPrior


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


def at_original(decoded: Decoded, frame: Frame) -> Decoded:
    """The same over the original image."""
    return Decoded(frame.upscale(decoded.logits[None, None])[0, 0], decoded.score)
