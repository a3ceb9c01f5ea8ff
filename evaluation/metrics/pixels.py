"""Sums over time at every pixel, from which the scores of a whole movie follow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .scratch import SCRATCH

if TYPE_CHECKING:
    from .frames import Array, Float

_FLAT = 1e-12  # a variance below this fraction of its ingredients is rounding noise


@dataclass(frozen=True, kw_only=True, slots=True)
class Pooled:
    """Moments of two quantities over all pixels and frames: means, population variances, covariance."""

    mean_first: float
    mean_second: float
    var_first: float
    var_second: float
    covariance: float

    @property
    def correlation(self) -> float:
        """Pearson correlation; NaN where either quantity is constant."""
        if self.var_first > 0 and self.var_second > 0:
            return self.covariance / math.sqrt(self.var_first * self.var_second)
        return math.nan


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PixelMoments:
    """Moments over time of two movies, one value per pixel, arrays of shape (Y, X), float64.

    ``error`` is first - second. Variances are population variances, exactly zero at pixels that do not change.

    Attributes
    ----------
    frames : int
        Number of frames T.
    mean_first, mean_error : ndarray
        Temporal means, camera counts.
    var_first, var_error : ndarray
        Variances over time, squared camera counts.
    cov_error : ndarray
        Covariance over time of first and error, squared camera counts.
    """

    frames: int
    mean_first: Float
    mean_error: Float
    var_first: Float
    var_error: Float
    cov_error: Float

    @property
    def power_first(self) -> Float:
        """Mean over time of ``first**2``, squared camera counts."""
        return self.var_first + self.mean_first**2

    @property
    def power_error(self) -> Float:
        """Mean over time of ``(first - second)**2``, squared camera counts."""
        return self.var_error + self.mean_error**2

    @property
    def var_second(self) -> Float:
        """Variance over time of the second movie, squared camera counts."""
        parts = self.var_first + self.var_error
        return _without_noise(parts - 2 * self.cov_error, parts)

    @property
    def covariance(self) -> Float:
        """Covariance over time of the two movies, squared camera counts."""
        return self.var_first - self.cov_error

    def pooled(self) -> Pooled:
        """Return the moments of first and second movie over all pixels and frames."""
        mean_second = self.mean_first - self.mean_error
        return _pooled(self.mean_first, mean_second, self.var_first, self.var_second, self.covariance)

    def pooled_error(self) -> Pooled:
        """Return the moments of first movie and error over all pixels and frames."""
        return _pooled(self.mean_first, self.mean_error, self.var_first, self.var_error, self.cov_error)


def mean_correlation(var_first: Float, var_second: Float, covariance: Float) -> float:
    """Return the Pearson correlation averaged over the pixels where neither variance is zero, NaN without one."""
    lively = ~((var_first == 0) | (var_second == 0))
    if not lively.any():
        return math.nan
    return float(np.mean(covariance[lively] / np.sqrt(var_first[lively] * var_second[lively])))


def _pooled(mean_1: Float, mean_2: Float, var_1: Float, var_2: Float, covariance: Float) -> Pooled:
    """Return moments over pixels and frames from moments over frames at every pixel."""
    centre_1, centre_2 = float(mean_1.mean()), float(mean_2.mean())
    off_1, off_2 = mean_1 - centre_1, mean_2 - centre_2
    return Pooled(
        mean_first=centre_1,
        mean_second=centre_2,
        var_first=float(var_1.mean() + np.mean(off_1**2)),
        var_second=float(var_2.mean() + np.mean(off_2**2)),
        covariance=float(covariance.mean() + np.mean(off_1 * off_2)),
    )


def _without_noise(variance: Float, power: Float) -> Float:
    """Return a variance with rounding noise replaced by zero; NaN stays."""
    return np.where(variance <= _FLAT * power, 0.0, variance)


class PixelSums:
    """Streamed sums over time at every pixel of two movies.

    The sums are taken of the first movie and of the difference of both, relative to the first frame: that keeps the
    digits of small variances on a large camera offset; for integer movies the sums are exact.
    They are added frame by frame, so they do not depend on how the movie is cut into blocks.
    Memory: seven float64 images.
    """

    def __init__(self) -> None:
        self.frames = 0
        self._start: tuple[Float, Float] | None = None
        self._sums: Float = np.empty(0)

    def feed(self, first: Array, second: Array) -> None:
        """Add one frame of each movie.

        Parameters
        ----------
        first, second : ndarray of shape (Y, X)
            Integer or floating-point, camera counts.

        Raises
        ------
        ValueError
            If the shape differs from the frames before.
        """
        signal = SCRATCH.array("signal", first.shape)
        difference = SCRATCH.array("difference", first.shape)
        np.copyto(signal, first)
        np.subtract(first, second, out=difference, dtype=np.float64)
        if self._start is None:
            self._start = signal.copy(), difference.copy()
            self._sums = np.zeros((5, *first.shape))
        if first.shape != self._sums.shape[1:]:
            message = f"frame {self.frames}: expected shape {self._sums.shape[1:]} as before, got {first.shape}"
            raise ValueError(message)
        product = SCRATCH.array("product", first.shape)
        signal -= self._start[0]
        difference -= self._start[1]
        self._sums[0] += signal
        self._sums[1] += difference
        self._sums[2] += np.multiply(signal, difference, out=product)
        self._sums[3] += np.square(signal, out=signal)
        self._sums[4] += np.square(difference, out=difference)
        self.frames += 1

    def moments(self) -> PixelMoments:
        """Return the moments of all frames fed so far.

        Raises
        ------
        ValueError
            If no frame was fed.
        """
        if self._start is None:
            message = "movie: expected at least one frame, got none"
            raise ValueError(message)
        signal, error, product, signal_power, error_power = self._sums / self.frames
        return PixelMoments(
            frames=self.frames,
            mean_first=self._start[0] + signal,
            mean_error=self._start[1] + error,
            var_first=_without_noise(signal_power - signal**2, signal_power),
            var_error=_without_noise(error_power - error**2, error_power),
            cov_error=product - signal * error,
        )
