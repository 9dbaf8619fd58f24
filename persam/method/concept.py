"""What to look for: a Concept is learned from reference photos without training, and some kilobytes on disk."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from persam.errors import ConceptError
from persam.geometry import cell_cover, foreground_cells, official_cells
from persam.io.formats import write_bytes
from persam.method.prototypes import Cells, Prototypes, summarise
from persam.method.recipes import Recipe, find
from persam.method.verify import Portrait
from persam.types import ImageEmbedding

Array = np.ndarray[Any, Any]
FORMAT = "persam-concept-2"
PARTS = tuple(field.name for field in fields(Prototypes))


@dataclass(frozen=True)
class Reference:
    """One reference photo's features, the object's mask in it, in the photo's own size, and the object close up."""

    embedding: ImageEmbedding
    mask: Bool[Array, "h w"]
    portrait: Portrait


@dataclass(frozen=True)
class Concept:
    """A learned object.

    feature: unit length; its cosine to a photo's cells is the confidence map.
    semantic: mean of the object's cells, not normalised: the target-semantic prompt.
    prototypes: of the object's parts and of what was around it.
    portrait: the object's cells close up, by which a find is recognised.
    scale_weights: PerSAM-F's weights of the three masks, sum 1; None before `tune`.
    references: the photos it was learned from, for `tune`; kept in memory only.
    """

    name: str
    recipe: Recipe
    backbone: str
    fingerprint: str
    feature: Float[Tensor, "c"]
    semantic: Float[Tensor, "c"]
    prototypes: Prototypes
    portrait: Portrait
    scale_weights: Float[Tensor, "3"] | None = None
    references: tuple[Reference, ...] = field(default=(), repr=False, compare=False)

    def to(self, device: torch.device | str) -> "Concept":
        weights = None if self.scale_weights is None else self.scale_weights.to(device)
        return replace(
            self,
            feature=self.feature.to(device),
            semantic=self.semantic.to(device),
            prototypes=self.prototypes.to(device),
            portrait=self.portrait.to(device),
            scale_weights=weights,
        )

    def save(self, path: str | Path) -> Path:
        """Writes a safetensors file of some dozen kilobytes: numbers and metadata, no photo.

        Raises:
            OutputError: the file cannot be written.
        """
        from safetensors.torch import save

        tensors = {"feature": self.feature, "semantic": self.semantic}
        tensors |= {name: value.half() for name, value in vars(self.prototypes).items()}
        portrait = self.portrait
        tensors |= {"portrait": portrait.features.half(), "portrait_colour": portrait.colours.half()}
        tensors["portrait_photo"] = portrait.photo
        if self.scale_weights is not None:
            tensors["scale_weights"] = self.scale_weights
        words = {"format": FORMAT, "name": self.name, "recipe": self.recipe.name}
        words |= {"backbone": self.backbone, "fingerprint": self.fingerprint}
        on_cpu = {key: value.cpu().contiguous() for key, value in tensors.items()}
        return write_bytes(save(on_cpu, {"persam": json.dumps(words)}), path)

    @classmethod
    def load(cls, path: str | Path) -> "Concept":
        """A concept that `save` wrote.

        Raises:
            ConceptError: there is no such file, or it is not a concept.
        """
        from safetensors import SafetensorError, safe_open

        path = Path(path).expanduser()
        if not path.is_file():
            raise ConceptError(f"there is no concept file {path}. Make one with `persam learn`.")
        try:
            with safe_open(path, framework="pt") as file:
                words = json.loads((file.metadata() or {}).get("persam", "null"))
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        except (SafetensorError, OSError, ValueError) as error:
            raise ConceptError(f"{path} is not a concept file: {error}. Make one with `persam learn`.") from error
        if not _is_concept(words, tensors):
            raise ConceptError(f"{path} holds no concept of the format {FORMAT}. Make one with `persam learn`.")
        if not all(torch.isfinite(value).all() for value in tensors.values()):
            raise ConceptError(f"the concept in {path} holds values that are not finite: learn it again.")
        prototypes = Prototypes(**{name: tensors.pop(name).float() for name in PARTS})
        features, colours, photo = (tensors.pop(f"portrait{part}") for part in ("", "_colour", "_photo"))
        portrait = Portrait(features.float(), colours.float(), photo)
        named = (words["name"], find(words["recipe"]), words["backbone"], words["fingerprint"])
        return cls(*named, prototypes=prototypes, portrait=portrait, **tensors)

    def __str__(self) -> str:
        tuned = "" if self.scale_weights is None else ", tuned"
        return f"{self.name} ({self.recipe.name} on {self.backbone}{tuned})"


def _is_concept(words: object, tensors: dict[str, Tensor]) -> bool:
    """Whether a file's metadata and tensors have the names and shapes that `save` gives them."""
    keys = ("format", "name", "recipe", "backbone", "fingerprint")
    if not isinstance(words, dict) or not all(isinstance(words.get(key), str) for key in keys):
        return False
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    width, levels, identity = (shapes.get("feature", ()), *(shapes.get(n, ())[1:] for n in ("foreground", "portrait")))
    if words["format"] != FORMAT or {len(width), len(levels), len(identity)} != {1}:
        return False
    expected: dict[str, tuple[int, ...]] = {"feature": width, "semantic": width}
    for part in ("foreground", "background"):
        count = (*shapes.get(part, ()), 0)[0]
        expected |= {part: (count, *levels), f"{part}_colour": (count, 3), f"{part}_share": (count,)}
    cells = (*shapes.get("portrait", ()), 0)[0]
    expected |= {"portrait": (cells, *identity), "portrait_colour": (cells, 3), "portrait_photo": (cells,)}
    return shapes in (expected, expected | {"scale_weights": (3,)})


def target_cells(reference: Reference, recipe: Recipe) -> Bool[Tensor, "g g"]:
    """The cells of the reference's padded grid that show the object.

    Raises:
        ConceptError: the published rule finds no cell, which gave NaN in the published code (ledger 4).
    """
    embedding = reference.embedding
    if recipe.grey_level is None:
        return foreground_cells(reference.mask, embedding.frame)
    cells = official_cells(reference.mask, embedding.frame, recipe.grey_level)
    if not cells.any():
        raise ConceptError(
            f"the object of {int(reference.mask.sum())} pixels covers no grid cell by the published rule of "
            f"{recipe.name}. Use the recipe 'persam', which takes the cells it covers most."
        )
    return cells


def learn(references: Sequence[Reference], recipe: Recipe, *, name: str, backbone: str, fingerprint: str) -> Concept:
    """The concept of one object from one or more references: their cells are pooled as if they were one photo's."""
    features, foreground, background = [], [], []
    for reference in references:
        embedding, cells = reference.embedding, target_cells(reference, recipe)
        features.append(embedding.features[:, cells.to(embedding.features.device)].T)
        shown = embedding.frame.valid(cells)
        foreground.append(Cells.of(embedding, shown))
        bare = (embedding.frame.valid(cell_cover(reference.mask, embedding.frame)) < 0.01) & ~shown
        background.append(Cells.of(embedding, bare))
    pooled = torch.cat(features)
    semantic = pooled.mean(0)
    target = semantic if recipe.target_feature == "mean" else pooled.amax(0) / 2 + semantic / 2
    feature = target / target.norm().clamp(min=1e-12)  # features that cancel are like nothing, instead of NaN
    portrait = Portrait.joined([reference.portrait for reference in references])
    prototypes = summarise(Cells.joined(foreground), Cells.joined(background))
    return Concept(
        name, recipe, backbone, fingerprint, feature, semantic, prototypes, portrait, references=tuple(references)
    )
