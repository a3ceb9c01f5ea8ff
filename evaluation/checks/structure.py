"""Structure that the raw movie does not have: moving patches, seams, brightness steps, noise that runs along rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import chdtrc, chdtri, ndtri  # scipy.stats has them too, and takes a second to import

from .evidence import NOTHING, Estimate, Evidence
from .sampling import binned, robust_sd

if TYPE_CHECKING:
    from .sampling import Floats

_LIKE_CELLS = 0.25  # of the variance of real activity, from which a moving patch could be taken for a cell
_SUPPORT_ERROR = 0.12  # standard error of the support, up to which it can be told
_SUPPORTED = 0.5  # of a patch's movement that the raw movie must show
_CERTAIN = 3.0  # standard errors
_STEP = np.array([0.5, 0.5, -0.5, -0.5])  # two pixels before a line against two after it
_LINE = np.array([-0.5, 1.0, -0.5])  # a pixel against its neighbours
_BLURS_PX = (1.0, 2.5)  # widths of the blurs that a denoiser may leave
_LEAST_SIDE = 80  # pixels of a frame, its border aside, from which lines are compared
_SEGMENT = 16  # pixels along a line that are averaged
_TILE = 16  # pixels along one side of a square whose brightness is compared
BORDER = 8  # pixels along the border that are looked at on their own


def unsupported(evidence: Evidence) -> tuple[int, int]:
    """Return how many moving patches the raw movie does not show, and how many were tested.

    Support of a patch is the covariance of its denoised with its raw trace over the variance of the denoised one,
    both without the raw noise that was passed on: 1 where both move alike, 0 where only the denoised one moves.
    Of the variance of white noise that a filter passes on, each frame of raw noise explains its covariance squared.
    """
    lively, active = evidence.lively, evidence.active
    if lively is None or active is None:
        return 0, 0
    signal = active.raw[:, 0] - active.noise
    least = _LIKE_CELLS * float(np.median(signal)) if len(signal) else 0.0
    copied = evidence.copied_noise(lively)
    passed_on = (copied**2).sum(axis=1) / np.maximum(lively.noise, 1e-300)
    moved = lively.denoised[:, 0] - passed_on
    support = (lively.cross[:, lively.lags] - copied[:, lively.lags]) / np.maximum(moved, 1e-300)
    error = np.sqrt(lively.noise / np.maximum(moved, 1e-300) / lively.frames)
    enough = moved >= least if len(signal) else moved >= lively.noise
    tested = enough & (error < _SUPPORT_ERROR)
    return int(np.sum(tested & (support + _CERTAIN * error < _SUPPORTED))), int(np.sum(tested))


@dataclass(frozen=True, kw_only=True, slots=True)
class Seam:
    """The line along which the mean residual steps most.

    Attributes
    ----------
    score : float
        Standard deviations above the other lines; NaN where a frame is too small.
    step : float
        Its size in percent of the mean brightness.
    axis : str
        "row" or "column".
    position : int
        The pixel before the line.
    """

    score: float
    step: float
    axis: str
    position: int


def worst_seam(evidence: Evidence) -> Seam:
    """Look for a straight line along which the mean residual steps or stands out, along rows and along columns."""
    brightness = float(np.median(evidence.brightness))
    inside = (slice(BORDER, -BORDER),) * 2  # no blur is known at the border
    error = np.sqrt(evidence.maps.jump_residual / evidence.figures.frames)[inside]
    residual = _without_blur(evidence.maps.residual, evidence.maps.raw)[inside]
    columns = _seam(residual, error, brightness, "column")
    rows = _seam(residual.T, error.T, brightness, "row")
    return max((columns, rows), key=lambda seam: -math.inf if math.isnan(seam.score) else seam.score)


def _without_blur(residual: Floats, raw: Floats) -> Floats:
    """Take out of a residual what a blur of the raw image leaves in it: straight lines of the sample are no seams."""
    blurs = np.stack([(raw - gaussian_filter(raw, sigma)).ravel() for sigma in _BLURS_PX], axis=1)
    weights = np.linalg.lstsq(blurs, residual.ravel(), rcond=None)[0]
    return np.asarray(residual - (blurs @ weights).reshape(residual.shape))


def _seam(residual: Floats, error: Floats, brightness: float, axis: str) -> Seam:
    """Score every line between columns by three looks at it, and return the worst."""
    segments = residual.shape[0] // _SEGMENT
    if min(residual.shape) < _LEAST_SIDE or not (error > 0).any() or brightness <= 0:
        return Seam(score=math.nan, step=math.nan, axis=axis, position=0)
    means = residual[: segments * _SEGMENT].reshape(segments, _SEGMENT, -1).mean(axis=1)
    noise = np.sqrt((error[: segments * _SEGMENT] ** 2).reshape(segments, _SEGMENT, -1).mean(axis=1) / _SEGMENT)
    scores, sizes = zip(*(_look(means, noise, kernel) for kernel in (_STEP, _LINE)), strict=True)
    best = int(np.argmax([score.max() for score in scores]))
    place = int(np.argmax(scores[best]))
    size = 100 * float(sizes[best][place]) / brightness
    return Seam(score=float(scores[best][place]), step=size, axis=axis, position=place + 1 + BORDER)


def _look(means: Floats, noise: Floats, kernel: Floats) -> tuple[Floats, Floats]:
    """Return, for every line, how far it stands out of the others, and its size.

    A line may have one sign along its whole length, or change it from tile to tile.
    """
    steps = np.apply_along_axis(np.convolve, 1, means, kernel, "valid")
    scale = np.apply_along_axis(np.convolve, 1, noise**2, kernel**2, "valid")
    normal = steps / np.sqrt(np.maximum(scale, 1e-300))
    along = np.abs(_robust(normal.sum(axis=0)))
    typical = max(1.0, float(np.median(normal**2) / chdtri(1, 0.5)))
    tail = chdtrc(len(normal), (normal**2).sum(axis=0) / typical)
    return np.maximum(along, _robust(-ndtri(np.clip(tail, 1e-300, 1 - 1e-16)))), np.sqrt(np.mean(steps**2, axis=0))


def _robust(values: Floats) -> Floats:
    off = values - np.median(values)
    return np.asarray(off / max(1.4826 * float(np.median(np.abs(off))), 1.0))


def tile_side(evidence: Evidence) -> int:
    """Return the pixels along one side of the squares whose brightness is compared; fewer in a small frame."""
    return _TILE if min(evidence.maps.raw.shape) >= 4 * _TILE else max(1, min(evidence.maps.raw.shape) // 8)


def uneven_brightness(evidence: Evidence) -> Estimate:
    """Return the standard deviation of the mean residual between tiles, beyond noise, percent of their brightness."""
    side = tile_side(evidence)
    light = binned(evidence.brightness, side)
    if light.size < 9 or not (light > 0).all():  # noqa: PLR2004 - a spread takes a few tiles
        return NOTHING
    shift = 100 * binned(evidence.maps.residual, side) / light
    variance = binned(evidence.maps.jump_residual, side) / (evidence.figures.frames * side**2)
    noise = float(np.median(1e4 * variance / light**2))
    spread = float(robust_sd(shift.ravel()))
    beyond = math.sqrt(max(0.0, spread**2 - noise))
    return Estimate(value=beyond, error=math.sqrt(noise / light.size))


def runs_along_rows(evidence: Evidence) -> Estimate:
    """Return how much more noise is copied from the next pixel of a row than from that of a column.

    Beyond what the noise, correlated as it is, carries over from the pixel itself; in units of the noise variance.
    """
    maps = evidence.maps
    quiet = maps.jump_raw <= np.median(maps.jump_raw)
    power = float(maps.jump_raw[quiet].sum())
    if power <= 0:
        return NOTHING
    copied, copied_x, copied_y, raw_x, raw_y = (
        float(one[quiet].sum()) / power for one in (maps.copied, maps.copied_x, maps.copied_y, maps.raw_x, maps.raw_y)
    )
    value = copied_x - copied_y - copied * (raw_x - raw_y)
    error = math.sqrt(2 / (quiet.sum() * max(evidence.figures.frames - 1, 1)))
    return Estimate(value=value, error=error)


def border_noise(evidence: Evidence) -> float:
    """Return the noise taken out near the border over that taken out inside."""
    maps = evidence.maps
    if min(maps.raw.shape) < 4 * BORDER:
        return math.nan
    inside = np.zeros(maps.raw.shape, bool)
    inside[BORDER:-BORDER, BORDER:-BORDER] = True
    shares = [maps.jump_residual[where].sum() / max(maps.jump_raw[where].sum(), 1e-300) for where in (inside, ~inside)]
    return float(shares[1] / shares[0]) if shares[0] > 0 else math.nan
