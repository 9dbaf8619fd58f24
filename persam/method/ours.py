"""Ours: locate, decode, refine and verify in a crop. The published cascade is its neighbour, `official`.

Every image costs one encoding; crop refinement and verification share one more, of a smaller input, of every find. A
reference costs five such besides: it is described turned, and as from afar.
Several instances cost another of the image, at twice the input, and verification of all that may be one.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from persam.errors import PerSAMError
from persam.geometry import foreground_patches, patch_cover
from persam.method import instances, rejoin
from persam.method.calibration import Calibration, is_calibrated
from persam.method.concept import Concept, Reference
from persam.method.decode import at_original, decode_prior
from persam.method.find import Find
from persam.method.judge import Judge, Verified, choices
from persam.method.location import locate
from persam.method.prototypes import Patches, against, summarise
from persam.method.recipes import Recipe
from persam.method.scales import fit_weights
from persam.method.verify import IdentityDescriptor, describe_references
from persam.sam.backbone import Backbone
from persam.types import ImageEmbedding

Array = np.ndarray[Any, Any]
BARE = 0.01  # cover below which a patch of a reference is background


def learn(
    objects: Sequence[tuple[str, Sequence[Reference]]],
    recipe: Recipe,
    *,
    backbone: Backbone,
    calibration: Calibration,
    not_this: Sequence[Reference] = (),
) -> list[Concept]:
    """A concept for each object, given by its name and its references; their crops are encoded together.

    A backbone without a calibration gets no identity descriptors: no find could be refused by them.
    not_this: counter-examples, of what is none of the objects.

    Raises:
        PerSAMError: there are counter-examples, and no find will be verified.
    """
    if not_this and (not recipe.verify or calibration.presence is None):
        why, advice = f"the recipe {recipe.name!r} verifies nothing", "Take the recipe 'persam'"
        if recipe.verify:
            why = f"{backbone.name} is not calibrated"
            advice = f"Run `persam eval calibrate --model {backbone.name} --data DIR`"
        raise PerSAMError(f"counter-examples count where a find is verified, and {why}. {advice}, or give none.")
    references = [*(reference for _, own in objects for reference in own), *not_this]
    verified = references if recipe.verify and is_calibrated(calibration, backbone.name) else []
    shown = [(one.rgb, one.mask) for one in verified]
    descriptors = dict(zip(map(id, verified), describe_references(backbone, shown, calibration), strict=True))

    def joined(own: Sequence[Reference]) -> IdentityDescriptor | None:
        seen = [one for one in (descriptors.get(id(reference)) for reference in own) if one is not None]
        return IdentityDescriptor.joined(seen) if seen else None

    concepts = []
    for name, own in objects:
        concept = _learned(own, not_this, recipe, name=name, backbone=backbone)
        concept = replace(concept, identity=joined(own), not_this=joined(not_this))
        concepts.append(tune(concept, backbone, calibration) if recipe.tune else concept)
    return concepts


def _learned(
    references: Sequence[Reference], not_this: Sequence[Reference], recipe: Recipe, *, name: str, backbone: Backbone
) -> Concept:
    """Target feature and prototypes: the references' patches are pooled as if they were one image's."""
    features, foreground, background = [], [], []
    for reference in references:
        embedding, shown = reference.embedding, foreground_patches(reference.mask, reference.embedding.frame)
        features.append(embedding.features[0][:, shown.to(embedding.device)].T)
        inside = embedding.frame.valid(shown)
        foreground.append(Patches.of_image(embedding, inside))
        bare = embedding.frame.valid(patch_cover(reference.mask, embedding.frame)) < BARE
        background.append(Patches.of_image(embedding, bare & ~inside))
    semantic = torch.cat(features).mean(0)
    others = [
        Patches.of_image(one.embedding, one.embedding.frame.valid(foreground_patches(one.mask, one.embedding.frame)))
        for one in not_this
    ]
    return Concept(
        name,
        recipe,
        backbone.name,
        backbone.fingerprint,
        feature=semantic / semantic.norm().clamp(min=1e-12),  # features that cancel are like nothing, instead of NaN
        semantic=semantic,
        prototypes=against(summarise(Patches.joined(foreground), Patches.joined(background)), others),
        references=tuple(references),
    )


def tune(concept: Concept, backbone: Backbone, calibration: Calibration) -> Concept:
    """The concept with PerSAM-F's two weights fitted on its references (section 3.3); nothing else of it changes."""
    assert concept.prototypes is not None
    masks, truths = [], []
    for reference in concept.references:
        embedding, frame = reference.embedding, reference.embedding.frame
        prior = locate(concept, concept.prototypes, embedding, calibration).prior
        three = backbone.decode(embedding, prior.prompt).logits[0, 1:]
        masks.append(frame.valid(three))
        cover = patch_cover(reference.mask, frame, stride=frame.input_size // three.shape[-1])
        truths.append(frame.valid(cover).to(three.device))
    return replace(concept, recipe=replace(choices(concept), tune=True), scale_weights=fit_weights(masks, truths))


def segment(
    backbone: Backbone,
    calibration: Calibration,
    rgb: UInt8[Array, "h w 3"],
    embedding: ImageEmbedding,
    concepts: Sequence[Concept],
    *,
    max_instances: int,
    threshold: float,
) -> list[Find]:
    """The finds of each concept in an image, the likeliest first, with presence at least the threshold.

    A concept that is not present has one find, its best guess. Masks may overlap. Where the one find of a concept with
    counter-examples is refused, it may be what was to be told apart, beside the object: another place is looked at.
    Where one is asked for, it may consist of two parts, which something cuts in two.
    """
    judge = Judge(backbone, calibration, rgb, threshold)
    alone = judge.refined_and_verified([_alone(backbone, embedding, concept, calibration) for concept in concepts])
    if max_instances == 1 or not concepts:
        refused = [find for find in alone if not find.present and find.concept.not_this is not None]
        elsewhere = [one for find in refused for one in _elsewhere(backbone, embedding, find, calibration)]
        others = judge.refined_and_verified(elsewhere)
        instead = {id(find.concept): find for find in others if find.present}
        return _rejoined(judge, embedding, [instead.get(id(find.concept), find) for find in alone])
    finer = instances.finer(backbone, embedding)
    closer = embedding if finer is backbone else finer.encode([rgb])
    return [one for first in alone for one in _several(judge, finer, closer, first, max_instances)]


def _alone(backbone: Backbone, embedding: ImageEmbedding, concept: Concept, calibration: Calibration) -> Find:
    """The mask of what is found where one is looked for."""
    assert concept.prototypes is not None
    prior = locate(concept, concept.prototypes, embedding, calibration).prior
    decoded = decode_prior(backbone, embedding, prior, concept)
    return Find(concept, prior, at_original(decoded, embedding.frame))


def _rejoined(judge: Judge, embedding: ImageEmbedding, finds: Sequence[Find]) -> list[Find]:
    """The finds; those present with their other side, where both are clearly more similar to the reference together."""
    judged = [find for find in finds if find.present and find.presence is not None and find.presence < rejoin.WHOLE]
    verified = judge.verified(
        [one for find in judged for one in rejoin.both_sides(judge.backbone, embedding, find, judge.calibration)]
    )
    whole = []
    for find in finds:
        sides = (one for one in verified if one.concept is find.concept)
        best = max(sides, key=lambda one: one.evidence or 0.0, default=find)
        whole.append(best if (best.evidence or 0.0) > rejoin.TOGETHER * (find.evidence or 0.0) else find)
    return whole


def _several(judge: Judge, finer: Backbone, closer: ImageEmbedding, first: Find, most: int) -> list[Find]:
    """The instances of a concept: rounds of peaks, the likeliest first, until one yields nothing.

    Those in what is found alone come last, in case that it is several. What is kept is refined in the crop in which it
    was verified, while that is there.
    """
    priors = instances.peaks(closer, first.concept, judge.calibration)
    free = instances.outside(priors, [first])
    within = [prior for prior in priors if not any(prior is one for one in free)]
    offered: list[Find] = []
    refined: dict[int, Find] = {}
    kept = instances.choose(first, offered)
    for group in (free, within):
        while group and len(kept) < most:
            seen = judge.verified_in_crops(instances.propose(finer, closer, first.concept, group[: instances.ROUND]))
            new = [find for find in seen.finds if find.present]
            offered += new
            kept = instances.choose(first, offered)
            refined |= _refined_in_place(judge, seen, kept)
            taken = [find for find in kept if find is not first] + instances.rivals(first, offered)
            if not any(find is one for find in taken for one in new):
                break
            group = instances.outside(group[instances.ROUND :], taken)
    kept = kept[:most] or [first]
    rest = [find for find in kept if find is not first and id(find) not in refined]
    refined |= _by_id(rest, judge.refined(rest))
    return [refined.get(id(find), find) for find in kept]


def _refined_in_place(judge: Judge, seen: Verified, kept: Sequence[Find]) -> dict[int, Find]:
    """Those of the finds that are kept after refinement in the crops in which they were seen, by their identity."""
    shown = zip(seen.finds, seen.crops, strict=True)
    here = [(find, crop) for find, crop in shown if crop is not None and any(find is one for one in kept)]
    finds = [find for find, _ in here]
    return _by_id(finds, judge.refined(finds, [crop for _, crop in here]))


def _by_id(finds: Sequence[Find], refined: Sequence[Find]) -> dict[int, Find]:
    return dict(zip(map(id, finds), refined, strict=True))


def _elsewhere(backbone: Backbone, embedding: ImageEmbedding, find: Find, calibration: Calibration) -> list[Find]:
    """The concept at the likeliest place outside the find; none where none is likely."""
    places = instances.outside(instances.peaks(embedding, find.concept, calibration), [find])[:1]
    return [
        Find(find.concept, prior, at_original(decode_prior(backbone, embedding, prior, find.concept), embedding.frame))
        for prior in places
    ]
