"""What to look for: a Concept is learned from reference images without training. A file takes 150 kilobytes or so."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from persam.errors import ConceptError, MaskError, PerSAMError
from persam.io import draw, notebook
from persam.io.write import write_bytes
from persam.method.object_crop import REFERENCE_VIEWS
from persam.method.prototypes import Prototypes
from persam.method.recipes import AnyRecipe, OfficialRecipe, from_plain, to_plain
from persam.method.verify import IdentityDescriptor
from persam.sam.backbone import Backbone
from persam.types import ImageEmbedding

Array = np.ndarray[Any, Any]
FORMAT = "persam-concept-7"
WORDS = ("name", "backbone", "fingerprint")
PROTOTYPES = tuple(one.name for one in fields(Prototypes))
DESCRIPTORS = ("identity", "not_this")
IDENTITY = ("features", "colours", "image", "afar")  # of a descriptor, what a file holds


@dataclass(frozen=True, eq=False)
class Reference:
    """One reference image, its embedding (a batch of one), and the object's mask in the image's own size."""

    rgb: UInt8[Array, "h w 3"]
    embedding: ImageEmbedding
    mask: Bool[Array, "h w"]


@dataclass(frozen=True, eq=False)
class Concept:
    """A learned object.

    name: what results call it. recipe: how it is looked for. backbone, fingerprint: whose features these are.
    feature: the target feature, unit length; its cosine to an image's patches is the confidence map.
    semantic: mean of the object's patches, not normalised: the target-semantic prompt.
    prototypes: of the object's parts and of what was around it; None under the official recipes.
    identity: by which a find is verified; None where nothing is.
    not_this: likewise of the counter-examples, an image each: a find that is more similar to one is not the object.
    scale_weights: PerSAM-F's weights of the three masks, sum 1; None before `tune`.
    references: the images it was learned from, for `tune`; kept in memory only.
    """

    name: str
    recipe: AnyRecipe
    backbone: str
    fingerprint: str
    feature: Float[Tensor, "c"]
    semantic: Float[Tensor, "c"]
    prototypes: Prototypes | None = None
    identity: IdentityDescriptor | None = None
    not_this: IdentityDescriptor | None = None
    scale_weights: Float[Tensor, "3"] | None = None
    references: tuple[Reference, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        checked_name(self.name)

    @property
    def counter_examples(self) -> int:
        """How many there are."""
        return 0 if self.not_this is None else _images(self.not_this)

    def to(self, device: torch.device | str) -> "Concept":
        return replace(
            self,
            feature=self.feature.to(device),
            semantic=self.semantic.to(device),
            prototypes=None if self.prototypes is None else self.prototypes.to(device),
            identity=None if self.identity is None else self.identity.to(device),
            not_this=None if self.not_this is None else self.not_this.to(device),
            scale_weights=None if self.scale_weights is None else self.scale_weights.to(device),
        )

    def __eq__(self, other: object) -> bool:
        """Whether both look for the same in the same way; the references they were learned from do not count."""
        if not isinstance(other, Concept):
            return NotImplemented
        words = (self.name, self.recipe, self.backbone, self.fingerprint)
        if words != (other.name, other.recipe, other.backbone, other.fingerprint):
            return False
        mine, theirs = _tensors_of(self), _tensors_of(other)
        return mine.keys() == theirs.keys() and all(torch.equal(mine[name].cpu(), theirs[name].cpu()) for name in mine)

    def __hash__(self) -> int:
        return hash((self.name, self.recipe, self.backbone, self.fingerprint))

    def __repr__(self) -> str:
        words = "; ".join(f"{key} {value}" for key, value in self._known.items() if key != "concept")
        return f"Concept({self.name!r}: {words})"

    def _repr_html_(self) -> str:
        """For notebooks: the reference with its mask, where it is in memory, and what is known."""
        shown = next(iter(self.references), None)
        picture = None if shown is None else partial(draw.overlay, shown.rgb, shown.mask, colour=draw.INSIDE)
        return notebook.figure(self.name, picture, [self._known])

    @property
    def _known(self) -> dict[str, Any]:
        views = len(self.references) if self.identity is None else _images(self.identity)
        known = {"concept": self.name, "recipe": self.recipe.name, "model": self.backbone, "views": views or None}
        return known | {"counter-examples": self.counter_examples, "tuned": self.scale_weights is not None}

    def save(self, path: str | Path) -> Path:
        """Writes a safetensors file of 200 kilobytes at most for each reference: numbers and metadata, no image.

        Raises:
            OutputError: the file cannot be written.
        """
        return write_bytes(self.as_bytes(), path)

    def as_bytes(self) -> bytes:
        """What its file holds."""
        from safetensors.torch import save

        words = {"format": FORMAT, "recipe": to_plain(self.recipe)} | {word: getattr(self, word) for word in WORDS}
        halved = (*PROTOTYPES, *(f"{one}.{part}" for one in DESCRIPTORS for part in ("features", "colours")))
        tensors = {
            name: (value.half() if name in halved else value).cpu().contiguous()
            for name, value in _tensors_of(self).items()
        }
        return save(tensors, {"persam": json.dumps(words)})

    @classmethod
    def load(cls, path: str | Path) -> "Concept":
        """A concept that `save` wrote, equal to what was saved but for the references.

        Raises:
            ConceptError: there is no such file, or it is not a concept.
        """
        from safetensors import SafetensorError, safe_open

        given, path = path, Path(path).expanduser()
        if not path.is_file():
            raise ConceptError(f"there is no concept file {given}. Make one with `persam learn`.")
        try:
            with safe_open(path, framework="pt") as file:
                words = json.loads((file.metadata() or {}).get("persam", "null"))
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        except (SafetensorError, OSError, ValueError) as error:
            raise ConceptError(f"{path} is not a concept file: {error}. Make one with `persam learn`.") from error
        if not _is_concept(words, tensors):
            found = words.get("format") if isinstance(words, dict) else None
            other = f" but of {found}" if found and found != FORMAT else ""
            raise ConceptError(f"{path} holds no concept of the format {FORMAT}{other}. Learn it with `persam learn`.")
        if not all(torch.isfinite(value).all() for value in tensors.values()):
            raise ConceptError(f"the concept in {path} holds values that are not finite: learn it again.")
        try:
            recipe = from_plain(words["recipe"])
        except PerSAMError as error:
            raise ConceptError(f"the concept in {path} cannot be used: {error} Learn it again.") from error
        wide = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
        prototypes = Prototypes(**{name: wide[name] for name in PROTOTYPES}) if PROTOTYPES[0] in wide else None
        return cls(
            **{word: words[word] for word in WORDS},
            recipe=recipe,
            feature=wide["feature"],
            semantic=wide["semantic"],
            prototypes=prototypes,
            identity=_descriptor("identity", wide),
            not_this=_descriptor("not_this", wide),
            scale_weights=wide.get("scale_weights"),
        )

    def __str__(self) -> str:
        tuned = "" if self.scale_weights is None else ", tuned"
        others = self.counter_examples
        against = f", {others} counter-example{'s' if others > 1 else ''}" if others else ""
        return f"{self.name} ({self.recipe.name} on {self.backbone}{tuned}{against})"


def checked_name(name: object) -> str:
    """The name, which must be text: a file would hold another, and could not be loaded.

    Raises:
        ConceptError: it is something else.
    """
    if not isinstance(name, str):
        raise ConceptError(f"a concept's name is text, and {name!r} was given. Write name={str(name)!r}.")
    return name


def check_apart(references: Sequence[Reference], not_this: Sequence[Reference]) -> None:
    """Nothing, where no counter-example is what a reference shows.

    Raises:
        MaskError: most of the smaller of two masks in one photo is in the other too.
    """
    for number, other in enumerate(not_this, start=1):
        for one in references:
            shared = (one.mask & other.mask).sum() if one.embedding.keys == other.embedding.keys else 0
            if 2 * shared > min(one.mask.sum(), other.mask.sum()):
                raise MaskError(
                    f"counter-example {number} marks the object itself: a reference has the same photo, and a mask in "
                    "the same place. Mark something else as what it is not."
                )


def is_concept_file(path: Path) -> bool:
    """Whether `Concept.save` of this or another version wrote the file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return "persam" in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def owned(concepts: Concept | Sequence[Concept], backbone: Backbone, max_instances: int = 1) -> list[Concept]:
    """The concepts, on the backbone's device, if so many instances of each can be looked for with it.

    Raises:
        ConceptError: there is none, two have one name, or one belongs to another backbone's features.
        PerSAMError: max_instances is below 1, or an official recipe is asked for several.
    """
    known = [concepts] if isinstance(concepts, Concept) else list(concepts)
    names = [one.name for one in known]
    if not known or len(set(names)) < len(names):
        raise ConceptError(f"give at least one concept, and each a name of its own; got {names}.")
    for one in known:
        if one.fingerprint != backbone.fingerprint:
            raise ConceptError(
                f"the concept {one.name!r} was learned with {one.backbone} (weights {one.fingerprint}) and means "
                f"nothing to {backbone.name} (weights {backbone.fingerprint}). Load that model, or learn the concept "
                "again with this one."
            )
    if max_instances < 1:
        raise PerSAMError(f"max_instances must be 1 or more, and {max_instances} was given.")
    if max_instances > 1 and any(isinstance(one.recipe, OfficialRecipe) for one in known):
        raise PerSAMError("an official recipe finds one instance an image. Use the recipe 'persam' for several.")
    return [one.to(backbone.device) for one in known]


