"""Concepts as an auto-annotation function of CVAT: masks of what they find, drawn into a task.

In the shell, with `pip install cvat-cli`:

    cvat-cli task auto-annotate 137 --function-module persam.connectors.cvat -p concept=str:rex.safetensors
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from persam.connectors.search import Search, search_for
from persam.errors import PerSAMError
from persam.io.outlines import edge_polygons
from persam.io.segmentation import Segmentation
from persam.method.concept import Concept
from persam.model import PerSAM


class CvatFunction:
    """A detection function by the protocol of `cvat_sdk.auto_annotation`: labels are the concepts' names."""

    def __init__(self, search: Search):
        self._search, self._cvat = search, _import_cvat()
        labels = [self._cvat.label_spec(name, number, type="any") for number, name in enumerate(search.names)]
        self.spec = self._cvat.DetectionFunctionSpec(labels=labels)

    def detect(self, context: Any, image: Any) -> list[Any]:
        """A mask for each instance, or its polygons in one group where the context asks for polygons.

        A threshold of the context is compared with the presence, or with the score where presence was not judged.
        """
        found = self._search(image)
        shapes: list[Any] = []
        for group, one in enumerate(found, start=1):
            sure = one.score if one.presence is None else one.presence
            if sure >= (context.conf_threshold or 0):
                shapes += self._shapes(one, group, polygons=context.conv_mask_to_poly)
        return shapes

    def _shapes(self, one: Segmentation, group: int, *, polygons: bool) -> Iterator[Any]:
        label = self._search.names.index(one.concept)
        if not polygons:
            from cvat_sdk.masks import encode_mask

            yield self._cvat.mask(label, encode_mask(one.mask))
            return
        for polygon in edge_polygons(one.mask):
            yield self._cvat.polygon(label, polygon.ravel().astype(np.float64).tolist(), group=group)


def function(
    concepts: Concept | str | Path | Sequence[Concept | str | Path],
    *,
    model: PerSAM | str | Path | None = None,
    device: str = "auto",
    max_instances: int = 1,
) -> CvatFunction:
    """What `cvat_sdk.auto_annotation.annotate_task(client, task_id, function)` takes.

    Args:
        concepts: one or several, or the files that `persam learn` wrote.
        model: None takes the one that the first concept was learned with.
        device: where a model that is loaded runs.
        max_instances: at most so many of each in an image.

    Raises:
        PerSAMError: cvat-sdk is not installed, or a concept or the model cannot be loaded.
    """
    _import_cvat()  # before a model is loaded
    return CvatFunction(search_for(concepts, model, device=device, max_instances=max_instances))


def create(concept: str, model: str = "", device: str = "auto", max_instances: int = 1) -> CvatFunction:
    """What cvat-cli calls with its `-p` parameters. concept: a file, or several with the system's path separator."""
    return function(concept.split(os.pathsep), model=model or None, device=device, max_instances=max_instances)


def _import_cvat() -> Any:
    try:
        import cvat_sdk.auto_annotation
    except ImportError as error:
        raise PerSAMError("CVAT's functions need cvat-sdk, which is not installed: pip install cvat-sdk.") from error
    return cvat_sdk.auto_annotation
