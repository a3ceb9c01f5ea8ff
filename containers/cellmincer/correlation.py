"""How far the noise of a movie is correlated in space and time: what has to be hidden around a masked pixel.

A masked pixel is predicted from its surroundings. Where neighbours share its noise, the network learns to copy that
noise, so they must be hidden with it. Upstream names an `occlusion_radius` in its configurations and ignores it.

Signal is kept out in two ways. In space, differences of consecutive frames are used: transients last many frames. In
time, the slow decay of the autocovariance beyond a few frames is extrapolated back and taken off. Both are medians
over tiles of the frame, so that active cells, which cover a small part of it, do not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

_TILE = 8  # pixels; smaller than the distance of cells, large enough for a stable covariance
_BURSTS, _BURST_FRAMES = 12, 40  # stretches of consecutive frames looked at, spread over the movie
_MAX_RADIUS, _MAX_FRAMES = 5, 3  # pixels, frames: beyond, too little is left to predict from
_SLOW_LAGS = (6, 12)  # frames; where only slow signal is left of the autocovariance
_LEAST = 0.15  # correlation that matters


@dataclass(frozen=True, kw_only=True, slots=True)
class Occlusion:
    """Half widths of the box that is hidden around a masked pixel; 0 hides the pixel alone.

    Parameters
    ----------
    x, y : int
        Pixels.
    t : int
        Frames.
    """

    x: int = 0
    y: int = 0
    t: int = 0

    @property
    def pixels(self) -> int:
        """Pixels of a box in its own frame."""
        return (2 * self.x + 1) * (2 * self.y + 1)

    def union(self, other: Occlusion) -> Occlusion:
        """Return the smallest box that holds both."""
        return Occlusion(x=max(self.x, other.x), y=max(self.y, other.y), t=max(self.t, other.t))


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseCorrelation:
    """Autocorrelation of the noise at lags 0, 1, 2 ...

    Parameters
    ----------
    x, y : ndarray of shape (n,), float
        Along both axes of the frame, lags in pixels.
    t : ndarray of shape (n,), float
        Over time, lags in frames.
    """

    x: np.ndarray
    y: np.ndarray
    t: np.ndarray

    def occlusion(self) -> Occlusion:
        """Return the box beyond which the correlation is below 0.15 in each direction."""
        return Occlusion(
            x=min(_reach(self.x), _MAX_RADIUS), y=min(_reach(self.y), _MAX_RADIUS), t=min(_reach(self.t), _MAX_FRAMES)
        )

    def exceeds(self) -> bool:
        """Say whether the noise is correlated further than can be hidden."""
        return _reach(self.x) > _MAX_RADIUS or _reach(self.y) > _MAX_RADIUS or _reach(self.t) > _MAX_FRAMES


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseStatistics:
    """What up to 480 frames tell about the noise.

    Parameters
    ----------
    correlation : NoiseCorrelation
        All lags above 0 are 0 for a movie too short to tell.
    variance : ndarray of shape (X, Y), float32
        Half the mean squared difference of frames just far enough apart for their noise to be independent,
        counts squared: noise variance plus what the signal changes in that time.
    total : ndarray of shape (X, Y), float32
        Mean square of the movie without its trend, counts squared.
    """

    correlation: NoiseCorrelation
    variance: np.ndarray
    total: np.ndarray


def noise_statistics(gather: Callable[[np.ndarray], np.ndarray], frames: np.ndarray) -> NoiseStatistics:
    """Measure the noise on stretches of consecutive frames spread over a movie.

    Parameters
    ----------
    gather : callable
        Frame numbers -> ndarray of shape (n, X, Y), float32: the movie without its trend, counts.
    frames : ndarray of int
        Frame numbers to choose from, in order; at least 2.
    """
    length = min(_BURST_FRAMES, len(frames))
    starts = np.unique(np.linspace(0, len(frames) - length, _BURSTS).astype(int))
    along_x = along_y = over_time = total = np.zeros(())
    steps_by_lag = np.zeros(())
    for start in starts:
        burst = gather(frames[start : start + length])
        steps = np.diff(burst, axis=0)
        steps -= steps.mean(axis=(1, 2), keepdims=True)
        along_x = along_x + _spatial(steps)
        along_y = along_y + _spatial(steps.transpose(0, 2, 1))
        over_time = over_time + _temporal(burst)
        total = total + (burst**2).mean(axis=0, dtype=np.float64) / len(starts)
        steps_by_lag = steps_by_lag + _half_squares(burst) / len(starts)
    correlation = NoiseCorrelation(x=_typical(along_x), y=_typical(along_y), t=_fast_part(over_time))
    apart = min(correlation.occlusion().t, len(steps_by_lag) - 1)
    return NoiseStatistics(
        correlation=correlation, variance=steps_by_lag[apart].astype(np.float32), total=total.astype(np.float32)
    )


def _half_squares(burst: np.ndarray) -> np.ndarray:
    """Return half the mean squared difference of frames 1, 2 ... apart: (lags, X, Y)."""
    lags = range(1, min(_MAX_FRAMES + 1, len(burst) - 1) + 1)
    return np.stack([0.5 * ((burst[lag:] - burst[:-lag]) ** 2).mean(axis=0, dtype=np.float64) for lag in lags])


def _spatial(steps: np.ndarray) -> np.ndarray:
    """Return the mean product at lags along the first axis of the frame: (lags, tiles)."""
    lags = min(_MAX_RADIUS + 2, steps.shape[1])
    usable = steps[:, : steps.shape[1] - lags + 1]
    products = [
        np.einsum("txy,txy->xy", usable, steps[:, lag : lag + usable.shape[1]]) / len(steps) for lag in range(lags)
    ]
    return np.stack([_tiles(product).ravel() for product in products])


def _temporal(burst: np.ndarray) -> np.ndarray:
    """Return the mean product at lags in time of what is left in a tile without the tile's mean: (lags, tiles)."""
    width, height = _whole_tiles(burst.shape[1:])
    tiles = burst[:, : width[0] * width[1], : height[0] * height[1]].reshape(len(burst), *width, *height)
    high = tiles - tiles.mean(axis=(2, 4), keepdims=True)
    lags = min(_SLOW_LAGS[1] + 1, len(burst))
    return np.stack(
        [(high[: len(high) - lag] * high[lag:]).mean(axis=(0, 2, 4), dtype=np.float64).ravel() for lag in range(lags)]
    )


