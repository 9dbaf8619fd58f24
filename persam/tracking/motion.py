"""Where a mask has moved to since the frame before: dense optical flow at half size.

DIS (Kroeger et al., ECCV 2016), as OpenCV has it: a few milliseconds a frame.
"""

from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

Array = np.ndarray[Any, Any]
LEAST_PX = 16  # of a side of the grey image; OpenCV's DIS takes no smaller ones
OUTSIDE = -4.0  # logit of what comes in over the frame's edge


def half_grey(rgb: UInt8[Array, "h w 3"]) -> UInt8[Array, "hs ws"]:
    """The frame as flow sees it: grey, at half size."""
    import cv2

    height, width = (max(LEAST_PX, side // 2) for side in rgb.shape[:2])
    return cv2.cvtColor(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)


def flow_back(now: UInt8[Array, "hs ws"], before: UInt8[Array, "hs ws"]) -> Float32[Array, "hs ws 2"]:
    """For each pixel of `now`, how far away it was in `before`, as x, y in pixels of both."""
    import cv2

    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    flow = dis.calc(now, before, None)  # type: ignore[call-overload]  # without a flow to start from
    return np.asarray(flow, np.float32)


def carry(logits: Float32[Array, "h w"], flow: Float32[Array, "hs ws 2"]) -> Float32[Array, "h w"]:
    """The logits of the frame before, moved to where the flow says that they are now."""
    import cv2

    height, width = logits.shape
    scale = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
    full = cv2.resize(flow, (width, height)) * scale
    x, y = (
        full[..., 0] + np.arange(width, dtype=np.float32),
        full[..., 1] + np.arange(height, dtype=np.float32)[:, None],
    )
    moved = cv2.remap(logits, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=OUTSIDE)
    return np.asarray(moved, np.float32)
