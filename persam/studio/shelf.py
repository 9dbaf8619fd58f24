"""The concepts that a person keeps at hand, with the photos they were taught by."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from persam.errors import ConceptError, InputWarning, LimitError
from persam.io import draw
from persam.io.names import file_part
from persam.method.concept import Concept, owned
from persam.model import PerSAM
from persam.studio.limits import CONCEPT_BYTES, Limits
from persam.studio.photo import view

Array = np.ndarray[Any, Any]
Example = tuple[UInt8[Array, "h w 3"], Bool[Array, "h w"]]
MOST_CONCEPTS, MOST_EXAMPLES = 32, 12  # of a shelf; of a concept, references and counter-examples together
PICTURE_SIDE = 320
NAME_CHARACTERS = 60


@dataclass(frozen=True, eq=False)
class Kept:
    """A concept on the shelf.

    references, not_this: photos and masks that it was taught by; none for one that came from a file.
    picture: of its first reference; None likewise.
    """

    concept: Concept
    references: tuple[Example, ...] = ()
    not_this: tuple[Example, ...] = ()
    picture: UInt8[Array, "_ _ 3"] | None = None

    @property
    def name(self) -> str:
        return self.concept.name

    def __str__(self) -> str:
        if not self.references:
            return f"{self.name}: from a file"
        others = f", {len(self.not_this)} not it" if self.not_this else ""
        return f"{self.name}: {len(self.references)} photo{'s' if len(self.references) > 1 else ''}{others}"


class Shelf:
    """Concepts of one model, by name."""

    def __init__(self, model: PerSAM):
        self.model = model
        self.kept: dict[str, Kept] = {}

    def learn(self, name: str, rgb: UInt8[Array, "h w 3"], mask: Bool[Array, "h w"]) -> Kept:
        """The concept of the object that the mask shows, on the shelf; one of the same name is replaced.

        Raises:
            ConceptError: it has no name.
            LimitError: the shelf is full, or the name too long.
        """
        name = self._checked(name)
        self.kept[name] = self._taught(name, ((rgb, mask),), ())
        return self.kept[name]

    def teach(self, name: str, rgb: UInt8[Array, "h w 3"], mask: Bool[Array, "h w"], *, is_it: bool) -> Kept:
        """The concept with a further reference; or, where that is not it, a counter-example.

        Raises:
            ConceptError: it came from a file, which holds no photo to learn from again.
            LimitError: it has so many examples that one more would teach little.
            MaskError: as for `PerSAM.learn`.
        """
        old = self[name]
        if not old.references:
            raise ConceptError(
                f"{name!r} came from a file, which holds no photos, and cannot be taught further. Mark it in a photo "
                "under Learn, under the same name."
            )
        if len(old.references) + len(old.not_this) >= MOST_EXAMPLES:
            raise LimitError(f"{name!r} has {MOST_EXAMPLES} examples already, and one more would teach little.")
        more = ((rgb, mask),)
        references, not_this = (old.references + more, old.not_this) if is_it else (old.references, old.not_this + more)
        self.kept[name] = self._taught(name, references, not_this)
        return self.kept[name]

    def load(self, path: Path, limits: Limits) -> Kept:
        """The concept of a file, on the shelf.

        Raises:
            ConceptError: it is no concept, or one of another model.
            LimitError: the file is too large, or the shelf is full.
        """
        limits.check_file(path, most_bytes=CONCEPT_BYTES)
        [concept] = owned(Concept.load(path), self.model.backbone)
        self.kept[self._checked(concept.name)] = Kept(concept)
        return self.kept[concept.name]

    def save(self, name: str, folder: Path) -> Path:
        """The file that now holds the concept."""
        return self[name].concept.save(folder / f"{file_part(name)}.safetensors")

    def remove(self, name: str) -> None:
        del self.kept[self[name].name]

    def concepts(self, names: Sequence[str]) -> list[Concept]:
        """The concepts of these names, in this order.

        Raises:
            ConceptError: none was chosen, or one is not on the shelf.
        """
        if not names:
            raise ConceptError("choose what to look for: tick a concept of the shelf, or learn one first.")
        return [self[name].concept for name in names]

    def __getitem__(self, name: str) -> Kept:
        if name not in self.kept:
            raise ConceptError(f"there is no {name!r} on the shelf. Learn it first, or load its file.")
        return self.kept[name]

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def names(self) -> list[str]:
        return list(self.kept)

    def _checked(self, name: str) -> str:
        name = " ".join(name.split())
        if not name:
            raise ConceptError("give the object a name first.")
        if len(name) > NAME_CHARACTERS:
            raise LimitError(f"the name has {len(name)} characters, and {NAME_CHARACTERS} are the most.")
        if name not in self.kept and len(self) >= MOST_CONCEPTS:
            raise LimitError(f"the shelf holds {MOST_CONCEPTS} concepts, and that is the most. Remove one first.")
        return name

    def _taught(self, name: str, references: tuple[Example, ...], not_this: tuple[Example, ...]) -> Kept:
        photos, masks = zip(*references, strict=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputWarning)  # of masks that look inverted: a person has seen these
            concept = self.model.learn(list(photos), list(masks), not_this=list(not_this), name=name)
        picture = view(draw.overlay(photos[0], masks[0]), PICTURE_SIDE)
        # What it was learned from is kept once: `references` of the concept would hold every photo a second time.
        return Kept(replace(concept, references=()), references, not_this, picture)
