"""Where a movie is active, and where it is not: small square patches, found without labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import maximum_filter, uniform_filter

from .sampling import bin_factor, coarse, stretches_of, without_trend

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluation.metrics import Frames

    from .sampling import Floats

_MOST = 32  # patches of each kind
_CORRELATED = 0.25  # of a patch's trace with itself one frame later, above which it is active
_CERTAIN = 6.0  # standard errors of that correlation
_QUIET = 2.0  # standard errors within which a patch is quiet
_SMALL = 96  # coarse pixels along the shorter side, below which cells are small too


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Patches of a movie in coarse pixels.

    Attributes
    ----------
    factor : int
        Pixels along one side of a coarse pixel.
    side : int
        Coarse pixels along one side of a patch.
    active, quiet : ndarray of shape (R, 2), int64
        Middles (y, x) of patches where the raw movie is active, and where it is not.
    lively : ndarray of shape (R, 2), int64
        Patches where the denoised movie moves most, away from the active ones.
    """

    factor: int
    side: int
    active: NDArray[np.int64]
    quiet: NDArray[np.int64]
    lively: NDArray[np.int64]


def find_places(raw: Frames, denoised: Frames, middles: NDArray[np.int64] | None = None) -> Places:
    """Find active, quiet and lively patches.

    A patch is active where its raw trace correlates with itself one frame later: white noise does not.

    Parameters
    ----------
    raw, denoised : Frames
        Movies of equal shape.
    middles : ndarray of shape (R, 2), int64, optional
        Middles (y, x) of regions that are known, pixels; the active patches lie there then, and nowhere else.
    """
    factor = bin_factor(np.shape(raw[0]))
    side = 5 if min(np.shape(raw[0])) // factor >= _SMALL else 3
    power, memory, moved, count = _maps(raw, denoised, factor, side)
    correlation = np.divide(memory, power, out=np.zeros_like(memory), where=power > 0)
    error = 1 / math.sqrt(max(count, 1))
    allowed = _inside(power.shape, side)
    if middles is None:
        active = _peaks(np.where(correlation > max(_CORRELATED, _CERTAIN * error), memory, 0) * allowed, side)
        free = allowed & ~_near(active, power.shape, 2 * side)
    else:
        active = _patches_at(middles // factor, power.shape, side)
        free = allowed & ~_near(active, power.shape, side)  # regions may lie close to each other
    quiet = _spread(free & (np.abs(correlation) < _QUIET * error) & (power > 0), side)
    lively = _peaks(moved * (allowed & ~_near(active, power.shape, side)), side)
    return Places(factor=factor, side=side, active=active, quiet=quiet, lively=lively)


def _maps(raw: Frames, denoised: Frames, factor: int, side: int) -> tuple[Floats, Floats, Floats, int]:
    """Return variance and lag-1 covariance of the raw, variance of the denoised patches, and the frames behind them."""
    shape = tuple(length // factor for length in np.shape(raw[0]))
    power, memory, moved = np.zeros((3, *shape))
    count = 0
    for before, after in stretches_of(raw, denoised, factor):
        patches = without_trend(uniform_filter(before, (0, side, side)))
        power += np.einsum("tyx,tyx->yx", patches, patches)
        memory += np.einsum("tyx,tyx->yx", patches[1:], patches[:-1])
        patches = without_trend(uniform_filter(after, (0, side, side)))
        moved += np.einsum("tyx,tyx->yx", patches, patches)
        count += len(patches)
    return power / max(count, 1), memory / max(count, 1), moved / max(count, 1), count


def _inside(shape: tuple[int, ...], side: int) -> NDArray[np.bool_]:
    """Mark the pixels around which a whole patch fits."""
    inside = np.zeros(shape, bool)
    margin = side // 2
    inside[margin : shape[0] - margin, margin : shape[1] - margin] = True
    return inside


def _patches_at(middles: NDArray[np.int64], shape: tuple[int, ...], side: int) -> NDArray[np.int64]:
    """Return the middles of the patches around places, moved in from the border so that a whole patch fits."""
    margin = side // 2
    return np.asarray(np.clip(middles, margin, np.array(shape) - 1 - margin))


def _near(places: NDArray[np.int64], shape: tuple[int, ...], reach: int) -> NDArray[np.bool_]:
    marks = np.zeros(shape, bool)
    marks[tuple(places.T)] = True
    return np.asarray(maximum_filter(marks, size=2 * reach + 1))


def _peaks(height: Floats, side: int) -> NDArray[np.int64]:
    """Return the highest local maxima above 0, one patch apart from each other."""
    tops = np.argwhere((height > 0) & (height == maximum_filter(height, size=2 * side + 1)))
    order = np.argsort(-height[tuple(tops.T)], kind="stable")
    return np.asarray(tops[order[:_MOST]])


def _spread(allowed: NDArray[np.bool_], side: int) -> NDArray[np.int64]:
    """Return allowed places on a grid of patches, evenly chosen."""
    grid = np.zeros_like(allowed)
    grid[side // 2 :: side, side // 2 :: side] = True
    found = np.argwhere(allowed & grid)
    if len(found) <= _MOST:
        return found
    return np.asarray(found[np.linspace(0, len(found) - 1, _MOST).round().astype(int)])


def traces(block: Floats, places: NDArray[np.int64], side: int) -> Floats:
    """Return the mean of each patch in each frame: ndarray of shape (L, R), float64."""
    margin = side // 2
    columns = [
        block[:, y - margin : y + margin + 1, x - margin : x + margin + 1].mean(axis=(1, 2), dtype=np.float64)
        for y, x in places.tolist()
    ]
    return np.stack(columns, axis=1) if columns else np.empty((len(block), 0))


def traces_in(movie: Frames, start: int, stop: int, places: Places, middles: NDArray[np.int64]) -> Floats:
    """Read the traces of patches of a movie in frames ``start <= t < stop``: ndarray of shape (L, R), float64."""
    return traces(coarse(movie, start, stop, places.factor), middles, places.side)
