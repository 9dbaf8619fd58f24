"""What is found is seen again in a crop: refined there, and judged to be this very object or not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import UInt8

from persam.errors import ConceptError
from persam.method.calibration import Calibration, is_calibrated
from persam.method.concept import Concept
from persam.method.crop_refine import refine_in_crops
from persam.method.find import Find
from persam.method.object_crop import AT_ONCE, ObjectCrop, encode_objects
from persam.method.recipes import Recipe
from persam.method.verify import IdentityDescriptor, descriptor_of, identity_similarity
from persam.sam.backbone import Backbone

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Verified:
    """Finds with their presence, and the crop in which each was seen; None where none was asked for, or it is empty."""

    finds: list[Find]
    crops: list[ObjectCrop | None]


@dataclass(frozen=True, eq=False)
class Judge:
    """Refines and verifies finds in one image, where their recipes have that.

    threshold: the presence from which on a find counts as present.
    """

    backbone: Backbone
    calibration: Calibration
    rgb: UInt8[Array, "h w 3"]
    threshold: float

    def refined(self, finds: Sequence[Find], crops: Sequence[ObjectCrop | None] | None = None) -> list[Find]:
        """The finds after refinement; in crops of their own, unless those are given in which they were verified."""
        if crops is None:
            return self._seen(finds, refine=True, verify=False)
        return self._refine(finds, crops, [choices(find.concept).crop_refine for find in finds])

    def verified(self, finds: Sequence[Find]) -> list[Find]:
        """The finds with their presence, where it can be judged.

        Raises:
            ConceptError: a concept was learned before the backbone was calibrated, without an identity descriptor.
        """
        return self._seen(finds, refine=False, verify=True)

    def verified_in_crops(self, finds: Sequence[Find]) -> Verified:
        """The same with the crops, so that what is kept can be refined in them. Raises as `verified` does."""
        wanted = self._asks_verification(finds)
        crops = [
            crop
            for start in range(0, len(finds), AT_ONCE)
            for crop in self._crops(finds[start : start + AT_ONCE], wanted[start : start + AT_ONCE])
        ]
        return Verified(self._verify(finds, crops, wanted), crops)

    def refined_and_verified(self, finds: Sequence[Find]) -> list[Find]:
        """Both in the same crops. Raises as `verified` does."""
        return self._seen(finds, refine=True, verify=True)

    def _seen(self, finds: Sequence[Find], *, refine: bool, verify: bool) -> list[Find]:
        groups = (finds[start : start + AT_ONCE] for start in range(0, len(finds), AT_ONCE))
        return [find for group in groups for find in self._seen_together(group, refine=refine, verify=verify)]

    def _seen_together(self, finds: Sequence[Find], *, refine: bool, verify: bool) -> list[Find]:
        to_refine = [refine and choices(find.concept).crop_refine for find in finds]
        to_verify = self._asks_verification(finds) if verify else [False] * len(finds)
        crops = self._crops(finds, [either or other for either, other in zip(to_refine, to_verify, strict=True)])
        seen = self._refine(finds, crops, to_refine)
        return self._verify(seen, crops, to_verify) if verify else seen

    def _asks_verification(self, finds: Sequence[Find]) -> list[bool]:
        """Whether each can be judged: with a calibration, of concepts whose recipe verifies."""
        wanted = [choices(find.concept).verify for find in finds]
        return wanted if any(wanted) and is_calibrated(self.calibration, self.backbone.name) else [False] * len(wanted)

    def _crops(self, finds: Sequence[Find], wanted: Sequence[bool]) -> list[ObjectCrop | None]:
        """The crop of each find of which it is wanted, encoded as one batch."""
        shown = [
            (self.rgb, find.inside.cpu().numpy()) for find, is_wanted in zip(finds, wanted, strict=True) if is_wanted
        ]
        crops = iter(encode_objects(self.backbone, shown))
        return [next(crops) if is_wanted else None for is_wanted in wanted]

    def _refine(self, finds: Sequence[Find], crops: Sequence[ObjectCrop | None], wanted: Sequence[bool]) -> list[Find]:
        asked = [crop if is_wanted else None for crop, is_wanted in zip(crops, wanted, strict=True)]
        points = [find.prior.points_xy[0] for find in finds]
        masks = refine_in_crops(self.backbone, self.rgb, [find.mask for find in finds], asked, points)
        return [replace(find, mask=mask) for find, mask in zip(finds, masks, strict=True)]

    def _verify(self, finds: Sequence[Find], crops: Sequence[ObjectCrop | None], wanted: Sequence[bool]) -> list[Find]:
        """crops: of each find; None for an empty mask."""
        verified = []
        for find, crop, is_judged in zip(finds, crops, wanted, strict=True):
            mask = find.inside.cpu().numpy()
            presence = evidence = None
            if is_judged:
                seen = descriptor_of(crop, mask, self.calibration) if crop is not None and mask.any() else None
                presence, evidence = self._presence(find.concept, seen)
            present = bool(mask.any()) and (presence is None or presence >= self.threshold)
            verified.append(replace(find, presence=presence, present=present, evidence=evidence))
        return verified

    def _presence(self, concept: Concept, seen: IdentityDescriptor | None) -> tuple[float, float]:
        """Presence, and the evidence that it is told from."""
        curve, choice = self.calibration.presence, self.calibration.choice
        assert curve is not None
        if concept.identity is None:
            raise ConceptError(
                f"the concept {concept.name!r} was learned before {self.backbone.name} was calibrated, so what is "
                "found cannot be verified. Learn it again, or with a recipe that has verify=False."
            )
        if concept.not_this is not None:
            curve = curve.against(identity_similarity(concept.not_this, seen, choice))
        evidence = identity_similarity(concept.identity, seen, choice)
        return curve(evidence), evidence


def choices(concept: Concept) -> Recipe:
    assert isinstance(concept.recipe, Recipe)
    return concept.recipe
