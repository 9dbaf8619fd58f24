"""The location map beside the mask: where the model saw likeness, and what it made of it."""

from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from persam.errors import PerSAMError
from persam.geometry import Frame
from persam.studio.album import Searched
from persam.studio.photo import view

Array = np.ndarray[Any, Any]
COVER = 0.6  # how much of the colours lies over the photo


def location_map(
    rgb: UInt8[Array, "h w 3"], similarity: Float[Array, "hv wv"], *, input_size: int
) -> UInt8[Array, "h w 3"]:
    """The photo under its location map: dark blue where the least, yellow where the most like the object.

    Args:
        rgb: the photo.
        similarity: -1 to 1 for each patch that holds image, as a `Segmentation` has it.
        input_size: of the network, in pixels.

    Raises:
        PerSAMError: there is no map, as of a mask that was given.
    """
    import cv2

    if not similarity.size:
        raise PerSAMError("there is no location map of this photo: its mask was not searched for.")
    hw = (rgb.shape[0], rgb.shape[1])
    frame = Frame(hw, input_size)
    stride = input_size / max(similarity.shape)
    low, high = float(similarity.min()), float(similarity.max())
    levels = (similarity - low) / max(high - low, 1e-6)
    # The last row and column of patches reach beyond the image.
    box = (0.0, 0.0, frame.input_hw[1] / stride, frame.input_hw[0] / stride)
    spread = Image.fromarray(levels.astype(np.float32)).resize((hw[1], hw[0]), Image.Resampling.BILINEAR, box=box)
    bytes_ = (np.clip(np.array(spread), 0, 1) * 255).astype(np.uint8)
    colours = np.asarray(cv2.cvtColor(cv2.applyColorMap(bytes_, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB))
    return np.asarray(cv2.addWeighted(colours, COVER, rgb, 1 - COVER, 0), dtype=np.uint8)


def pictures(photo: Searched, place: int, *, input_size: int) -> tuple[UInt8[Array, "_ _ 3"], UInt8[Array, "_ _ 3"]]:
    """The location map of one find and its mask, both over the photo, as large as browsers are sent."""
    from persam.io import draw

    one, rgb = photo.found[place], photo.read()
    found = draw.overlay(rgb, one.mask, points_xy=one.points_xy, labels=one.labels, label=str(one))
    return view(location_map(rgb, one.similarity, input_size=input_size)), view(found)
