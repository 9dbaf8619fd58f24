"""A backbone around another one, for what changes how images are encoded and not what comes of it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from persam.sam.backbone import Backbone
from persam.sam.decoder import NO_GUIDANCE, Guidance
from persam.types import Candidates, ImageEmbedding, Prompt

Array = np.ndarray[Any, Any]


class WrappedBackbone:
    """Does what the inner backbone does; a child encodes in its own way, and wraps its other input sizes alike."""

    def __init__(self, inner: Backbone):
        self.inner = inner
        self.name, self.fingerprint, self.input_size = inner.name, inner.fingerprint, inner.input_size

    @property
    def device(self) -> torch.device:
        return self.inner.device

    def encode(
        self, images: Sequence[UInt8[Array, "_ _ 3"]], *, fills: Sequence[float] | None = None
    ) -> ImageEmbedding:
        return self.inner.encode(images, fills=fills)

    def decode(self, embedding: ImageEmbedding, prompt: Prompt, guidance: Guidance = NO_GUIDANCE) -> Candidates:
        return self.inner.decode(embedding, prompt, guidance)

    def at_input(self, size: int) -> Backbone:
        other = self.inner.at_input(size)
        return self if other is self.inner else self.around(other)

    def around(self, other: Backbone) -> Backbone:
        """The same around another backbone."""
        return type(self)(other)


def innermost(backbone: Backbone) -> Backbone:
    """The backbone without what is wrapped around it."""
    while isinstance(backbone, WrappedBackbone):
        backbone = backbone.inner
    return backbone
