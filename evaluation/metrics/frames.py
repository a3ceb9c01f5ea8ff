"""Frames as the metrics take them: two-dimensional, real-valued, in pairs of equal shape."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Float = NDArray[np.float64]


class Frames(Protocol):
    """A movie that hands out one frame at a time.

    An array of shape (T, Y, X), a memory map and a list of (Y, X) arrays all qualify.
    Frames may be asked for more than once, always from the thread that called the metric.
    """

    def __len__(self) -> int:
        """Return the number of frames T."""

    def __getitem__(self, index: int, /) -> Array:
        """Return frame ``index``, shape (Y, X)."""


def frame_pair(target: Array, prediction: Array, smallest: int = 1) -> tuple[Array, Array]:
    """Return a target and a prediction frame, checked, values untouched.

    Parameters
    ----------
    target, prediction : ndarray of shape (Y, X)
        Frames, integer or floating-point.
    smallest : int
        Pixels that each side of the frame must have at least.

    Returns
    -------
    target, prediction : ndarray of shape (Y, X)

    Raises
    ------
    ValueError
        If a frame is not two-dimensional, is smaller than ``smallest``, is neither integer nor floating-point,
        or the shapes differ.
    """
    pair = np.asarray(target), np.asarray(prediction)
    shape = pair[0].shape
    if pair[1].shape != shape:
        message = f"target and prediction: expected equal shapes, got {shape} and {pair[1].shape}"
        raise ValueError(message)
    if len(shape) != 2 or min(shape) < smallest:  # noqa: PLR2004 - a frame has two axes
        message = f"frame: expected shape (Y, X) with at least {smallest} pixels a side, got {shape}"
        raise ValueError(message)
    if any(frame.dtype.kind not in "iuf" for frame in pair):
        message = f"frame: expected integer or floating-point values, got {pair[0].dtype} and {pair[1].dtype}"
        raise ValueError(message)
    return pair


def check_data_range(data_range: float) -> float:
    """Return a declared data range, refusing values that make no score.

    Parameters
    ----------
    data_range : float
        Largest minus smallest possible intensity, in the units of the frames.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the range is not a finite positive number.
    """
    if not (np.isfinite(data_range) and data_range > 0):
        message = f"data_range: expected a finite number above 0, got {data_range!r}"
        raise ValueError(message)
    return float(data_range)


def block_pair(first: Array, second: Array, names: tuple[str, str]) -> tuple[Array, Array]:
    """Return two blocks of frames, checked for equal shape, values untouched.

    Parameters
    ----------
    first, second : ndarray of shape (n, Y, X)
        Consecutive frames of two movies.
    names : tuple of str
        Names of the two movies for the error message.

    Returns
    -------
    first, second : ndarray of shape (n, Y, X)

    Raises
    ------
    ValueError
        If a block is not three-dimensional or the shapes differ.
    """
    pair = np.asarray(first), np.asarray(second)
    if pair[0].ndim != 3 or pair[0].shape != pair[1].shape:  # noqa: PLR2004 - a block has three axes
        message = (
            f"{names[0]} and {names[1]}: expected two blocks of equal shape (n, Y, X), "
            f"got {pair[0].shape} and {pair[1].shape}"
        )
        raise ValueError(message)
    return pair
