"""What the values of a photo's file mean: its depth, its fourth channel, the colours of its profile."""

import io
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Integer, Shaped
from PIL import Image

Array = np.ndarray[Any, Any]
DEPTHS = (8, 10, 12, 14, 16)  # bits of cameras and scanners, whatever the width of the file's integers
ALPHA_LEVELS = 32  # more than these, and few of them clear or opaque, are a band such as near infrared


def is_alpha(plane: Shaped[Array, "h w"]) -> bool:
    """Whether a fourth channel is transparency: a few levels, or mostly clear or opaque."""
    high = 1 if plane.dtype.kind == "f" else np.iinfo(plane.dtype).max if plane.dtype.kind in "ui" else True
    extreme = float(((plane == 0) | (plane == high)).mean())
    return extreme >= 0.5 or len(np.unique(plane)) <= ALPHA_LEVELS


def depth_of(values: Integer[Array, "..."]) -> int:
    """How many bits the values use, of the depths that cameras have: 12 and 14 bit come in integers of 16."""
    high = int(values.max())
    return next(bits for bits in DEPTHS if high < 1 << bits)


def in_srgb(image: Image.Image) -> Image.Image:
    """The colours that a picture's own profile means, as sRGB; wide-gamut phones store others."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA", "L", "CMYK"):
        return image
    transform = _to_srgb(profile, "RGB" if image.mode == "RGBA" else image.mode)
    if transform is None:
        return image
    from PIL import ImageCms

    try:
        colours = ImageCms.applyTransform(image.convert("RGB") if image.mode == "RGBA" else image, transform)
    except (ImageCms.PyCMSError, ValueError, OSError):
        return image
    if colours is not None and image.mode == "RGBA":
        colours.putalpha(image.getchannel("A"))
    return image if colours is None else colours


@lru_cache(maxsize=8)
def _to_srgb(profile: bytes, mode: str) -> Any:
    """The transform, or None where the profile is sRGB already or cannot be used."""
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except Exception:  # a damaged profile does not spoil the pixels: they are shown as sRGB, as viewers do
        return None
