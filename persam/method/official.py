"""The published cascade, straight through and without settings: PerSAM (section 3.2) and PerSAM-F (section 3.3).

It computes what the authors' code computes, deviations from the paper included; tests/golden holds its numbers.
Numbers of the parity ledger (docs/method.md) stand beside each.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from persam.errors import ConceptError
from persam.geometry import Frame, box_of, official_patches
from persam.method.concept import Concept, Reference
from persam.method.find import Find
from persam.method.location import confidence_map
from persam.method.recipes import OfficialRecipe
from persam.method.scales import combine, fit_weights
from persam.sam.backbone import Backbone
from persam.sam.decoder import Guidance
from persam.types import Decoded, ImageEmbedding, LocationPrior

GREY_LEVEL = 128  # of PerSeg's mask files; it decides which patches are foreground (ledger 4)


@dataclass(frozen=True)
class Step:
    """One decode of the cascade.

    logits: of the mask taken, at 4x the grid. score: its predicted IoU. best: its number among whole, part and subpart;
    0 for the first decode. box_xyxy: what was in the prompt.
    """

    logits: Float[Tensor, "h w"]
    score: Float[Tensor, ""]
    best: int
    box_xyxy: tuple[int, int, int, int] | None = None


def learn(references: Sequence[Reference], recipe: OfficialRecipe, *, name: str, backbone: Backbone) -> Concept:
    """The target feature of the references' foreground patches, pooled; for PerSAM-F also the two weights.

    Raises:
        ConceptError: no patch is foreground, which gave NaN in the published code (ledger 4).
    """
    features = [one.embedding.features[0][:, target_patches(one).to(one.embedding.device)].T for one in references]
    pooled = torch.cat(features)
    semantic = pooled.mean(0)
    target = pooled.amax(0) / 2 + semantic / 2 if recipe.tune else semantic  # ledger 5
    feature = target / target.norm().clamp(min=1e-12)  # features that cancel are like nothing, instead of NaN
    concept = Concept(
        name, recipe, backbone.name, backbone.fingerprint, feature, semantic, references=tuple(references)
    )
    return replace(concept, scale_weights=_fitted_weights(concept, backbone)) if recipe.tune else concept


def target_patches(reference: Reference) -> Bool[Tensor, "g g"]:
    """The patches of the reference's padded grid that show the object.

    Raises:
        ConceptError: there is none.
    """
    patches = official_patches(reference.mask, reference.embedding.frame, GREY_LEVEL)
    if not patches.any():
        raise ConceptError(
            f"the object of {int(reference.mask.sum())} pixels covers no patch by the published rule. "
            "Use the recipe 'persam', which takes the patches it covers most."
        )
    return patches


def segment(backbone: Backbone, embedding: ImageEmbedding, concept: Concept) -> Find:
    """The concept in an image. Presence is never judged."""
    prior = locate(concept, embedding)
    last = cascade(backbone, embedding, prior, concept)[-1]
    logits = at_original(last.logits, embedding.frame)
    return Find(concept, prior, Decoded(logits, last.score), present=bool((logits > 0).any()))


def locate(concept: Concept, embedding: ImageEmbedding) -> LocationPrior:
    """Peak and trough of the similarity at the image's size; the peak alone for PerSAM-F, which has no guidance."""
    frame, similarity = embedding.frame, confidence_map(concept.feature, embedding)
    full = similarity_at_original(similarity, frame)
    if concept.recipe.tune:
        return LocationPrior(frame.valid(similarity), peaks(full), full.new_ones(1))
    return LocationPrior(
        similarity=frame.valid(similarity),
        points_xy=torch.cat([peaks(full), peaks(full, lowest=True)]),
        labels=full.new_tensor([1.0, 0.0]),
        attention=_attention(full, frame),
    )


def cascade(backbone: Backbone, embedding: ImageEmbedding, prior: LocationPrior, concept: Concept) -> list[Step]:
    """The first decode and the two refinements, without guidance or semantic prompt in the latter.

    A mask that comes out empty ends the cascade, where the published code crashes, and the one before it stands
    (ledger 10).
    """
    first = _first_f if concept.recipe.tune else _first
    steps = [first(backbone, embedding, prior, concept)]
    for with_box in (concept.recipe.tune, True):  # PerSAM's first refinement has no box
        step = _refined(backbone, embedding, prior, steps[-1], with_box=with_box)
        if step is None:
            break
        steps.append(step)
    return steps