def _whole_tiles(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    return [(max(1, length // _TILE), min(_TILE, length)) for length in shape]


def _tiles(values: np.ndarray) -> np.ndarray:
    """Average over whole tiles."""
    width, height = _whole_tiles(values.shape)
    return values[: width[0] * width[1], : height[0] * height[1]].reshape(*width, *height).mean(axis=(1, 3))


def _typical(products: np.ndarray) -> np.ndarray:
    """Return the median over tiles of products divided by the product at lag 0; tiles without noise do not count."""
    noisy = products[0] > 0
    if not noisy.any():
        return np.eye(1, len(products))[0]
    return np.median(products[:, noisy] / products[0, noisy], axis=1)


def _fast_part(products: np.ndarray) -> np.ndarray:
    """Take off what a line through the slow lags extrapolates to, then return the typical correlation."""
    first, last = _SLOW_LAGS
    if len(products) <= last:
        return np.eye(1, len(products))[0]
    lags = np.arange(len(products))
    slope, intercept = np.polyfit(lags[first:], products[first:], 1)
    fast = products - np.maximum(slope * lags[:, None] + intercept, 0)
    return _typical(fast[:first])


def _reach(correlation: np.ndarray) -> int:
    """Return the largest lag up to which the correlation is 0.15 or more without a gap."""
    small = np.flatnonzero(correlation < _LEAST)
    return int(small[0]) - 1 if small.size else len(correlation) - 1
