"""The location numbers of a calibration, fitted on photos whose masks are known.

The location map has two readings. Its peak is where the decoder is pointed to: temperature and stranger are those by
which it lies on the object most often. And `Location.posterior` says of every patch how likely it shows the object,
sigmoid(slope * log ratio): the slope is the one by which that is least surprised.

All three by the surprise were tried, on nano with DAVIS-2016's ten sequences and PerSeg's two objects: the point then
leaves the object in 2 photos of 34, and the mean IoU falls from 81.6 to 79.5.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from persam.errors import CalibrationError
from persam.geometry import patch_cover
from persam.method.calibration import Calibration
from persam.method.concept import Concept
from persam.method.location import locate_point
from persam.method.prototypes import Patches, Prototypes, log_ratio, patch_similarity
from persam.types import ImageEmbedding

Array = np.ndarray[Any, Any]

TEMPERATURES = (10.0, 15.0, 20.0, 30.0, 45.0, 70.0)
QUANTILES = (0.5, 0.75, 0.9, 0.97)  # of the background's similarity to the object: candidates for `stranger`
COVERED = 0.5  # share of a patch from which on it shows the object; between that and none it is left out
RIDGE = 1e-4  # on the standardised slope: without it, photos that are told apart perfectly have none


@dataclass(frozen=True)
class KnownPhoto:
    """A photo that holds a concept, and where.

    embedding: of the photo. mask: over it. covered, bare: patches that surely show the object, and that surely do not.
    """

    concept: Concept
    embedding: ImageEmbedding
    mask: Bool[Array, "h w"]
    covered: Bool[Tensor, "hv wv"]
    bare: Bool[Tensor, "hv wv"]

    @staticmethod
    def of(concept: Concept, embedding: ImageEmbedding, mask: Bool[Array, "h w"]) -> "KnownPhoto":
        """The photo of a batch of one. Keeps only the maps that locating needs."""
        cover = embedding.frame.valid(patch_cover(mask, embedding.frame))
        light = replace(embedding, fine=None, identity=None)
        return KnownPhoto(concept, light, mask, cover >= COVERED, cover == 0)

    @property
    def prototypes(self) -> Prototypes:
        assert self.concept.prototypes is not None
        return self.concept.prototypes

    def ratios(self, calibration: Calibration) -> tuple[Float[Array, "n"], Float[Array, "m"]]:
        """The log ratio of the patches that are covered, and of those that are bare."""
        ratio = log_ratio(self.prototypes, self.embedding, calibration).cpu()
        return ratio[self.covered].double().numpy(), ratio[self.bare].double().numpy()

    def is_located(self, calibration: Calibration) -> bool:
        """Whether the positive point lies on the object."""
        prior = locate_point(self.concept, self.prototypes, self.embedding, calibration).prior
        column, row = prior.points_xy[0].round().int().tolist()
        return bool(self.mask[row, column])


@dataclass(frozen=True)
class LocationFit:
    """Numbers, and what they do. located: share of photos whose positive point lies on the object.

    loss: balanced log loss of the posterior; 0.693 is a guess.
    """

    calibration: Calibration
    located: float
    loss: float


def fit_location(photos: Sequence[KnownPhoto], start: Calibration) -> LocationFit:
    """Temperature and stranger from a grid that holds those of `start`, and the slope that goes best with them.

    Those of `start` stay where no others locate the object in more photos. For the slope, each photo weighs the same,
    and in it the object as much as the rest, however few patches it covers.

    Raises:
        CalibrationError: no photo has patches of both kinds, or covered patches are not more similar to the object.
    """
    usable = [photo for photo in photos if photo.covered.any() and photo.bare.any()]
    if not usable:
        raise CalibrationError("no object covers half a patch and leaves another bare: there is nothing to fit on.")
    own = _with_slope(usable, start)
    others = [
        _with_slope(usable, replace(start, temperature=temperature, stranger=stranger))
        for temperature, stranger in product(TEMPERATURES, [start.stranger, *_background_similarities(usable)])
    ]
    better = [one for one in others if one.located > own.located]
    best = min(better, key=lambda one: (-one.located, one.loss), default=own)
    if not best.calibration.slope > 0:
        raise CalibrationError("patches of the object are no more similar to it than others: nothing can be fitted.")
    return best


def fit_slope(ratio: Float[Array, "n"], weight: Float[Array, "n"]) -> float:
    """The slope at which sigmoid(slope * ratio) is least surprised, by Newton's method.

    Args:
        ratio: log ratios, their sign turned where the patch is bare: all of them ought to be positive.
        weight: of each, sum 1.
    """
    scale = max(float(np.sqrt(weight @ ratio**2)), 1e-12)
    unit, slope = ratio / scale, 0.0
    for _ in range(50):
        wrong = 1 / (1 + np.exp(np.clip(slope * unit, -30, 30)))
        step = (weight @ (wrong * unit) - RIDGE * slope) / (weight @ (wrong * (1 - wrong) * unit**2) + RIDGE)
        slope += float(np.clip(step, -1, 1))  # far from the minimum the curve is flat, and a full step overshoots
    return slope / scale


def log_loss(slope: float, ratio: Float[Array, "n"], weight: Float[Array, "n"]) -> float:
    """The mean surprise in nats; arguments as for `fit_slope`."""
    return float(weight @ np.logaddexp(0, -slope * ratio))


def _with_slope(photos: Sequence[KnownPhoto], calibration: Calibration) -> LocationFit:
    ratio, weight = _signed(photos, calibration)
    sloped = replace(calibration, slope=_rounded(fit_slope(ratio, weight)))
    located = sum(photo.is_located(sloped) for photo in photos) / len(photos)
    return LocationFit(sloped, located, log_loss(sloped.slope, ratio, weight))


def _background_similarities(photos: Sequence[KnownPhoto]) -> list[float]:
    """Quantiles of the bare patches' similarity to the prototype of the object that is most similar to them."""
    nearest = []
    for photo in photos:
        patches = Patches.of_image(photo.embedding, photo.bare)
        known = photo.prototypes
        nearest.append(patch_similarity(patches, known.foreground, known.foreground_colour).amax(1).cpu())
    return [_rounded(value) for value in np.quantile(torch.cat(nearest).numpy(), QUANTILES).tolist()]


def _signed(photos: Sequence[KnownPhoto], calibration: Calibration) -> tuple[Float[Array, "n"], Float[Array, "n"]]:
    """The photos' log ratios, turned where the patch is bare, and the weight of each."""
    ratios, weights = [], []
    for photo in photos:
        covered, bare = photo.ratios(calibration)
        ratios += [covered, -bare]
        weights += [np.full(len(part), 0.5 / len(part) / len(photos)) for part in (covered, bare)]
    return np.concatenate(ratios), np.concatenate(weights)


def _rounded(value: float) -> float:
    """To four digits: more would be noise, and a file that nobody can read."""
    return float(f"{value:.4g}")
