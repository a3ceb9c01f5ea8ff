"""Which parts of a movie the checks of activity read: short stretches in coarse pixels, the same for any length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from numpy.typing import NDArray

    from evaluation.metrics import Frames

    Floats = NDArray[np.floating[Any]]

STRETCH_FRAMES = 128
_STRETCHES = 16  # at most, evenly spread: what is read, and its memory, does not grow with the movie
_SIDE = 256  # pixels along the longer side after binning
LEAST_FRAMES = 48  # a movie must have for its activity to be tested


def stretches(frames: int) -> list[tuple[int, int]]:
    """Return start and stop of the stretches to read; a short movie is one stretch."""
    count = frames // STRETCH_FRAMES
    if count <= 1:
        return [(0, frames)] if frames >= LEAST_FRAMES else []
    chosen = np.unique(np.linspace(0, count - 1, min(count, _STRETCHES)).round().astype(int))
    length = frames // count
    return [(int(one) * length, int(one) * length + length) for one in chosen]


def bin_factor(shape: tuple[int, ...]) -> int:
    """Return how many pixels along y and x become one."""
    return -(-max(shape) // _SIDE)


def coarse(movie: Frames, start: int, stop: int, factor: int) -> Floats:
    """Return frames ``start <= t < stop``, float32, the mean of `factor` x `factor` pixels in each; the rest is cut."""
    return np.stack([binned(np.asarray(movie[frame], np.float32), factor) for frame in range(start, stop)])


def binned(image: Floats, factor: int) -> Floats:
    """Return means over squares of `factor` pixels; rows and columns that fill no square are left out."""
    if factor == 1:
        return image
    height, width = (side // factor for side in image.shape)
    squares = image[: height * factor, : width * factor].reshape(height, factor, width, factor)
    return np.asarray(squares.mean(axis=(1, 3)))


def without_trend(series: Floats) -> Floats:
    """Subtract the straight line over time (the first axis) from every series."""
    time = np.arange(len(series), dtype=series.dtype)
    time -= time.mean()
    slope = np.tensordot(time, series, axes=1) / (time**2).sum()
    centred = series - series.mean(axis=0)
    centred -= time.reshape(-1, *(1,) * (series.ndim - 1)) * slope
    return np.asarray(centred)


def robust_sd(values: Floats) -> Floats:
    """Return the standard deviation of normal noise with this median absolute deviation over the first axis."""
    return np.asarray(1.4826 * np.median(np.abs(values - np.median(values, axis=0)), axis=0))


def stretches_of(raw: Frames, denoised: Frames, factor: int) -> Iterator[tuple[Floats, Floats]]:
    """Yield the stretches of two movies, each of shape (L, Y, X), float32, coarse."""
    for start, stop in stretches(len(raw)):
        yield coarse(raw, start, stop, factor), coarse(denoised, start, stop, factor)
