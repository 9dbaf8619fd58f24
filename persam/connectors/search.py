"""What every tool is given: a model and concepts that search one image at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from persam.api import load
from persam.io.results import ImageResult
from persam.method.concept import Concept
from persam.model import PerSAM


@dataclass(frozen=True)
class Search:
    model: PerSAM
    concepts: tuple[Concept, ...]
    max_instances: int

    def __call__(self, image: Any) -> ImageResult:
        """What is found in an image as `read_image` takes it."""
        return next(self.model.segment([image], self.concepts, max_instances=self.max_instances))

    @property
    def names(self) -> list[str]:
        return [one.name for one in self.concepts]


def search_for(
    concepts: Concept | str | Path | Sequence[Concept | str | Path],
    model: PerSAM | str | Path | None,
    *,
    device: str,
    max_instances: int,
) -> Search:
    """The search for concepts or their files. model: None takes the one that the first was learned with.

    Raises:
        ConceptError: a file is no concept, two have one name, or one belongs to another backbone.
        WeightsError: the model cannot be loaded.
    """
    listed = [concepts] if isinstance(concepts, Concept | str | Path) else list(concepts)
    known = tuple(one if isinstance(one, Concept) else Concept.load(one) for one in listed)
    if not isinstance(model, PerSAM):
        model = load(model or (known[0].backbone if known else "nano"), device=device)
    model.segment((), known, max_instances=max_instances)  # what cannot be searched is said at once
    return Search(model, known, max_instances)
