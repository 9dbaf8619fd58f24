"""What was found in one image as the `Detections` of Roboflow's supervision."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from persam.errors import PerSAMError
from persam.io.segmentation import Segmentation


def to_supervision(found: Sequence[Segmentation], concepts: Sequence[str], size_hw: tuple[int, int]) -> Any:
    """See `ImageResult.to_supervision`. found: what is present. concepts: all that was asked for, in order.

    Raises:
        PerSAMError: supervision is not installed.
    """
    try:
        import supervision
    except ImportError as error:
        raise PerSAMError("supervision is not installed: pip install supervision.") from error
    count = len(found)
    presences = [np.nan if one.presence is None else one.presence for one in found]
    tracked = bool(found) and all(one.track_id is not None for one in found)
    return supervision.Detections(
        xyxy=np.array([one.box_xyxy for one in found], np.float32).reshape(count, 4),
        mask=np.stack([one.mask for one in found]) if found else np.zeros((0, *size_hw), bool),
        confidence=np.array([one.score for one in found], np.float32),
        class_id=np.array([concepts.index(one.concept) for one in found], int),
        tracker_id=np.array([one.track_id for one in found], int) if tracked else None,
        data={
            "class_name": np.array([one.concept for one in found], str),
            "instance": np.array([one.instance for one in found], int),
            "presence": np.array(presences, np.float32),
        },
    )