def similarity_at_original(similarity: Float[Tensor, "g g"], frame: Frame) -> Float[Tensor, "H W"]:
    """The map that points are taken from: 4x the grid, then as SAM brings masks to the image's size."""
    finer = F.interpolate(similarity[None, None], scale_factor=4, mode="bilinear", align_corners=False)
    return frame.upscale(finer)[0, 0]


def at_original(logits: Float[Tensor, "h w"], frame: Frame) -> Float[Tensor, "H W"]:
    """A mask at the image's size."""
    return frame.upscale(logits[None, None])[0, 0]


def peaks(full: Float[Tensor, "H W"], count: int = 1, *, lowest: bool = False) -> Float[Tensor, "n 2"]:
    """The highest or lowest values' pixels, best first; they may be neighbours. Fewer where the image has fewer."""
    flat = full.flatten()
    indices = (flat == (flat.min() if lowest else flat.max())).nonzero()[:, 0] if count == 1 else flat
    if len(indices) != 1:  # topk, which takes 16 bytes a pixel: the published choice among equal values
        indices = (-flat if lowest else flat).topk(min(count, len(flat))).indices
    return torch.stack([indices % full.shape[1], indices // full.shape[1]], 1).float()


def _first(backbone: Backbone, embedding: ImageEmbedding, prior: LocationPrior, concept: Concept) -> Step:
    """PerSAM: the single mask, with target-guided attention and the target-semantic prompt."""
    attention = None if prior.attention is None else prior.attention[None]
    candidates = backbone.decode(embedding, prior.prompt, Guidance(attention, concept.semantic[None]))
    return Step(candidates.logits[0, 0], candidates.predicted_iou[0, 0], 0)


def _first_f(backbone: Backbone, embedding: ImageEmbedding, prior: LocationPrior, concept: Concept) -> Step:
    """PerSAM-F: the weighted sum of whole, part and subpart."""
    assert concept.scale_weights is not None
    candidates = backbone.decode(embedding, prior.prompt)
    logits, scores = candidates.logits[0, 1:], candidates.predicted_iou[0, 1:]
    return Step(combine(logits, concept.scale_weights), combine(scores, concept.scale_weights), 0)


def _refined(
    backbone: Backbone, embedding: ImageEmbedding, prior: LocationPrior, before: Step, *, with_box: bool
) -> Step | None:
    """The best of three masks, prompted with points, the mask before and perhaps its box; None where it is empty."""
    prompt, box = replace(prior.prompt, mask_logits=before.logits[None, None]), None
    if with_box:
        box = box_of(at_original(before.logits, embedding.frame) > 0)
        if box is None:
            return None
        prompt = replace(prompt, box_xyxy=prior.points_xy.new_tensor([box]))
    candidates = backbone.decode(embedding, prompt)
    best = int(candidates.predicted_iou[0, 1:].argmax())
    logits, score = candidates.logits[0, 1 + best], candidates.predicted_iou[0, 1 + best]
    return Step(logits, score, best, box) if (embedding.frame.valid(logits) > 0).any() else None


def _fitted_weights(concept: Concept, backbone: Backbone) -> Float[Tensor, "3"]:
    """PerSAM-F's weights, fitted on the references at their original size."""
    masks, truths = [], []
    for reference in concept.references:
        embedding = reference.embedding
        three = backbone.decode(embedding, locate(concept, embedding).prompt).logits[:, 1:]
        masks.append(embedding.frame.upscale(three)[0])
        truths.append(torch.from_numpy(reference.mask).float().to(three.device))
    return fit_weights(masks, truths, grouped=False)


def _attention(full: Float[Tensor, "H W"], frame: Frame) -> Float[Tensor, "g g"]:
    # ledger 3: the cut map is squeezed over the whole grid; ledger 6: the z-score is taken over the image's pixels
    spread = full.std(correction=min(1, full.numel() - 1)).clamp(min=1e-6)  # a flat map guides nowhere, without NaN
    scaled = (full - full.mean()).div_(spread)
    size = (frame.grid_side, frame.grid_side)
    return F.interpolate(scaled[None, None], size, mode="bilinear", align_corners=False)[0, 0].sigmoid()
