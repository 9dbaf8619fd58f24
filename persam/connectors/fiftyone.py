"""Concepts as a model of FiftyOne: `dataset.apply_model(model, label_field="rex")`."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from persam.connectors.search import Search, search_for
from persam.errors import PerSAMError
from persam.io.results import ImageResult
from persam.io.segmentation import Segmentation
from persam.method.concept import Concept
from persam.model import PerSAM


def model(
    concepts: Concept | str | Path | Sequence[Concept | str | Path],
    *,
    model: PerSAM | str | Path | None = None,
    device: str = "auto",
    max_instances: int = 1,
) -> Any:
    """A `fiftyone.core.models.Model` for images, whose predictions are `Detections` with instance masks.

    Args:
        concepts: one or several, or the files that `persam learn` wrote; their names are the labels.
        model: None takes the one that the first concept was learned with.
        device: where a model that is loaded runs.
        max_instances: at most so many of each in an image.

    Raises:
        PerSAMError: FiftyOne is not installed, or a concept or the model cannot be loaded.
    """
    base = _import_fiftyone().core.models.Model  # before a model is loaded
    search = search_for(concepts, model, device=device, max_instances=max_instances)
    return type("PerSAMModel", (_Predicting, base), {"search": search})()


class _Predicting:
    """The half of FiftyOne's protocol that is ours; the other is its own base class."""

    search: Search
    media_type = "image"
    ragged_batches = True  # images of any size
    transforms = None
    preprocess = False

    def predict(self, arg: Any) -> Any:
        """The detections in an image, height x width x 3."""
        return detections_of(type(self).search(arg))

    def predict_all(self, args: Iterable[Any]) -> list[Any]:
        return [self.predict(arg) for arg in args]


def detections_of(result: ImageResult) -> Any:
    """What is present as FiftyOne's `Detections`; boxes in shares of width and height, masks within them.

    The confidence is the score; `presence` and `instance` are attributes of each detection.
    """
    fiftyone = _import_fiftyone()
    return fiftyone.Detections(detections=[_detection(fiftyone, one) for one in result])


def _detection(fiftyone: Any, one: Segmentation) -> Any:
    assert one.box_xyxy is not None  # what is present has pixels
    x0, y0, x1, y1 = one.box_xyxy
    height, width = one.mask.shape
    more = {} if one.track_id is None else {"index": one.track_id}
    return fiftyone.Detection(
        label=one.concept,
        bounding_box=[x0 / width, y0 / height, (x1 + 1 - x0) / width, (y1 + 1 - y0) / height],
        mask=one.mask[y0 : y1 + 1, x0 : x1 + 1],
        confidence=one.score,
        presence=one.presence,
        instance=one.instance,
        **more,
    )


def _import_fiftyone() -> Any:
    try:
        import fiftyone
        import fiftyone.core.models
    except ImportError as error:
        raise PerSAMError("FiftyOne is not installed: pip install fiftyone.") from error
    return fiftyone
