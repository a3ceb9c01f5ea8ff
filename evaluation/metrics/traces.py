"""Traces of regions of interest and how well a prediction keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .frames import Array, Float


class RoiTraces:
    """Streamed mean intensity of every labelled region.

    Parameters
    ----------
    labels : ndarray of shape (Y, X), integer
        0 is background, 1 to R are the regions; regions do not overlap.

    Raises
    ------
    ValueError
        If the labels are not a two-dimensional integer array with every number from 1 to R.
    """

    def __init__(self, labels: NDArray[np.integer]) -> None:
        flat = np.asarray(labels)
        if flat.ndim != 2 or flat.dtype.kind not in "iu":  # noqa: PLR2004 - a label image has two axes
            message = f"labels: expected integers of shape (Y, X), got {flat.dtype} of shape {flat.shape}"
            raise ValueError(message)
        self._shape = flat.shape
        numbers, counts = np.unique(flat[flat > 0], return_counts=True)
        if len(numbers) == 0 or flat.min() < 0 or numbers[-1] != len(numbers):
            message = f"labels: expected 0 and every number from 1 to R, got {numbers.tolist()[:10]}"
            raise ValueError(message)
        order = np.argsort(flat, axis=None, kind="stable")
        self._pixels = order[flat.size - int(counts.sum()) :]
        self._counts = counts
        self._starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        self._rows: list[Float] = []

    def feed(self, block: Array) -> None:
        """Add consecutive frames.

        Parameters
        ----------
        block : ndarray of shape (n, Y, X)
            Integer or floating-point, camera counts.

        Raises
        ------
        ValueError
            If the frames do not have the shape of the labels.
        """
        if block.ndim != 3 or block.shape[1:] != self._shape:  # noqa: PLR2004 - a block has three axes
            message = f"block: expected frames of shape {self._shape} as the labels, got shape {block.shape}"
            raise ValueError(message)
        for frame in block:
            inside = frame.reshape(-1)[self._pixels].astype(np.float64)
            self._rows.append(np.add.reduceat(inside, self._starts) / self._counts)

    def traces(self) -> Float:
        """Return the traces of all frames fed so far.

        Returns
        -------
        ndarray of shape (T, R), float64, camera counts
            Column r is region r + 1.
        """
        return np.array(self._rows).reshape(-1, len(self._counts))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TraceScores:
    """Agreement of traces, arrays of shape (R,), NaN where the target trace is constant.

    Attributes
    ----------
    correlation : ndarray
        Pearson. Catches lost, delayed or invented activity.
    slope : ndarray
        Of prediction on target. Below 1: amplitudes are damped.
    intercept : ndarray
        Camera counts. Away from 0 with a slope of 1: the baseline moved.
    """

    correlation: Float
    slope: Float
    intercept: Float


def trace_scores(target: Float, prediction: Float) -> TraceScores:
    """Compare traces by a straight-line fit of prediction on target, per region.

    Parameters
    ----------
    target, prediction : ndarray of shape (T, R), float64
        Camera counts.

    Returns
    -------
    TraceScores

    Raises
    ------
    ValueError
        If the shapes differ or are not (T, R).
    """
    if target.ndim != 2 or target.shape != prediction.shape:  # noqa: PLR2004 - traces have two axes
        message = f"traces: expected two arrays of equal shape (T, R), got {target.shape}, {prediction.shape}"
        raise ValueError(message)
    target, prediction = target.astype(np.float64, copy=False), prediction.astype(np.float64, copy=False)
    mean_t, mean_p = target.mean(axis=0), prediction.mean(axis=0)
    off_t, off_p = target - mean_t, prediction - mean_p
    power_t, power_p = _power(target, off_t), _power(prediction, off_p)
    overlap = np.sum(off_t * off_p, axis=0)
    slope = overlap / power_t
    return TraceScores(
        correlation=overlap / np.sqrt(power_t) / np.sqrt(power_p),
        slope=slope,
        intercept=mean_p - slope * mean_t,
    )


def _power(traces: Float, off: Float) -> Float:
    """Return the sum of squares of each trace less its mean; NaN where the trace is constant, or nearly so."""
    power = np.sum(off**2, axis=0)
    return np.where((np.ptp(traces, axis=0) > 0) & (power > 0), power, np.nan)
