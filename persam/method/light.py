"""The light of a photo, taken out of a crop: neither its colour nor how long it was exposed is the object's."""

import math
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, UInt8

Array = np.ndarray[Any, Any]
NORM = 6  # Finlayson and Trezzi's choice, between the mean (grey world) and the maximum (white patch)
SAMPLES = 65_536  # pixels of a photo that are asked for its light, at most about
SURROUNDINGS = 0.5  # share of a photo that tells of the light, from which on it is fully trusted
MOST_SATURATION = 0.7  # of pixels that tell of the light: the others are of their own colour
MOST_COLOUR = 1.6  # a channel is changed by at most so much against the others
ROWS = 32  # that are lit at a time: as floats, all of a large photo takes a dozen bytes a pixel, several times
BRIGHTEST, MOST_GAIN = 235, 8.0  # level that the brightest pixels of a crop are brought to, by at most so much


def evenly_lit(
    rgb: UInt8[Array, "h w 3"], mask: Bool[Array, "h w"], where: tuple[slice, slice]
) -> UInt8[Array, "_ _ 3"]:
    """A part of a photo as in white light, and so bright that its brightest pixels are at `BRIGHTEST`.

    The colour of the light is judged by all that is beside the object and not of a strong colour of its own; brightness
    by the part, where the 98th percentile of the largest channel counts. Nothing is darkened but by the light's colour.

    Args:
        rgb: the photo.
        mask: of the object.
        where: rows and columns of the part, which is not empty.
    """
    part, gains = rgb[where], colour_gains(rgb, mask).astype(np.float32)
    largest, lit = np.empty(part.shape[:2], np.float32), np.empty_like(part)
    strips = [slice(top, top + ROWS) for top in range(0, len(part), ROWS)]
    for rows in strips:
        largest[rows] = (part[rows] * gains).max(axis=2)
    brightest = float(np.percentile(largest, 98))
    gain = np.float32(min(MOST_GAIN, max(1.0, BRIGHTEST / max(brightest, 1.0))))
    for rows in strips:
        lit[rows] = np.clip(part[rows] * gains * gain, 0, 255).round()
    return lit


def colour_gains(rgb: UInt8[Array, "h w 3"], mask: Bool[Array, "h w"]) -> Float64[Array, "3"]:
    """What takes the colour of its light out of a photo: shades of grey (Finlayson and Trezzi, CIC 2004).

    A factor for each channel: 1 where the light is white, and the nearer to 1 the less there is to judge it by.
    """
    step = math.ceil(math.sqrt(max(1.0, rgb.shape[0] * rgb.shape[1] / SAMPLES)))
    sample = rgb[::step, ::step]
    strongest, weakest = sample.max(axis=2), sample.min(axis=2)
    telling = ~mask[::step, ::step] & (strongest - weakest <= MOST_SATURATION * strongest)
    if not telling.any():
        return np.ones(3)
    norms = (sample[telling].astype(np.float64) ** NORM).mean(axis=0) ** (1 / NORM)
    gains = np.clip(norms.mean() / np.maximum(norms, 1.0), 1 / MOST_COLOUR, MOST_COLOUR)
    trust = min(1.0, float(telling.mean()) / SURROUNDINGS)
    return np.asarray(gains**trust)
