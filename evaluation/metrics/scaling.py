"""The factor on the prediction that maximises the structural similarity, found with bounded memory.

The similarity pooled over all windows of all frames is a smooth function of the factor alpha. A search on a
sample of windows comes close; Halley steps with sums over all frames then polish it. Their error falls with the
third power, so one or two passes over the frames reach nine digits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .frames import Float
from .scratch import SCRATCH
from .ssim import constants
from .window import UNIFORM
from .workers import ordered_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Pair = tuple[Float, Float]
"""Target and prediction frame, shape (Y, X), float64, background subtracted."""

_SAMPLE_TILES = 64  # tiles spread over the movie
_SAMPLE_STRIDE = 4  # windows of 7 pixels overlap: every fourth one is enough to start from
_FIRST_STEP = 0.5
_SETTLED = 1e-3  # relative step; the cubic error left behind is about 1e-9
_PASSES = 12
_BANDS = 6  # bands of windows per step: larger temporary arrays would go back to the system and be fetched anew


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Moments:
    """Local moments in windows: means, variances and covariance, arrays of equal shape."""

    mean_t: Float
    mean_p: Float
    var_t: Float
    var_p: Float
    covariance: Float


def best_scale(frames: Callable[[], Iterable[Pair]], count: int, data_range: float, threads: int) -> float:
    """Return the factor alpha that maximises the pooled structural similarity of target and alpha x prediction.

    Parameters
    ----------
    frames : callable
        Returns a fresh iterable over the same ``count`` frame pairs each time it is called.
    count : int
        Number of pairs.
    data_range : float
        Sets the stabilising constants, camera counts.
    threads : int
        Worker threads; the result does not depend on it.

    Returns
    -------
    float
        The maximum reached uphill from 1. Exactly 1 where the similarity does not depend on alpha
        (flat prediction); NaN where it has no maximum.
    """
    sample = sample_moments(frames, count)
    alpha = _climb(lambda trial: float(sum(_slopes(moments, trial, data_range)[0] for moments in sample)))
    if math.isnan(alpha):
        return math.nan

    def slopes(alpha: float) -> Float:
        total = np.zeros(3)
        for part in ordered_map(lambda pair: _frame_slopes(pair, alpha, data_range), frames(), threads):
            total += part
        return total

    for _ in range(_PASSES):
        first, second, third = slopes(alpha)
        if first == 0 or math.isnan(first):
            return alpha if first == 0 else math.nan
        if second >= 0:
            break
        step = -2 * first * second / (2 * second**2 - first * third)
        alpha = float(alpha + step)
        if abs(step) <= _SETTLED * abs(alpha):
            return alpha
    return _climb(lambda trial: float(slopes(trial)[0]))


def _climb(slope: Callable[[float], float]) -> float:
    """Return the first maximum uphill from 1, given the slope of a function; NaN without one."""
    from scipy.optimize import brentq  # noqa: PLC0415 - takes half a second, and only a movie with a target needs it

    here = slope(1.0)
    if here == 0 or math.isnan(here):
        return 1.0 if here == 0 else math.nan
    before = 1.0
    for doubling in range(40):
        after = 1.0 + math.copysign(_FIRST_STEP * 2**doubling, here)
        if (slope(after) <= 0) if here > 0 else (slope(after) >= 0):
            return float(brentq(slope, *sorted((before, after)), rtol=1e-12))
        before = after
    return math.nan


def sample_moments(frames: Callable[[], Iterable[Pair]], count: int) -> list[Moments]:
    """Return thinned local moments of at most 64 tiles spread evenly over all tiles of all frames."""
    kept: list[Moments] = []
    chosen: set[int] = set()
    for index, pair in enumerate(frames()):
        tiles = _tile_pairs(pair)
        if index == 0:
            total = count * len(tiles)
            chosen = set(np.linspace(0, total - 1, min(total, _SAMPLE_TILES)).astype(int).tolist())
        for place, tile in enumerate(tiles, start=index * len(tiles)):
            if place in chosen:
                pieces = (means[..., ::_SAMPLE_STRIDE, ::_SAMPLE_STRIDE] for means in _local_means(tile))
                kept.extend(_moments(piece.copy()) for piece in pieces)
    return kept


def _tile_pairs(pair: Pair) -> list[Pair]:
    """Return the overlapping tiles of a frame pair."""
    return [(pair[0][tile], pair[1][tile]) for tile in UNIFORM.tiles(pair[0].shape)]


def _local_means(tile: Pair) -> Iterator[Float]:
    """Yield local means of target, prediction, their squares and their product, scratch arrays of five maps."""
    target, prediction = tile
    maps = SCRATCH.array("moments", (5, *target.shape))
    maps[0], maps[1] = target, prediction
    for out, (one, other) in zip(maps[2:], ((0, 0), (1, 1), (0, 1)), strict=True):
        np.multiply(maps[one], maps[other], out=out)
    return UNIFORM.means(maps)


def _moments(means: Float) -> Moments:
    """Return local moments from five local means."""
    mean_t, mean_p, tt, pp, tp = means
    correction = UNIFORM.sample_correction
    return Moments(
        mean_t=mean_t,
        mean_p=mean_p,
        var_t=correction * (tt - mean_t * mean_t),
        var_p=correction * (pp - mean_p * mean_p),
        covariance=correction * (tp - mean_t * mean_p),
    )


def _frame_slopes(pair: Pair, alpha: float, data_range: float) -> Float:
    """Return the derivatives summed over a frame."""
    total = np.zeros(3)
    for tile in _tile_pairs(pair):
        for means in _local_means(tile):
            for band in range(0, means.shape[1], _BANDS):
                total += _slopes(_moments(means[:, band : band + _BANDS]), alpha, data_range)
    return total


def _slopes(moments: Moments, alpha: float, data_range: float) -> Float:
    """Return the first three derivatives of the similarity by alpha, summed over windows, shape (3,)."""
    constant_1, constant_2 = constants(data_range)
    left = similarity_term(
        moments.mean_t * moments.mean_p, moments.mean_t**2 + constant_1, moments.mean_p**2, constant_1, alpha
    )
    right = similarity_term(moments.covariance, moments.var_t + constant_2, moments.var_p, constant_2, alpha)
    first = left[1] * right[0] + left[0] * right[1]
    second = left[2] * right[0] + 2 * left[1] * right[1] + left[0] * right[2]
    third = left[3] * right[0] + 3 * (left[2] * right[1] + left[1] * right[2]) + left[0] * right[3]
    return np.array([first.sum(), second.sum(), third.sum()])


def similarity_term(product: Float, fixed: Float, scaled: Float, constant: float, alpha: float) -> tuple[Float, ...]:
    """Return ``(2 a product + c) / (fixed + a**2 scaled)`` and its first three derivatives by a.

    Each derivative follows from differentiating ``term * denominator = numerator`` once more.
    """
    slope = 2 * alpha * scaled
    denominator = fixed + alpha**2 * scaled
    with np.errstate(invalid="ignore", divide="ignore"):
        inverse = 1 / denominator
        term = (2 * alpha * product + constant) * inverse
        first = (2 * product - slope * term) * inverse
        second = -2 * (scaled * term + slope * first) * inverse
        third = -3 * (2 * scaled * first + slope * second) * inverse
    return term, first, second, third
