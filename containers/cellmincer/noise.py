"""The noise of a recording: variance = alpha * mean + beta, from short stretches of flank frames.

Each stretch of `stationarity_window` frames gives a mean and an unbiased variance for every pixel; the line through
them is fitted by ordinary least squares. Wang et al., npj Imaging 2024, doi 10.1038/s44303-024-00055-x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_ROUNDING_VARIANCE = 1 / 12  # of a value rounded to a whole number, grey levels squared


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseLine:
    """The line and how far it can be trusted.

    Parameters
    ----------
    alpha_median, alpha_std : float
        Slope over all stretches, counts.
    beta_median, beta_std : float
        Intercept over all stretches, counts squared.
    global_min_variance : float
        Least variance that is believed anywhere, counts squared; above 0.
    """

    alpha_median: float
    alpha_std: float
    beta_median: float
    beta_std: float
    global_min_variance: float

    def variance(self, mean: np.ndarray) -> np.ndarray:
        """Return the noise variance at a mean intensity, counts squared."""
        return np.maximum(self.alpha_median * mean + self.beta_median, self.global_min_variance)


class NoiseFit:
    """Collect stretches while a movie streams by.

    Parameters
    ----------
    window : int
        Frames of a stretch.
    rng : numpy.random.Generator
        Draws where stretches begin.
    integer : bool
        Whether pixels are whole numbers, whose rounding alone has a variance of 1/12.
    """

    def __init__(self, window: int, rng: np.random.Generator, *, integer: bool) -> None:
        self._window, self._rng, self._integer = window, rng, integer
        self._lines: list[tuple[float, float]] = []
        self._min_variance = np.inf
        self._least_positive = np.inf
        self._min = np.inf
        self._last_min = np.inf

    def begin_segment(self) -> None:
        """Say that the next frames are those of another segment."""
        self._last_min = np.inf

    def see(self, frames: np.ndarray) -> None:
        """Note the least intensity of frames, ndarray of shape (n, X, Y), counts."""
        low = float(frames.min())
        self._min, self._last_min = min(self._min, low), min(self._last_min, low)

    def add(self, frames: np.ndarray, count: int) -> None:
        """Draw `count` stretches from consecutive flank frames, ndarray of shape (n, X, Y), counts."""
        window = min(self._window, len(frames))
        if window < 2:  # noqa: PLR2004 - no variance from one frame
            return
        for start in self._rng.integers(0, len(frames) - window + 1, count):
            stretch = frames[start : start + window].astype(np.float64)
            mean, variance = stretch.mean(axis=0), stretch.var(axis=0, ddof=1)
            self._lines.append(line(mean, variance))
            self._min_variance = min(self._min_variance, float(variance.min()))
            positive = variance[variance > 0]
            if positive.size:
                self._least_positive = min(self._least_positive, float(np.quantile(positive, 0.01)))

    def solve(self, *, upstream: bool) -> NoiseLine:
        """Return the line.

        Parameters
        ----------
        upstream : bool
            Take the least intensity from the last segment only and set no floor. A single dead pixel then makes
            the least variance 0.
        """
        slopes, intercepts = np.array(self._lines or [(0.0, 1.0)]).T
        alpha, beta = float(np.median(slopes)), float(np.median(intercepts))
        lowest = self._last_min if upstream else self._min
        least = max(alpha * lowest + beta, self._min_variance if np.isfinite(self._min_variance) else 0.0)
        if not upstream:
            floor = self._least_positive if np.isfinite(self._least_positive) else 1.0
            least = max(least, _ROUNDING_VARIANCE if self._integer else floor)
        return NoiseLine(
            alpha_median=alpha,
            alpha_std=float(slopes.std()),
            beta_median=beta,
            beta_std=float(intercepts.std()),
            global_min_variance=least,
        )


def line(mean: np.ndarray, variance: np.ndarray) -> tuple[float, float]:
    """Fit variance = slope * mean + intercept by ordinary least squares.

    Parameters
    ----------
    mean, variance : ndarray of the same shape
        One value for each pixel.

    Returns
    -------
    slope, intercept : float
        Slope 0 where all means are equal.
    """
    centred = mean - mean.mean()
    spread = float((centred**2).sum())
    slope = float((centred * variance).sum()) / spread if spread > 0 else 0.0
    return slope, float(variance.mean()) - slope * float(mean.mean())
