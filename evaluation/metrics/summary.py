"""Summary of a score over frames, files or pixels, with its uncertainty."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .frames import Float

_LEVEL = 0.95
_DRAWS = 1000
_SHORTEST_BLOCK = 10  # frames


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """Mean and spread of a score.

    Attributes
    ----------
    mean : float
        NaN without values.
    sd : float
        Sample standard deviation, ddof 1; NaN for fewer than two values.
    n : int
        Number of values that are not NaN.
    low, high : float
        Bounds of the mean with 95 % confidence; NaN where unknown.
    """

    mean: float
    sd: float
    n: int
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """Confidence interval of a mean.

    Attributes
    ----------
    low, high : float
        In the units of the score; NaN without values.
    level : float
        Coverage aimed at, for example 0.95.
    """

    low: float
    high: float
    level: float


def summarise(values: ArrayLike) -> Summary:
    """Return mean, sample standard deviation and number of values.

    NaN scores are left out and not counted, as pandas does in the published study; infinite ones are not, so a
    mean over them is infinite and its sd is NaN.

    Parameters
    ----------
    values : array_like
        Scores, any shape.
    """
    kept = _without_nan(values)
    if kept.size == 0:
        return Summary(mean=math.nan, sd=math.nan, n=0)
    mean = float(kept.mean())
    sd = float(kept.std(ddof=1)) if kept.size > 1 and math.isfinite(mean) else math.nan
    return Summary(mean=mean, sd=sd, n=int(kept.size))


def block_bootstrap(values: ArrayLike, *, block: int, level: float, draws: int, seed: int) -> Interval:
    """Return a percentile confidence interval of the mean that respects correlation over time.

    Neighbouring frames score alike, so whole blocks of frames are drawn with replacement, from a circle on
    which the last frame is followed by the first. For differences between two algorithms pass the per-frame
    differences: their interval is far narrower than either algorithm's own.

    Parameters
    ----------
    values : array_like of shape (T,)
        Scores in order of time; NaN is left out. An infinite score makes both bounds NaN, and so do fewer than two
        blocks of scores, as they show no spread.
    block : int
        Frames per block, longer than the scores stay correlated.
    level : float
        Between 0 and 1.
    draws : int
        Number of resamples.
    seed : int
        The same seed gives the same interval.

    Returns
    -------
    Interval

    Raises
    ------
    ValueError
        If block or draws is below 1 or the level is not between 0 and 1.

    Notes
    -----
    Source: circular block bootstrap, Politis and Romano 1992.
    """
    if block < 1 or draws < 1 or not 0 < level < 1:
        message = f"block_bootstrap: expected block >= 1, draws >= 1, 0 < level < 1, got {block}, {draws}, {level}"
        raise ValueError(message)
    kept = _without_nan(values)
    if kept.size < 2 * block or not np.isfinite(kept).all():
        return Interval(low=math.nan, high=math.nan, level=level)
    blocks = math.ceil(kept.size / block)
    rest = kept.size - (blocks - 1) * block
    generator = np.random.default_rng(seed)
    whole, part = _circular_sums(kept, block), _circular_sums(kept, rest)
    means = np.empty(draws)
    for draw in range(draws):
        starts = generator.integers(kept.size, size=blocks)
        means[draw] = (whole[starts[:-1]].sum() + part[starts[-1]]) / kept.size
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(low=float(low), high=float(high), level=level)


def frames_interval(values: ArrayLike, movies: int) -> Interval:
    """Return the 95 % interval of a mean over the frames of one or more movies, by `block_bootstrap`.

    Blocks are as long as the root of a movie's length, and at least ten frames where it has as many: long enough
    for the few frames over which scores stay alike, short enough for many blocks. Single images are drawn one by one.

    Parameters
    ----------
    values : array_like of shape (T,)
        Scores of all frames, movie by movie.
    movies : int
        How many movies they come from, at least 1.
    """
    count = np.size(values)
    length = max(1, count // movies)
    block = min(length, max(_SHORTEST_BLOCK, math.isqrt(length)))
    return block_bootstrap(values, block=block, level=_LEVEL, draws=_DRAWS, seed=0)


def _without_nan(values: ArrayLike) -> Float:
    array = np.asarray(values, dtype=np.float64).reshape(-1)
    return array[~np.isnan(array)]


def _circular_sums(values: Float, length: int) -> Float:
    """Return the sum of ``length`` values from every start on, going round at the end."""
    ring = np.concatenate([[0.0], np.cumsum(np.concatenate([values, values[: length - 1]]))])
    return np.asarray(ring[length:] - ring[:-length])
