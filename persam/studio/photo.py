"""A photo as the page holds it: its own pixels, a smaller copy that browsers get, and the way back from there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped, UInt8
from PIL import Image

from persam.errors import MaskError
from persam.geometry import within
from persam.io.images import read_image
from persam.studio.limits import Limits

Array = np.ndarray[Any, Any]
VIEW_SIDE = 1280  # longer side, in pixels, of what a browser is sent
PAINTED = 127  # opacity, 0 to 255, above which a pixel counts as painted
ROUNDING = 0.02  # by how much the shape of a painting may differ from the photo's


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo, upright. path: its file, for as long as that is there; name: of the file, without suffix."""

    name: str
    rgb: UInt8[Array, "h w 3"]
    path: Path | None = None

    @property
    def hw(self) -> tuple[int, int]:
        return self.rgb.shape[0], self.rgb.shape[1]

    @property
    def view_hw(self) -> tuple[int, int]:
        return within(self.hw, VIEW_SIDE)

    def place(self, view_xy: tuple[float, float]) -> tuple[float, float]:
        """Where a pixel of the view lies in the photo, x and y in pixels."""
        (height, width), (view_height, view_width) = self.hw, self.view_hw
        x, y = (view_xy[0] + 0.5) * width / view_width - 0.5, (view_xy[1] + 0.5) * height / view_height - 0.5
        return min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)


def read_photo(path: Path, limits: Limits) -> Photo:
    """The photo of a file.

    Raises:
        LimitError: it is larger than is taken.
        ImageError: it cannot be read.
    """
    limits.check_photo(path)
    rgb = read_image(path)
    limits.check_pixels(path.name, (rgb.shape[0], rgb.shape[1]))  # of what does not say so in its header
    return Photo(path.stem, rgb, path)


def view(picture: UInt8[Array, "h w 3"], side: int = VIEW_SIDE) -> UInt8[Array, "vh vw 3"]:
    """The picture with a longer side of `side` pixels at most."""
    height, width = within((picture.shape[0], picture.shape[1]), side)
    if (height, width) == picture.shape[:2]:
        return picture
    return np.array(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0))


def painted_mask(layer: Shaped[Array, "lh lw *c"], photo_hw: tuple[int, int]) -> Bool[Array, "h w"]:
    """What was painted over a view of a photo, in the photo's own pixels.

    Args:
        layer: RGBA, clear where nothing was painted, of the photo's shape in any size; or its opacity alone.
        photo_hw: size of the photo.

    Raises:
        MaskError: nothing was painted, everything was, or the layer has another shape.
    """
    alpha = layer[..., 3] if layer.ndim == 3 else layer
    height, width = photo_hw
    shape, wanted = alpha.shape[1] / alpha.shape[0], width / height
    near = 1 / min(alpha.shape)  # a pixel more or less
    if abs(shape / wanted - 1) > max(ROUNDING, near):
        raise MaskError(
            f"the painting has {alpha.shape[1]}x{alpha.shape[0]} pixels, which is not the shape of the photo of "
            f"{width}x{height}. Show the photo again and paint over all of it."
        )
    opacity = Image.fromarray(np.ascontiguousarray(alpha.astype(np.uint8)))
    mask = np.array(opacity.resize((width, height), Image.Resampling.BILINEAR)) > PAINTED
    if not mask.any():
        raise MaskError("nothing is painted yet: paint over the object.")
    if mask.all():
        raise MaskError("everything is painted: paint over the object alone.")
    return mask
