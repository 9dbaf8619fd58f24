"""A backbone that has encoded a photo before does not encode it again: a second concept costs no encoding of it.

Whole photos are kept, and crops are not: a crop is another one for every concept, and would take room from photos.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from persam.engines.embedding_store import EmbeddingStore
from persam.sam.backbone import Backbone
from persam.sam.wrapped import WrappedBackbone
from persam.types import ImageEmbedding

Array = np.ndarray[Any, Any]
SOURCES = ("geometry.py", "types.py", "sam/*.py")  # what decides an embedding beside weights and libraries


class CachedBackbone(WrappedBackbone):
    """The inner backbone, whose embeddings of whole photos are kept in a store.

    What it answers is equal to what the inner one would, on the same kind of device with the same number of threads and
    images at once: other kernels sum in another order.

    loaded, encoded: how many photos came from the store, and how many were encoded and went there.
    """

    def __init__(self, inner: Backbone, store: EmbeddingStore):
        super().__init__(inner)
        self.store = store
        self.loaded = self.encoded = 0

    def around(self, other: Backbone) -> Backbone:
        return CachedBackbone(other, self.store)

    @torch.inference_mode()
    def encode(
        self, images: Sequence[UInt8[Array, "_ _ 3"]], *, fills: Sequence[float] | None = None
    ) -> ImageEmbedding:
        if fills is not None or not images:
            return self.inner.encode(images, fills=fills)
        keys = [self._key(rgb) for rgb in images]
        found = [self.store.load(key) for key in keys]
        missing = [place for place, one in enumerate(found) if one is None]
        self.loaded += len(images) - len(missing)
        self.encoded += len(missing)
        if missing:
            for place, one in zip(missing, self.inner.encode([images[place] for place in missing]), strict=True):
                self.store.save(keys[place], one)
                found[place] = one
        return ImageEmbedding.joined([one.to(self.device) for one in found if one is not None])

    def _key(self, rgb: UInt8[Array, "h w 3"]) -> str:
        """Of the pixels, and of all that decides what they are encoded to."""
        decides = (_version(), self.fingerprint, self.input_size, self.device.type, rgb.shape)
        digest = hashlib.sha256(repr(decides).encode())
        digest.update(np.ascontiguousarray(rgb).data)
        return digest.hexdigest()


@cache
def _version() -> str:
    """Of the code that encodes, and of the libraries that do its work."""
    import cv2
    import PIL

    package = Path(__file__).parents[1]
    digest = hashlib.sha256(repr((torch.__version__, PIL.__version__, cv2.__version__)).encode())
    for path in sorted(file for pattern in SOURCES for file in package.glob(pattern)):
        digest.update(path.read_bytes())
    return digest.hexdigest()
