"""Estimate gain and read noise of a detector from its own recordings: variance against mean of many small windows.

Averaging keeps an affine law: mean variance = a + b * mean signal holds in a window whatever the signal does inside it.
So windows may be long in time, which makes their means nearly free of noise: fitted against noisy means, the slope
would come out too small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from contract.errors import JobRefused
from noise_models import AffineNoise
from noise_pairs import Pairs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from contract.stacks import Stack

_WINDOW = 5  # pixels; a plane (3 numbers) is taken out of each, 22 of 25 degrees of freedom are left
_FRAMES = 17  # frames read at a time: 16 differences per window, means 400 times less noisy than a pixel
_MAX_PIXELS = 2**26  # more change nothing: the standard errors are below a percent by then
_MIN_WINDOWS = 32
_MIN_KEPT = 0.25  # of the differences; where more than noise changes almost everywhere, frames do not belong together
_CHANGE_LIMIT = 16.27  # 99.9 % quantile of chi-squared with 3 degrees of freedom
_BISQUARE = 6.0  # in robust standard deviations: windows beyond hold something else than noise
_ROUNDING_VARIANCE = 1 / 12  # of a value rounded to an integer
_BINS = 32
_QUANTILE = 0.25  # of windows in a bin, for the spatial estimate: the least structured ones
_CHI2_19_QUARTER = 14.56 / 19  # 25 % quantile of chi-squared with 19 degrees of freedom, over its mean


class Windows(NamedTuple):
    """Means and noise variances of many small windows.

    Parameters
    ----------
    mean : ndarray of shape (n,), float64
        Intensity units.
    variance : ndarray of shape (n,), float64
        Noise variance per pixel, squared intensity units.
    count : ndarray of shape (n,), float64
        Differences each one rests on.
    """

    mean: np.ndarray
    variance: np.ndarray
    count: np.ndarray


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """An estimated noise model with the windows it rests on.

    Parameters
    ----------
    noise_model : AffineNoise
        The fit.
    windows : Windows
        Its data points.
    kept : float
        Share of the differences in which nothing but noise changed, 0 to 1.
    """

    noise_model: AffineNoise
    windows: Windows
    kept: float


def estimate_affine(stacks: Sequence[Stack], differences: str) -> Estimate:
    """Estimate variance = a + b * signal.

    Parameters
    ----------
    stacks : sequence of Stack
        Noisy stacks of one detector at one setting.
    differences : {"temporal", "spatial"}
        "temporal": from consecutive frames. Windows of 5 x 5 pixels lose their mean change and its gradient, so that
        moving brightness does not count as noise; frame pairs in which those changed by more than noise explains are
        left out. "spatial": from single frames, each window without its quadratic surface, the smoother windows of
        each brightness only; for images that do not follow each other in time. Finer structure counts as noise there.

    Returns
    -------
    Estimate
        Fit by bisquare regression, weighted by the inverse of the expected variance.

    Raises
    ------
    JobRefused
        When there are too few frames, pixels or undisturbed windows.
    """
    found = _temporal(stacks) if differences == "temporal" else _spatial(stacks)
    count = sum(len(part.mean) for part, _ in found)
    kept = float(np.mean([share for _, share in found])) if found else 0.0
    if count < _MIN_WINDOWS or kept < _MIN_KEPT:
        raise JobRefused(_too_few(stacks, differences, count, kept))
    windows = Windows(*(np.concatenate(columns) for columns in zip(*(part for part, _ in found), strict=True)))
    points = windows if differences == "temporal" else _least_structured(windows)
    integer = all(stack.dtype.kind in "iu" for stack in stacks)
    return Estimate(noise_model=fit_affine(points, integer=integer), windows=points, kept=kept)


def fit_affine(windows: Windows, *, integer: bool) -> AffineNoise:
    """Fit variance = a + b * mean to windows, robustly and without a negative slope.

    Parameters
    ----------
    windows : Windows
        Data points.
    integer : bool
        Whether the pixels were rounded to integers, which bounds their variance from below.
    """
    centre = float(np.average(windows.mean, weights=windows.count))
    level, slope, errors = _bisquare(windows, centre)
    if slope < 0:
        level, slope, errors = _bisquare(windows._replace(mean=np.full_like(windows.mean, centre)), centre)
    lowest = level + slope * (float(np.quantile(windows.mean, 0.001)) - centre)
    floor = max(0.5 * lowest, 1e-3 * level, _ROUNDING_VARIANCE if integer else 1e-12)
    return AffineNoise(
        variance_at_zero=level - slope * centre,
        gain=slope,
        min_variance=float(floor),
        gain_error=errors[1],
        variance_at_zero_error=float(np.hypot(errors[0], errors[1] * centre)),
    )


def binned(windows: Windows, bins: int = _BINS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Average windows of similar brightness, for a plot.

    Returns
    -------
    mean, variance, error : ndarray of shape (<= bins,), float64
        Bins hold equally many windows; the error is the standard error of the variance.
    """
    order = np.argsort(windows.mean, kind="stable")
    groups = [group for group in np.array_split(order, bins) if len(group) > 1]
    mean = np.array([windows.mean[group].mean() for group in groups])
    variance = np.array([windows.variance[group].mean() for group in groups])
    error = np.array([windows.variance[group].std(ddof=1) / np.sqrt(len(group)) for group in groups])
    return mean, variance, error


