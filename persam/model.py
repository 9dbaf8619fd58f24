"""PerSAM: learn an object from a photo and its mask, find it in others. The paper's abstract in code."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from persam.errors import ConceptError, MaskError, PerSAMError
from persam.geometry import box_of, cell_cover
from persam.io import images as io
from persam.io.album import Target, iter_targets
from persam.io.results import Segmentation
from persam.method import concept as concepts
from persam.method.calibration import presence, threshold_of
from persam.method.concept import Concept, Reference
from persam.method.crop_refine import look_again
from persam.method.location import locate
from persam.method.prompts import Box, Hint, Points, Polygon, Scribble, mask_from_hint, parse_hint
from persam.method.recipes import PERSAM, Recipe, find, tuned
from persam.method.refine import first_decode, mask_logits, prompt_of, refine
from persam.method.scales import fit_weights
from persam.method.verify import Portrait, resemblance
from persam.sam import load as backbones
from persam.sam.backbone import Backbone
from persam.types import ImageEmbedding

Array = np.ndarray[Any, Any]
INSTANCE_COVER = 0.1  # share of a cell that an instance covers for the cell to be taken
LIKELY = 0.2  # posterior of the likeliest cell below which no instance is looked for any more


@dataclass(frozen=True)
class _Found:
    """A result and the logits that its mask came from, for results that share a photo.

    cell: row and column of the likeliest cell. expected: how likely it showed the object, 0..1.
    """

    result: Segmentation
    logits: Float[Array, "h w"]
    cell: tuple[int, int]
    expected: float

    def restricted(self, own: Bool[Array, "h w"]) -> Segmentation:
        mask = self.result.mask & own
        return replace(self.result, mask=mask, box_xyxy=box_of(mask), present=self.result.present and bool(mask.any()))


class PerSAM:
    """A backbone that learns concepts and finds them.

    Args:
        backbone: as `persam.sam.load.load` gives it.
        recipe: the settings that `learn` uses when it is not told otherwise.
        threshold: the presence, 0..1, from which on an object counts as present; None takes the one fitted for the
            backbone. A backbone without one refuses nothing: `persam eval absence` finds its threshold.

    Raises:
        PerSAMError: there is no such recipe, or the threshold is not in 0..1.
    """

    def __init__(self, backbone: Backbone, *, recipe: str | Recipe = PERSAM, threshold: float | None = None):
        self.backbone = backbone
        self.recipe = find(recipe)
        if threshold is not None and not 0 <= threshold <= 1:
            raise PerSAMError(f"the presence threshold must lie between 0 and 1, and {threshold} was given.")
        self.threshold = threshold_of(backbone.name) if threshold is None else threshold

    @torch.inference_mode()
    def learn(self, images: Any, masks: Any, *, name: str = "object", recipe: str | Recipe | None = None) -> Concept:
        """The concept of the object that the masks show (section 3.2, target features). Nothing is trained.

        Args:
            images: the reference photo, or a list of photos of the same object (k-shot): paths, PIL images, arrays or
                tensors.
            masks: for every photo, the object's mask, or a Box, Points, Polygon or Scribble, or their text form.
            name: what results call the object.
            recipe: name or Recipe; a PerSAM-F recipe fits its two weights too.

        Raises:
            ImageError, MaskError: a photo or a mask cannot be used; the message says why.
        """
        photos, marks = _listed(images), _listed(masks)
        if len(photos) != len(marks) or not photos:
            raise MaskError(f"{len(photos)} reference photos came with {len(marks)} masks: give one mask a photo.")
        chosen = find(recipe) if recipe is not None else self.recipe
        references = tuple(
            self._references(io.read_image(image), [mask], chosen, **_named(image))[0]
            for image, mask in zip(photos, marks, strict=True)
        )
        return self._learn(references, chosen, name)

    @torch.inference_mode()
    def learn_each(
        self, image: Any, masks: Any, *, names: Sequence[str] | None = None, recipe: str | Recipe | None = None
    ) -> tuple[Concept, ...]:
        """A concept for each of several objects in one reference photo, which is encoded once.

        Args:
            image: the reference photo.
            masks: a list of masks or hints as `learn` takes them, or one map of labels: a palette file or integers, 0
                the background, 255 undecided.
            names: what results call the objects, in order; without them, "object 1", with a map its own numbers.
            recipe: as for `learn`.

        Raises:
            ImageError, MaskError: the photo, a mask or the map cannot be used, or names are too few or too many.
        """
        rgb, known = io.read_image(image), _named(image)
        if isinstance(masks, list | tuple):
            marks, numbers = list(masks), list(range(1, len(masks) + 1))
        else:
            labelled = io.read_labels(masks, (rgb.shape[0], rgb.shape[1]), **known)
            marks, numbers = list(labelled.values()), list(labelled)
        called = [f"object {number}" for number in numbers] if names is None else list(names)
        if not marks or len(called) != len(marks):
            raise MaskError(f"{len(marks)} objects came with {len(called)} names: give at least one mask, a name each.")
        chosen = find(recipe) if recipe is not None else self.recipe
        references = self._references(rgb, marks, chosen, **known)
        return tuple(self._learn((one,), chosen, name) for one, name in zip(references, called, strict=True))

    @torch.inference_mode()
    def tune(self, concept: Concept) -> Concept:
        """The concept under PerSAM-F (section 3.3): two weights fitted on its reference photos.

        Raises:
            ConceptError: the concept was loaded from a file, which holds no photos.
        """
        if not concept.references:
            raise ConceptError(
                f"the concept {concept.name!r} has no reference photos to tune on (a file does not hold them): "
                "learn it again and tune before saving."
            )
        return self._learn(concept.references, tuned(concept.recipe), concept.name)

    def segment(self, targets: Any, concept: Concept) -> Iterator[Segmentation]:
        """The concept in every target, one after the other; each photo is encoded once and then forgotten.

        (What was found is encoded once more, cut out, for each of `zoom` and `refuses` that the recipe has.)

        Args:
            targets: a photo, a list, a folder, a glob, or an iterator of photos.
            concept: as `learn` gives it, for this backbone.

        Raises:
            ConceptError: the concept belongs to another backbone's features.
            ImageError: a target cannot be read; results before it have been yielded.
        """
        for target in iter_targets(targets):
            yield self.segment_one(target, concept)

    def segment_together(self, targets: Any, concepts: Sequence[Concept]) -> Iterator[tuple[Segmentation, ...]]:
        """Several concepts in every target, each photo encoded once: for every photo a result a concept, in order.

        A pixel belongs to one: where the masks of concepts that are present meet, the surer decoder has it; one that is
        not present has none. Raises as `segment` does, and ConceptError without a concept.
        """
        if not concepts:
            raise ConceptError("there is no concept to look for: give at least one.")
        owned = [self._own(concept) for concept in concepts]
        for target in iter_targets(targets):
            rgb = target.read()
            embedding = self.embed(rgb)
            found = [self._find(rgb, embedding, concept, target) for concept in owned]
            logits = np.stack([np.where(f.result.present, f.logits, -np.inf) for f in found])
            owner = np.where(np.isinf(logits).all(0), -1, logits.argmax(0))
            yield tuple(f.restricted(owner == number) for number, f in enumerate(found))

    def segment_instances(
        self, targets: Any, concept: Concept, *, limit: int = 10
    ) -> Iterator[tuple[Segmentation, ...]]:
        """Every instance of the concept in every target, the most similar first; the photo is encoded once.

        After each find its cells are taken from the location map and the next peak is decoded, until nothing more is
        present, at most `limit` times (the published code paints the object black and encodes again, ledger 9). A
        pixel belongs to the instance found first. A photo without the object gives an empty tuple. Raises as
        `segment` does.
        """
        for target in iter_targets(targets):
            yield tuple(self._instances(target, self._own(concept), limit))

    def segment_one(self, target: Target, concept: Concept) -> Segmentation:
        """The concept in one target of `iter_targets`; raises as `segment` does."""
        return self.segment_each(target, [concept])[0]

    def segment_each(self, target: Target, concepts: Sequence[Concept]) -> tuple[Segmentation, ...]:
        """Each concept in one target as if it were alone, the photo encoded once; raises as `segment` does."""
        owned = [self._own(concept) for concept in concepts]
        rgb = target.read()
        embedding = self.embed(rgb)
        return tuple(self._find(rgb, embedding, concept, target).result for concept in owned)

    def embed(self, rgb: UInt8[Array, "h w 3"]) -> ImageEmbedding:
        """The photo's features: the expensive step."""
        return self.backbone.encode(rgb)

    def _instances(self, target: Target, concept: Concept, limit: int) -> Iterator[Segmentation]:
        rgb = target.read()
        embedding = self.embed(rgb)
        frame = embedding.frame
        free = np.ones(frame.original_hw, bool)
        taken = torch.zeros(frame.valid_hw, dtype=torch.bool, device=self.backbone.device)
        found, missed = 0, 0
        while found < limit and missed < concept.recipe.places and not taken.all():
            one = self._find(rgb, embedding, concept, target, taken=taken)
            if one.expected < LIKELY or not one.result.mask.any():
                return
            new = one.result.mask & free
            if one.result.present and 2 * new.sum() >= one.result.mask.sum():
                yield one.restricted(free)
                found, missed = found + 1, 0
                free &= ~new
            else:
                missed += 1
            taken |= _cells_shown(one.result.mask, embedding)
            taken[one.cell] = True  # though the mask left it out: it is not to be asked for again

    @torch.inference_mode()
    def _find(
        self,
        rgb: UInt8[Array, "h w 3"],
        embedding: ImageEmbedding,
        concept: Concept,
        target: Target,
        *,
        taken: torch.Tensor | None = None,
    ) -> _Found:
        """The object at the likeliest place; with `taken`, an instance of several where nothing is taken."""
        alone = taken is None
        prior = locate(concept, embedding, taken=taken, alone=alone)
        column, row = (embedding.frame.to_input(prior.points_xy[0]) / embedding.frame.stride).int().tolist()
        first = first_decode(self.backbone, embedding, prior, concept, alone=alone)
        prior, steps = refine(self.backbone, embedding, prior, first, concept.recipe)
        final = steps[-1]
        full = mask_logits(final.logits, embedding.frame)
        again = look_again(self.backbone, rgb, full, prior.points_xy[0]) if concept.recipe.zoom else None
        logits = (full if again is None else again).cpu().numpy()
        mask = logits > 0
        probability, sure = 1.0, True
        if concept.recipe.refuses:
            evidence = resemblance(concept.portrait, Portrait.of(self.backbone, rgb, mask))
            probability = presence(evidence, self.backbone.name)
            sure = probability >= self.threshold
        result = Segmentation(
            mask=mask,
            score=min(1.0, max(0.0, final.predicted_iou)),
            presence=probability,
            present=sure and bool(mask.any()),
            box_xyxy=box_of(mask),
            points_xy=prior.points_xy.cpu().numpy(),
            labels=prior.labels.cpu().numpy(),
            similarity=prior.similarity.cpu().numpy(),
            concept=concept.name,
            name=target.name,
            source=target.source,
            read=target.read,
        )
        expected = 1.0 if prior.posterior is None else float(prior.posterior.max())
        return _Found(result, logits, (row, column), expected)

    def _learn(self, references: tuple[Reference, ...], recipe: Recipe, name: str) -> Concept:
        concept = concepts.learn(
            references, recipe, name=name, backbone=self.backbone.name, fingerprint=self.backbone.fingerprint
        )
        if recipe.first_mask != "weighted":
            return concept
        masks, truths = [], []
        for reference in references:
            prior = locate(concept, reference.embedding)
            three = self.backbone.decode(reference.embedding, prompt_of(prior)).logits[:, 1:]
            frame = reference.embedding.frame
            if recipe.fit_at == "original":
                masks.append(frame.upscale(three)[0])
                truths.append(torch.from_numpy(reference.mask).float().to(three.device))
            else:
                masks.append(frame.valid(three[0]))
                cover = cell_cover(reference.mask, frame, stride=frame.input_size // three.shape[-1])
                truths.append(frame.valid(cover).to(three.device))
        return replace(concept, scale_weights=fit_weights(masks, truths))

    def _references(
        self, rgb: UInt8[Array, "h w 3"], masks: Sequence[Any], recipe: Recipe, **known: str
    ) -> list[Reference]:
        """Objects of one photo, which is encoded once, and each close up where the recipe asks which object it is."""
        embedding = self.embed(rgb)
        references = []
        for mask in masks:
            hint: Hint | None = parse_hint(mask) if isinstance(mask, str) else None
            if isinstance(mask, Box | Points | Polygon | Scribble):
                hint = mask
            if hint is not None:
                shown = mask_from_hint(hint, self.backbone, embedding)
            else:
                shown = io.read_mask(mask, (rgb.shape[0], rgb.shape[1]), **known)
            close = Portrait.of(self.backbone, rgb, shown) if recipe.refuses else None
            references.append(Reference(embedding, shown, close or Portrait.empty(embedding)))
        return references

    def _own(self, concept: Concept) -> Concept:
        if concept.fingerprint != self.backbone.fingerprint:
            raise ConceptError(
                f"the concept {concept.name!r} was learned with {concept.backbone} (weights {concept.fingerprint}) and "
                f"means nothing to {self.backbone.name} (weights {self.backbone.fingerprint}). "
                f"Load that model, or learn the concept again with this one."
            )
        return concept.to(self.backbone.device)


def load(
    model: str | Path = "nano",
    *,
    device: str | torch.device = "auto",
    recipe: str | Recipe = PERSAM,
    threshold: float | None = None,
    base: str | Path | None = None,
    pixels: backbones.Pixels | None = None,
) -> PerSAM:
    """A model that is ready to learn and find.

    Args:
        model: `nano` (bundled), `vit_t`, `vit_b`, `vit_l`, `vit_h` (fetched once), or the path of a SAM checkpoint.
        device: `auto` takes CUDA, then MPS, then the CPU.
        recipe: the default settings of `learn`.
        threshold: the presence from which on an object counts as present; None takes the one fitted for the model.
        base: what a LoRA file such as SAMed's belongs to; without it, the named SAM of the same width.
        pixels: how pixels reach the encoder: `sam` by Meta's mean and deviation, `unit` as 0 to 1 (MedSAM's training);
            by default what the file says, else `sam`.

    Raises:
        WeightsError: unknown name, or weights that are missing or damaged.
        PerSAMError: the device is not there, or there is no such recipe.
    """
    chosen = find(recipe)  # before weights are fetched
    return PerSAM(backbones.load(model, device=device, base=base, pixels=pixels), recipe=chosen, threshold=threshold)


def segment(
    ref_img: Any,
    ref_mask: Any,
    targets: Any,
    *,
    model: str | Path | PerSAM = "nano",
    recipe: str | Recipe | None = None,
    device: str | torch.device = "auto",
) -> list[Segmentation] | Iterator[Segmentation]:
    """The object of the reference in every target: the whole of persam in one call.

    Args:
        ref_img: the reference photo, or a list of photos of the same object.
        ref_mask: its mask (or Box, Points, Polygon, Scribble), or a list, one a photo.
        targets: one photo, a list, a folder or a glob: the result is a list. A generator: the result is a generator
            too, which holds one photo at a time.
        model: a name or path as for `load`, or a loaded PerSAM.
        recipe: name or Recipe; the model's own when None.
        device: where a model given by name runs.

    Raises:
        PerSAMError: one of its children says what cannot be used, and what to do.

    >>> found = persam.segment("rex.jpg", "rex_mask.png", ["park.jpg", "beach.jpg"])  # doctest: +SKIP
    >>> found[0].mask.shape, found[0].present  # doctest: +SKIP
    ((480, 640), True)
    """
    ready = model if isinstance(model, PerSAM) else load(model, device=device)
    concept = ready.learn(ref_img, ref_mask, recipe=recipe)
    results = ready.segment(targets, concept)
    return results if isinstance(targets, Iterator) else list(results)


def _cells_shown(mask: Bool[Array, "h w"], embedding: ImageEmbedding) -> Bool[torch.Tensor, "hv wv"]:
    """The cells that an instance's mask takes."""
    cover = embedding.frame.valid(cell_cover(mask, embedding.frame))
    return (cover > INSTANCE_COVER).to(embedding.features.device)


def _named(image: Any) -> dict[str, str]:
    """What messages about its mask call a photo, where it has a path."""
    return {"image_name": str(image)} if isinstance(image, str | Path) else {}


def _listed(values: Any) -> Sequence[Any]:
    return values if isinstance(values, list | tuple) else [values]
