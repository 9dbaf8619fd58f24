"""Did it work? Whether generated pictures show the object, and how much of it is the reference's, within the masks.

After the idea of masked subject consistency (MaSC, arXiv 2605.22469): similarity of whole pictures rewards a copied
background, so only what the masks show is compared. It ranks runs on one object; it says nothing of prompts followed
or of beauty, and a copied photo scores best of all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from persam.dreambooth.features import OWN, Features
from persam.errors import ImageError
from persam.io.album import Target, iter_targets
from persam.method.concept import Concept
from persam.model import PerSAM


@dataclass(frozen=True)
class Scored:
    """What is said of one picture, for one concept.

    presence: how sure it is that the object is there, 0..1; None where that was not judged. present: whether it is.
    fidelity: how similar it is to the reference's, up to 1; None where it is not present.
    area: the share of the picture that it takes. error: why the picture could not be read.
    """

    image: str
    concept: str
    present: bool = False
    presence: float | None = None
    fidelity: float | None = None
    area: float | None = None
    error: str | None = None

    def to_record(self) -> dict[str, Any]:
        """A line for JSON."""
        if self.error is not None:
            return {"image": self.image, "concept": self.concept, "error": self.error}
        numbers = {
            key: None if value is None else round(value, 4)
            for key, value in (("presence", self.presence), ("fidelity", self.fidelity), ("area", self.area))
        }
        return {"image": self.image, "concept": self.concept, "present": self.present} | numbers


def score(
    samples: Any, concepts: Concept | Sequence[Concept], *, model: PerSAM, features: Features = OWN
) -> Iterator[Scored]:
    """What is said of each picture, for each concept, one after the other.

    Args:
        samples: generated pictures, as for `PerSAM.segment`.
        concepts: one, or several with different names, as `learn` gives them for this model.
        model: finds the objects.
        features: by which fidelity is judged.

    Raises:
        DreamBoothError: the concept does not hold what the features need.
        ConceptError: as for `PerSAM.segment`.
    """
    known = [concepts] if isinstance(concepts, Concept) else list(concepts)
    model.segment((), known)
    return (one for sample in _listed(samples) for one in _scored(sample, known, model, features))


def summary(concept: str, answers: Sequence[Scored]) -> str:
    """A line on all pictures: in how many it is, and the mean fidelity there."""
    own = [one for one in answers if one.concept == concept and one.error is None]
    alike = [one.fidelity for one in own if one.present and one.fidelity is not None]
    mean = f", mean fidelity {sum(alike) / len(alike):.3f} where it is" if alike else ""
    return f"{concept!r} is in {sum(one.present for one in own)} of {len(own)} pictures{mean}"


def _listed(samples: Any) -> Iterator[Target]:
    """The pictures; a list of targets is one already."""
    if isinstance(samples, list) and all(isinstance(one, Target) for one in samples):
        return iter(samples)
    return iter_targets(samples)


@torch.inference_mode()
def _scored(sample: Target, concepts: Sequence[Concept], model: PerSAM, features: Features) -> list[Scored]:
    image = str(sample.source or sample.name)
    try:
        rgb = sample.read()
    except ImageError as error:
        return [Scored(image, concept.name, error=str(error)) for concept in concepts]
    [result] = model.segment([rgb], concepts)
    answers = []
    for concept in concepts:
        found = result[concept.name]
        alike = features.similarity(model, concept, rgb, found.mask) if found.present else None
        area = float(found.mask.mean()) if found.present else None
        answers.append(Scored(image, concept.name, found.present, found.presence, alike, area))
    return answers