def _temporal(stacks: Sequence[Stack]) -> list[tuple[Windows, float]]:
    return [_of_differences(block, top) for block, top in _blocks(stacks, _FRAMES) if len(block) > 1]


def _spatial(stacks: Sequence[Stack]) -> list[tuple[Windows, float]]:
    return [_of_frames(block, top) for block, top in _blocks(stacks, _FRAMES)]


def _blocks(stacks: Sequence[Stack], frames: int) -> Iterator[tuple[np.ndarray, float]]:
    """Yield blocks of consecutive frames, evenly spread when there are too many, with the value of saturated pixels."""
    starts = [(stack, start) for stack in stacks for start in range(0, max(stack.shape[0] - 1, 1), frames - 1)]
    total = sum(min(frames, stack.shape[0] - start) * stack.shape[1] * stack.shape[2] for stack, start in starts)
    for stack, start in starts[:: -(-total // _MAX_PIXELS)]:
        top = float(np.iinfo(stack.dtype).max) if stack.dtype.kind in "iu" else np.inf
        yield stack.frames(start, min(start + frames, stack.shape[0])).astype(np.float64), top


def _tiles(frames: np.ndarray) -> np.ndarray:
    """Cut frames (T, Y, X) into windows: array of shape (T, windows, pixels of a window)."""
    count, rows, columns = frames.shape[0], frames.shape[1] // _WINDOW, frames.shape[2] // _WINDOW
    cut = frames[:, : rows * _WINDOW, : columns * _WINDOW].reshape(count, rows, _WINDOW, columns, _WINDOW)
    return cut.transpose(0, 1, 3, 2, 4).reshape(count, rows * columns, _WINDOW * _WINDOW)


def _surface(order: int) -> np.ndarray:
    """Return an orthonormal basis (25, n) of the polynomials of y and x up to an order, over a window."""
    y, x = (axis.ravel() - _WINDOW // 2 for axis in np.mgrid[:_WINDOW, :_WINDOW])
    powers = [y**i * x**j for i in range(order + 1) for j in range(order + 1 - i)]
    basis: np.ndarray = np.linalg.qr(np.stack(powers, axis=1).astype(np.float64))[0]
    return basis


def _split(tiles: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the squared length of the smooth part of each window, and the mean square per degree of freedom left."""
    basis = _surface(order)
    smooth = np.einsum("twp,pk->twk", tiles, basis, optimize=True)
    smooth_square = (smooth * smooth).sum(-1)
    rest = np.maximum((tiles * tiles).sum(-1) - smooth_square, 0)
    return smooth_square, rest / (basis.shape[0] - basis.shape[1])


def _of_differences(block: np.ndarray, top: float) -> tuple[Windows, float]:
    tiles = _tiles(block)
    smooth, rest = _split(np.diff(tiles, axis=0), order=1)
    typical = np.median(rest, axis=0)
    valid = (tiles < top).all(-1)
    valid = valid[1:] & valid[:-1]
    # Judged by the smooth part alone: choosing by the part that is measured would bias it.
    keep = valid & (smooth <= _CHANGE_LIMIT * np.where(typical > 0, typical, rest.mean(axis=0)))
    count = keep.sum(axis=0)
    used = count * 2 >= len(keep)
    pairs = np.maximum(count, 1)
    variance = (rest * keep).sum(axis=0) / pairs / 2
    mean = ((tiles[1:] + tiles[:-1]).mean(-1) * keep).sum(axis=0) / pairs / 2
    return Windows(mean[used], variance[used], count[used].astype(np.float64)), float(keep.mean())


def _of_frames(block: np.ndarray, top: float) -> tuple[Windows, float]:
    tiles = _tiles(block)
    _, rest = _split(tiles - tiles.mean(-1, keepdims=True), order=2)
    used = (tiles < top).all(-1)
    return Windows(tiles.mean(-1)[used], rest[used], np.ones(np.count_nonzero(used))), float(used.mean())


def _least_structured(windows: Windows) -> Windows:
    """Reduce windows to one point per brightness, from those in which the least structure remains."""
    order = np.argsort(windows.mean, kind="stable")
    groups = [group for group in np.array_split(order, _BINS) if len(group)]
    mean = np.array([windows.mean[group].mean() for group in groups])
    variance = np.array([np.quantile(windows.variance[group], _QUANTILE) for group in groups]) / _CHI2_19_QUARTER
    return Windows(mean, variance, np.array([float(len(group)) for group in groups]))


def _bisquare(windows: Windows, centre: float) -> tuple[float, float, tuple[float, float]]:
    """Return level at `centre`, slope and their standard errors, by iterated weighted least squares."""
    x, y = windows.mean - centre, windows.variance
    robust = np.ones_like(y)
    expected = np.full_like(y, max(float(np.median(y)), 1e-30))
    level, slope, errors = 0.0, 0.0, (0.0, 0.0)
    for _ in range(30):
        weight = robust * windows.count / (expected * expected)
        level, slope, errors = _line(x, y, weight)
        fitted = level + slope * x
        expected = np.maximum(fitted, 0.05 * level)
        scaled = (y - fitted) / expected * np.sqrt(windows.count)
        spread = 1.4826 * float(np.median(np.abs(scaled)))
        if spread == 0:
            break
        robust = np.clip(1 - (scaled / (_BISQUARE * spread)) ** 2, 0, None) ** 2
    return level, slope, errors


def _line(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[float, float, tuple[float, float]]:
    total = weight.sum()
    mean_x, mean_y = (weight * x).sum() / total, (weight * y).sum() / total
    spread = (weight * (x - mean_x) ** 2).sum()
    flat = spread <= 1e-12 * total * max(float(np.max(np.abs(x))), 1e-30) ** 2
    slope = 0.0 if flat else float((weight * (x - mean_x) * (y - mean_y)).sum() / spread)
    level = float(mean_y - slope * mean_x)
    scatter = float((weight * (y - level - slope * x) ** 2).sum() / max(len(x) - 2, 1))
    slope_error = 0.0 if flat else float(np.sqrt(scatter / spread))
    return level, slope, (float(np.hypot(np.sqrt(scatter / total), slope_error * mean_x)), slope_error)


def _too_few(stacks: Sequence[Stack], differences: str, found: int, kept: float) -> str:
    shapes = ", ".join(str(stack.shape) for stack in stacks)
    hint = "set differences: spatial for images that do not follow each other" if differences == "temporal" else ""
    return (
        f"noise estimate: expected at least {_MIN_WINDOWS} windows of {_WINDOW} x {_WINDOW} pixels and {_MIN_KEPT:.0%} "
        f"of all differences with no change but noise, got {found} and {kept:.0%} in stacks of shape {shapes}"
        + (f"; {hint}" if hint else "")
    )


def residual_pairs(stacks: Sequence[Stack], differences: str, limit: int = 2**20) -> Pairs:
    """Return noise without a clean signal: what windows hold beside their smooth part, beside the windows' mean.

    Parameters
    ----------
    stacks, differences
        As in `estimate_affine`.
    limit : int
        Pixels to return at most.

    Returns
    -------
    Pairs
        `signal` is the mean of the window in the two frames (or the one); noisy - signal is scaled to the variance of
        a single pixel. For a histogram: a difference of two frames is more symmetric than the noise itself.
    """
    parts, order = [], 1 if differences == "temporal" else 2
    for block, _ in _blocks(stacks, _FRAMES):
        tiles = _tiles(block)
        values = np.diff(tiles, axis=0) if differences == "temporal" else tiles - tiles.mean(-1, keepdims=True)
        means = tiles.mean(-1)
        means = (means[1:] + means[:-1]) / 2 if differences == "temporal" else means
        basis = _surface(order)
        rest = values - np.einsum("twk,pk->twp", np.einsum("twp,pk->twk", values, basis), basis)
        freedom = (1 - basis.shape[1] / basis.shape[0]) * (2 if differences == "temporal" else 1)
        signal = np.broadcast_to(means[..., None], rest.shape)
        parts.append(Pairs(signal.ravel() + rest.ravel() / np.sqrt(freedom), signal.ravel()))
        if sum(len(part.signal) for part in parts) >= limit:
            break
    if not parts:
        return Pairs(np.empty(0), np.empty(0))
    return Pairs(*(np.concatenate(column)[:limit] for column in zip(*parts, strict=True)))