def _images(descriptor: IdentityDescriptor) -> int:
    """How many images it is of; each was described in all views."""
    return -(-len(descriptor.image.unique()) // len(REFERENCE_VIEWS))


def _tensors_of(concept: Concept) -> dict[str, Tensor]:
    tensors = {"feature": concept.feature, "semantic": concept.semantic}
    if concept.prototypes is not None:
        tensors |= vars(concept.prototypes)
    for one in DESCRIPTORS:
        descriptor = getattr(concept, one)
        tensors |= {} if descriptor is None else {f"{one}.{name}": getattr(descriptor, name) for name in IDENTITY}
    return tensors if concept.scale_weights is None else tensors | {"scale_weights": concept.scale_weights}


def _descriptor(which: str, tensors: dict[str, Tensor]) -> IdentityDescriptor | None:
    if f"{which}.features" not in tensors:
        return None
    features, colours, image, afar = (tensors[f"{which}.{name}"] for name in IDENTITY)
    return IdentityDescriptor(features, colours, image, afar.bool())


def _is_concept(words: object, tensors: dict[str, Tensor]) -> bool:
    """Whether a file's metadata and tensors have the names and shapes that `save` gives them."""
    if not isinstance(words, dict) or words.get("format") != FORMAT or "recipe" not in words:
        return False
    if not all(isinstance(words.get(word), str) for word in WORDS):
        return False
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    width = shapes.get("feature", ())
    expected: dict[str, tuple[int, ...]] = {"feature": width, "semantic": width}
    if "foreground" in shapes:
        features = shapes["foreground"][1:]
        for part in ("foreground", "background"):
            count = (*shapes.get(part, ()), 0)[0]
            expected |= {part: (count, *features), f"{part}_colour": (count, 3), f"{part}_share": (count,)}
    if "not_this.features" in shapes and "identity.features" not in shapes:
        return False
    for one in DESCRIPTORS:
        if f"{one}.features" in shapes:
            count = (*shapes[f"{one}.features"], 0)[0]
            expected |= {f"{one}.features": (count, *shapes["identity.features"][1:2]), f"{one}.colours": (count, 3)}
            expected |= {f"{one}.image": (count,), f"{one}.afar": (count,)}
    if "scale_weights" in shapes:
        expected["scale_weights"] = (3,)
    real = all(value.is_floating_point() != name.endswith((".image", ".afar")) for name, value in tensors.items())
    return len(width) == 1 and shapes == expected and real
