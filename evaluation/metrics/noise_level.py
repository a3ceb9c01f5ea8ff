"""Noise level nu: how much a signal jumps from one frame to the next, made comparable across frame rates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .frames import Array, Float

# A float32 without sign and with 11 of its 23 mantissa bits: relative steps of 2**-11, whole numbers to 4096 exact.
_DROPPED_BITS = 12
_BINS = 1 << (31 - _DROPPED_BITS)


def noise_level(traces: Float, frame_rate_hz: float) -> Float:
    """Return the noise level of dF/F traces.

    ``median over t of |trace[t + 1] - trace[t]| / sqrt(frame rate)``.
    Compares noise of recordings, and before with after denoising; real activity raises it. After denoising it
    measures smoothness, not accuracy.

    Parameters
    ----------
    traces : ndarray of shape (T, R), float64
        dF/F; multiply by 100 for the usual percent.
    frame_rate_hz : float

    Returns
    -------
    ndarray of shape (R,), float64
        Units of the traces per square root of Hz; NaN for fewer than two frames.

    Raises
    ------
    ValueError
        If the frame rate is not positive.

    Notes
    -----
    Source: Rupprecht et al. 2021, 10.1038/s41593-021-00895-5.
    """
    rate = check_frame_rate(frame_rate_hz)
    if len(traces) < 2:  # noqa: PLR2004 - a difference takes two frames
        return np.full(traces.shape[1:], math.nan)
    return np.asarray(
        np.median(np.abs(np.diff(traces.astype(np.float64, copy=False), axis=0)), axis=0) / math.sqrt(rate)
    )


def check_frame_rate(frame_rate_hz: float) -> float:
    """Return a frame rate, refusing values that are not finite and positive."""
    if not (math.isfinite(frame_rate_hz) and frame_rate_hz > 0):
        message = f"frame_rate_hz: expected a finite number above 0, got {frame_rate_hz!r}"
        raise ValueError(message)
    return frame_rate_hz


class DifferenceMedian:
    """Streamed median of absolute values, for the noise level of all pixels of a movie.

    A histogram with steps of 1/2048 of the value replaces the values: memory 4 MiB for any number of frames.
    The median is exact for whole numbers up to 4096 and at most 0.05 % too small otherwise.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS, dtype=np.int64)

    def feed(self, differences: Array) -> None:
        """Add values; their sign does not matter.

        Parameters
        ----------
        differences : ndarray
            Any shape, finite.
        """
        bits = np.abs(differences).astype(np.float32).reshape(-1).view(np.uint32) >> _DROPPED_BITS
        self._counts += np.bincount(bits, minlength=_BINS)

    def median(self) -> float:
        """Return the median of the absolute values, NaN where nothing was fed."""
        below = np.cumsum(self._counts)
        total = int(below[-1])
        if total == 0:
            return math.nan
        middle = np.searchsorted(below, [(total - 1) // 2, total // 2], side="right")
        values = (middle.astype(np.uint32) << _DROPPED_BITS).view(np.float32)
        return float(values.astype(np.float64).mean())
