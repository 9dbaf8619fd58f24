"""PerSAM: learn an object from an image and its mask, find it in others. The paper's abstract in code."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from persam.errors import CalibrationError, ConceptError, MaskError, PerSAMError
from persam.geometry import ENOUGH, no_larger
from persam.io.album import Target, iter_targets, one_target
from persam.io.images import read_image
from persam.io.masks import object_name, read_labels
from persam.io.results import ImageResult
from persam.method import official, ours, proposals
from persam.method.calibration import Calibration, calibration_of
from persam.method.concept import Concept, Reference, check_apart, checked_name, owned
from persam.method.find import Find, result_of
from persam.method.prompt_masks import reference_mask
from persam.method.recipes import OFFICIAL_PERSAM_F, PERSAM, AnyRecipe, OfficialRecipe, Recipe, find
from persam.method.references import counter_pairs, paired
from persam.sam.backbone import Backbone
from persam.sam.memory import as_out_of_memory
from persam.sam.plain import plain_torch
from persam.types import ImageEmbedding

Array = np.ndarray[Any, Any]


class PerSAM:
    """A backbone that learns concepts and finds them.

    Args:
        backbone: as `persam.sam.load.load_backbone` gives it.
        recipe: what `learn` uses when it is not told otherwise.
        calibration: of the backbone; None takes the package's or the user's own (`persam eval calibrate`).
        threshold: the presence, 0..1, from which on an object counts as present.

    Raises:
        PerSAMError: there is no such recipe, the threshold is not in 0..1, or the calibration is another backbone's.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        recipe: str | AnyRecipe = PERSAM,
        calibration: Calibration | None = None,
        threshold: float = 0.5,
    ):
        self.backbone, self.recipe, self.threshold = backbone, find(recipe), threshold
        if not 0 <= threshold <= 1:
            raise PerSAMError(f"the presence threshold must lie between 0 and 1, and {threshold} was given.")
        self.calibration = calibration or calibration_of(backbone.name, backbone.fingerprint)
        if self.calibration.fingerprint != backbone.fingerprint:
            raise CalibrationError(
                f"the calibration is of weights {self.calibration.fingerprint}, and {backbone.name} has "
                f"{backbone.fingerprint}. Fit one with `persam eval calibrate --model {backbone.name} --data DIR`."
            )

    @torch.inference_mode()
    @plain_torch()
    @as_out_of_memory("learning a concept")
    def learn(
        self,
        images: Any,
        masks: Any,
        *,
        not_this: Any = (),
        name: object = "object",
        recipe: str | AnyRecipe | None = None,
    ) -> Concept:
        """The concept of the object that the masks show (section 3.2, target features). Nothing is trained.

        Args:
            images: the reference image, or a list of images of the same object (k-shot): paths, PIL images, arrays or
                tensors.
            masks: for each image, the object's mask (with words such as `persam.Mask("labels.png", label=3)` where the
                file holds more), or a Box, Points, Polygon or Scribble, or their text form.
            not_this: counter-examples, pairs of an image and the mask of what may be taken for the object and is not
                it. What resembles one of them more than the object is not present.
            name: what results call the object.
            recipe: name or Recipe; with `tune` it fits PerSAM-F's two weights too.

        Raises:
            ImageError, MaskError: an image or a mask cannot be used; the message says why. Or a counter-example is the
                object of a reference itself.
            ConceptError: the name is not text.
            PerSAMError: there are counter-examples, and the recipe verifies nothing or the model is not calibrated.
        """
        called = checked_name(name)
        photos, marks = paired(images, masks)
        others = counter_pairs(not_this)
        photos, marks = [*photos, *(photo for photo, _ in others)], [*marks, *(mark for _, mark in others)]
        pixels = [read_image(photo) for photo in photos]
        embedding = self.backbone.encode(pixels)
        shown = [
            self._reference(rgb, embedding[number], mark, photo)
            for number, (rgb, mark, photo) in enumerate(zip(pixels, marks, photos, strict=True))
        ]
        references, against = shown[: len(shown) - len(others)], shown[len(shown) - len(others) :]
        check_apart(references, against)
        return self._learn([(called, references)], recipe, against)[0]

    @torch.inference_mode()
    @plain_torch()
    @as_out_of_memory("learning concepts")
    def learn_each(
        self, image: Any, masks: Any, *, names: Sequence[object] | None = None, recipe: str | AnyRecipe | None = None
    ) -> list[Concept]:
        """A concept for each of several objects in one reference image, which is encoded once.

        Args:
            image: the reference image.
            masks: a list of masks or prompts as `learn` takes them, or one source with several objects: a map of
                labels (0 the background, 255 undecided), colours, a stack, or shapes.
            names: what results call the objects, in order; without them, "object 1", or as the source's own labels say.
            recipe: as for `learn`.

        Raises:
            ImageError, MaskError: the image, a mask or the map cannot be used, or names are too few or too many.
        """
        rgb = read_image(image)
        if isinstance(masks, list | tuple):
            marks: dict[Any, Any] = dict(enumerate(masks, start=1))
        else:
            marks = read_labels(masks, (rgb.shape[0], rgb.shape[1]), **_named(image))
        called = [object_name(label) for label in marks] if names is None else [checked_name(name) for name in names]
        if not marks or len(called) != len(marks):
            raise MaskError(f"{len(marks)} objects came with {len(called)} names: give at least one mask, a name each.")
        embedding = self.backbone.encode([rgb])
        references = [self._reference(rgb, embedding, mark, image) for mark in marks.values()]
        return self._learn([(name, [one]) for name, one in zip(called, references, strict=True)], recipe)

    @torch.inference_mode()
    @plain_torch()
    @as_out_of_memory("tuning a concept")
    def tune(self, concept: Concept) -> Concept:
        """The concept with PerSAM-F's two weights, fitted on its references (section 3.3). Other choices stay.

        Raises:
            ConceptError: the concept was loaded from a file, which holds no references, or is another backbone's.
        """
        if not concept.references:
            raise ConceptError(
                f"the concept {concept.name!r} has no reference photos to tune on (a file does not hold them): "
                "learn it again and tune before saving."
            )
        [own] = owned(concept, self.backbone)
        if isinstance(own.recipe, OfficialRecipe):  # PerSAM-F differs from PerSAM in more than the weights
            return official.learn(own.references, OFFICIAL_PERSAM_F, name=own.name, backbone=self.backbone)
        return ours.tune(own, self.backbone, self.calibration)

    def segment(
        self,
        targets: Any,
        concepts: Concept | Sequence[Concept],
        *,
        max_instances: int = 1,
        on_error: str = "raise",
    ) -> Iterator[ImageResult]:
        """A result for each target, one after the other; each image is encoded once and then forgotten.

        Besides the image, a crop of each find is encoded, in which it is refined and verified, where the recipe has
        that: one more batch. For several instances the image is encoded once more, at twice the input where the
        backbone can, and a crop of all that may be one. A pixel belongs to one find. Of an image whose longer side is
        more than four times the network's input (2,560 pixels with nano), a copy of that size is searched, unless a
        concept has an official recipe; masks, boxes and points are of the image.

        Args:
            targets: an image, a list, a folder, a glob, or an iterator of images.
            concepts: one, or several with different names, as `learn` gives them for this backbone.
            max_instances: at most so many of each concept in an image: what is found alone, then the most similar.
            on_error: what to do with an image that cannot be read or searched: `raise`, after which the next one can
                still be asked for; or `skip`: its result has an `error` and no segmentation.

        Raises:
            ConceptError: there is no concept, two have one name, one belongs to another backbone's features, or was
                learned before the backbone was calibrated.
            PerSAMError: an official recipe is asked for several instances, or `on_error` is something else.
            ImageError: when a target that cannot be read is reached.
            OutOfMemoryError: when one is reached that needs more memory than there is.
        """
        if on_error not in ("raise", "skip"):
            raise PerSAMError(f"on_error must be 'raise' or 'skip', and {on_error!r} was given.")
        known = owned(concepts, self.backbone, max_instances)

        def result(target: Target) -> ImageResult:
            try:
                return self._result(target, known, max_instances)
            except PerSAMError as error:
                if on_error == "raise":
                    raise
                return ImageResult.of_error(target.name, error, target.source)

        return map(result, iter_targets(targets))  # unlike a generator, it goes on after an error

    @torch.inference_mode()
    @plain_torch()
    @as_out_of_memory("proposing masks")
    def propose(
        self, image: Any, *, points: int | None = None, crops: bool = False, max_side: int | None = None
    ) -> ImageResult:
        """Everything in an image that may be a thing: SAM's automatic masks, which may overlap, the best first.

        The mask called "proposal 7" is what `propose:7` means where a mask of the same image is asked for, with the
        default number of points.

        Args:
            image: as for `read_image`.
            points: of the grid along the image's longer side; 16 when None.
            crops: whether four overlapping crops are looked at too, for what is small. That follows after the rest.
            max_side: the result is of a copy whose longer side has no more pixels; a mask takes a byte a pixel.

        Raises:
            ImageError: the image cannot be read, or is not one image.
            PerSAMError: the number of points is not in 1..64.
        """
        if points is not None and not 1 <= points <= 64:
            raise PerSAMError(f"a grid of proposals has 1 to 64 points along the longer side, and not {points}.")
        target = one_target(image)
        rgb = target.read()
        found = proposals.propose(self.backbone, self.backbone.encode([rgb]), rgb=rgb if crops else None, points=points)
        return proposals.result_of(target, rgb, found, max_side)

    def with_backbone(self, backbone: Backbone) -> "PerSAM":
        """The same recipe, calibration and threshold on a backbone of the same features, such as a wrapped one."""
        return PerSAM(backbone, recipe=self.recipe, calibration=self.calibration, threshold=self.threshold)

    @torch.inference_mode()
    @plain_torch()
    def find(
        self,
        rgb: UInt8[Array, "h w 3"],
        embedding: ImageEmbedding,
        concepts: Concept | Sequence[Concept],
        *,
        max_instances: int = 1,
    ) -> list[Find]:
        """Each concept in one image as if it were alone, on the device: what `segment` does once an image is encoded.

        Finds of one concept follow each other, the likeliest first. Raises as `segment` does.
        """
        known = owned(concepts, self.backbone, max_instances)
        mine, published = ([one for one in known if isinstance(one.recipe, kind)] for kind in (Recipe, OfficialRecipe))
        finds = ours.segment(
            self.backbone, self.calibration, rgb, embedding, mine, max_instances=max_instances, threshold=self.threshold
        )
        finds += [official.segment(self.backbone, embedding, one) for one in published]
        order = [one.name for one in known]
        return sorted(finds, key=lambda one: order.index(one.concept.name))

    @plain_torch()
    def _result(self, target: Target, concepts: Sequence[Concept], max_instances: int) -> ImageResult:
        with as_out_of_memory(f"the search in {target.source or target.name}"):
            rgb = seen = target.read()
            if all(isinstance(one.recipe, Recipe) for one in concepts):  # the published ones see it as it is
                seen = no_larger(rgb, ENOUGH * self.backbone.input_size)
            finds = self.find(seen, self.backbone.encode([seen]), concepts, max_instances=max_instances)
            return result_of(target, rgb, finds)

    def _reference(self, rgb: UInt8[Array, "h w 3"], embedding: ImageEmbedding, mark: Any, image: Any) -> Reference:
        mask = reference_mask(mark, self.backbone, embedding, rgb, photo=image, **_named(image))
        return Reference(rgb, embedding, mask)

    def _learn(
        self,
        objects: Sequence[tuple[str, Sequence[Reference]]],
        recipe: str | AnyRecipe | None,
        not_this: Sequence[Reference] = (),
    ) -> list[Concept]:
        chosen = self.recipe if recipe is None else find(recipe)
        if isinstance(chosen, OfficialRecipe):
            if not_this:
                raise PerSAMError(f"{chosen.name!r} knows no counter-examples. Take the recipe 'persam', or give none.")
            return [official.learn(own, chosen, name=name, backbone=self.backbone) for name, own in objects]
        return ours.learn(objects, chosen, backbone=self.backbone, calibration=self.calibration, not_this=not_this)


def _named(image: Any) -> dict[str, str]:
    """What messages about its mask call an image, where it has a path."""
    return {"image_name": str(image)} if isinstance(image, str | Path) else {}
