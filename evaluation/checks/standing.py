"""Trace SNR at equal slope: whether a denoised movie stands above what averaging frames gives for the same loss.

A running mean buys a quieter trace with lower transients. With windows of 1 to 31 frames it draws a curve of SNR over
the height that transients keep; a denoiser is worth its time where it lies above that curve at its own height.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import uniform_filter1d

from .evidence import Estimate, jackknife
from .places import traces
from .sampling import LEAST_FRAMES, coarse, stretches, without_trend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from evaluation.metrics import Frames

    from .places import Places
    from .sampling import Floats

WINDOWS = (1, 3, 7, 15, 31)  # frames of the running means
_SHIFT = 2  # frames within which the peak of a covariance is looked for
_KEPT = 0.75  # of the jumps of a trace, the smallest: those of events are cut off
_KEPT_VARIANCE = 0.3684  # of a normal distribution cut there, in units of its own variance
_LEAST_QUIET = 4  # patches from which noise is told


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Where a movie stands.

    Attributes
    ----------
    slope : float
        Height that transients keep; 1 is all.
    snr : float
        Height of transients that is left, over the noise that is left in quiet patches; averaged as power.
    times : Estimate
        That SNR over the SNR of the running mean of equal slope. Above 1: better than averaging.
    patches : int
        Active patches behind it.
    """

    slope: float
    snr: float
    times: Estimate
    patches: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PatchTraces:
    """Traces of active and of quiet patches of a movie, a pair for each stretch of frames, each of shape (L, R)."""

    stretches: tuple[tuple[Floats, Floats], ...]


def patch_traces(movie: Frames, places: Places) -> PatchTraces:
    """Read the traces of patches, at most 16 stretches of frames."""
    blocks = (coarse(movie, start, stop, places.factor) for start, stop in stretches(len(movie)))
    pairs = ((traces(block, places.active, places.side), traces(block, places.quiet, places.side)) for block in blocks)
    return PatchTraces(stretches=tuple(pairs) if len(movie) >= LEAST_FRAMES else ())


def standing(raw: PatchTraces, denoised: PatchTraces) -> Standing | None:
    """Compare a denoised movie with the running means of the raw one.

    With S the variance of the signal of active patches (of the raw trace, less its noise), b the covariance of
    denoised and raw trace at its peak over S, what quiet patches copied of the noise taken off, and N the variance of
    quiet denoised traces, brought to the noise of the active patches: SNR = b sqrt(S / N).

    Returns
    -------
    Standing or None
        None where too few patches, or frames, tell signal from noise.
    """
    if not raw.stretches or min(part.shape[1] for part in raw.stretches[0]) < _LEAST_QUIET:
        return None
    ours = _sums(raw, denoised)
    curve = [_sums(raw, _averaged(raw, window)) for window in WINDOWS]
    patches = np.flatnonzero(ours.signal > 0)

    def times(some: NDArray[np.int64]) -> float:
        slope, snr = ours.point(some)
        return snr / _at(slope, [one.point(some) for one in curve])

    slope, snr = ours.point(patches)
    if len(patches) < _LEAST_QUIET or not slope > 0:
        return None
    error = jackknife(patches, times).error
    return Standing(slope=slope, snr=snr, times=Estimate(value=times(patches), error=error), patches=len(patches))


def curve_of(raw: PatchTraces) -> tuple[tuple[float, float], ...]:
    """Return slope and SNR of the running means of 1, 3, 7, 15 and 31 frames; nothing where they cannot be told."""
    if not raw.stretches or min(part.shape[1] for part in raw.stretches[0]) < _LEAST_QUIET:
        return ()
    found = [_sums(raw, _averaged(raw, window)) for window in WINDOWS]
    patches = np.flatnonzero(found[0].signal > 0)
    return tuple(one.point(patches) for one in found) if len(patches) >= _LEAST_QUIET else ()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Sums:
    """Variance of the signal, covariance at its peak and noise that is left, of each active patch: shape (R,)."""

    signal: Floats
    cross: Floats
    noise: Floats

    def point(self, patches: NDArray[np.int64]) -> tuple[float, float]:
        """Return slope and SNR over some patches."""
        signal = float(self.signal[patches].sum())
        slope = float(self.cross[patches].sum()) / signal if signal > 0 else math.nan
        noise = float(self.noise[patches].sum())
        return slope, slope * math.sqrt(signal / noise) if noise > 0 else math.inf


def _sums(raw: PatchTraces, other: PatchTraces) -> _Sums:
    parts = [_stretch(*before, *after) for before, after in zip(raw.stretches, other.stretches, strict=True)]
    power, noise, quiet_noise, left, crosses, copied = (np.mean(one, axis=0) for one in zip(*parts, strict=True))
    scale = noise / max(float(quiet_noise.mean()), 1e-300)
    kept = crosses - np.outer(np.median(copied, axis=1), scale)
    return _Sums(
        signal=np.maximum(power - noise, 0.0),
        cross=kept[np.argmax(kept.sum(axis=1))],
        noise=scale * float(np.median(left)),
    )


def _stretch(active: Floats, quiet: Floats, theirs: Floats, left: Floats) -> tuple[Floats, ...]:
    """Return variance and noise of active raw traces, noise of quiet ones, their variance after, and covariances."""
    shifts = range(-_SHIFT, _SHIFT + 1)
    return (
        np.mean(without_trend(active) ** 2, axis=0),
        _noise(active),
        _noise(quiet),
        np.mean(without_trend(left) ** 2, axis=0),
        np.stack([_cross(active, theirs, shift) for shift in shifts]),
        np.stack([_cross(quiet, left, shift) for shift in shifts]),
    )


def _noise(trace: Floats) -> Floats:
    jumps = np.sort(np.diff(trace, axis=0) ** 2, axis=0) / 2
    return np.asarray(jumps[: int(_KEPT * len(jumps))].mean(axis=0) / _KEPT_VARIANCE)


def _cross(raw: Floats, other: Floats, shift: int) -> Floats:
    before, after = without_trend(raw), without_trend(other)
    length = len(before) - abs(shift)
    early, late = max(0, -shift), max(0, shift)
    return np.asarray(np.mean(before[early : early + length] * after[late : late + length], axis=0))


def _averaged(raw: PatchTraces, window: int) -> PatchTraces:
    return PatchTraces(
        stretches=tuple(
            (uniform_filter1d(active, window, axis=0), uniform_filter1d(quiet, window, axis=0))
            for active, quiet in raw.stretches
        )
    )


def _at(slope: float, curve: Sequence[tuple[float, float]]) -> float:
    """Return the SNR of the curve at a slope, logarithmic between its points and level beyond its ends."""
    points = sorted(curve)
    logs = [math.log(max(snr, 1e-12)) for _, snr in points]
    return math.exp(float(np.interp(slope, [one for one, _ in points], logs)))
