"""How strong the noise of a detector is at each brightness, seen from the movie alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .sampling import Floats

_BINS = 24  # of brightness, with equally many pixels
_HUBER = 1.345  # robust standard deviations beyond which a point counts less; 95 % efficient for normal errors
_ROUNDS = 20
_LEAST_PIXELS = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseLaw:
    """Straight line of the noise variance of a pixel on its mean.

    Attributes
    ----------
    gain : float
        Slope: grey levels per photon (times the excess noise of the detector). NaN where no line was found.
    error : float
        Standard error of the slope.
    intercept : float
        Variance at grey level 0, squared grey levels.
    black : float
        Grey level at which the line meets no noise: the offset of the detector where its read noise is small.
    certain : bool
        Whether the slope is above 0 beyond doubt.
    """

    gain: float
    error: float
    intercept: float
    black: float
    certain: bool

    def ratio(self, bright: Floats, dim: float) -> Floats:
        """Return how many times the noise variance at one brightness is that at another; at least 0.1."""
        below = max(self.gain * dim + self.intercept, 1e-12)
        return np.asarray(np.maximum((self.gain * bright + self.intercept) / below, 0.1))


def noise_law(mean: Floats, variance: Floats) -> NoiseLaw:
    """Fit the noise variance of pixels on their mean, by medians in bins of brightness.

    Parameters
    ----------
    mean, variance : ndarray of shape (Y, X)
        Mean over time and half the mean squared jump between frames, of the raw movie. Medians over bins leave out
        active cells where they are the smaller part of the pixels of their brightness.

    Notes
    -----
    The mean-variance line of photon transfer; fitted as by the anscombe-transform package, with weights after Huber.
    """
    order = np.argsort(mean, axis=None, kind="stable")
    if order.size < _LEAST_PIXELS:
        return NoiseLaw(gain=math.nan, error=math.nan, intercept=math.nan, black=math.nan, certain=False)
    groups = np.array_split(order, _BINS)
    x = np.array([np.median(mean.flat[group]) for group in groups])
    y = np.array([np.median(variance.flat[group]) for group in groups])
    gain, intercept, error = _line(x, y)
    certain = bool(gain > 3 * error and gain > 0)
    black = -intercept / gain if certain else math.nan
    return NoiseLaw(gain=gain, error=error, intercept=intercept, black=black, certain=certain)


def _line(x: Floats, y: Floats) -> tuple[float, float, float]:
    """Return slope, intercept and the standard error of the slope of a line fitted with weights after Huber."""
    weights = np.ones_like(x)
    slope = intercept = error = math.nan
    for _ in range(_ROUNDS):
        centre = np.average(x, weights=weights)
        spread = float(np.sum(weights * (x - centre) ** 2))
        if spread <= 0:
            return math.nan, math.nan, math.nan
        slope = float(np.sum(weights * (x - centre) * y) / spread)
        intercept = float(np.average(y, weights=weights) - slope * centre)
        off = y - slope * x - intercept
        scale = 1.4826 * float(np.median(np.abs(off)))
        error = scale / math.sqrt(spread)
        if scale == 0:
            break
        weights = np.minimum(1.0, _HUBER * scale / np.maximum(np.abs(off), 1e-300))
    return slope, intercept, error
