"""Means of movies that do not fit into memory, equal to NumPy's to the last bit."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

import numpy as np

from contract.errors import JobRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.stacks import Stack

_PIXELS_AT_ONCE = 1 << 20  # read at a time
_NUMPY_BUFFER = 8192  # NumPy 1.26 sums that many numbers pairwise and adds these sums one after another


def mean_for_training(stack: Stack, frames: int) -> np.float32:
    """Return what upstream subtracts in training: the float32 mean of a movie converted to float32.

    Parameters
    ----------
    stack : Stack
        Movie of shape (T, Y, X).
    frames : int
        How many frames, from the start, count.

    Returns
    -------
    numpy.float32
        Bit-identical to ``movie[:frames].astype(numpy.float32).mean()``.
    """
    return _float32_mean(stack, frames)


def mean_for_prediction(stack: Stack) -> np.float32:
    """Return what upstream subtracts in prediction: the mean of a movie in its own dtype, rounded to float32.

    Parameters
    ----------
    stack : Stack
        Movie of shape (T, Y, X).

    Returns
    -------
    numpy.float32
        Bit-identical to ``numpy.float32(movie.mean())``.
    """
    if stack.dtype.kind == "f":
        return _float32_mean(stack, stack.shape[0])
    total = sum(int(block.sum(dtype=np.int64)) for block in stack.blocks(_frames_at_once(stack)))
    return np.float32(np.float64(total) / (stack.shape[0] * stack.shape[1] * stack.shape[2]))


def _float32_mean(stack: Stack, frames: int) -> np.float32:
    count = frames * stack.shape[1] * stack.shape[2]
    total = np.float32(0)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused below
        for pixels in _pieces(stack, frames):
            whole = len(pixels) // _NUMPY_BUFFER * _NUMPY_BUFFER
            sums = np.add.reduce(pixels[:whole].reshape(-1, _NUMPY_BUFFER), axis=1)
            rest = [np.add.reduce(pixels[whole:])] if whole < len(pixels) else []
            total = np.add.accumulate(np.array([total, *sums, *rest], np.float32))[-1]
    mean = np.float32(float(total) / count)
    if not np.isfinite(mean):
        message = f"{stack.path}: expected finite intensities, got a mean of {mean}"
        raise JobRefused(message)
    return mean


def _pieces(stack: Stack, frames: int) -> Iterator[np.ndarray]:
    """Yield the flattened movie as float32; every piece but the last is a multiple of NumPy's buffer long."""
    left = np.empty(0, np.float32)
    for start in range(0, frames, _frames_at_once(stack)):
        block = stack.frames(start, min(start + _frames_at_once(stack), frames))
        pixels = np.concatenate([left, block.reshape(-1).astype(np.float32)])
        whole = len(pixels) // _NUMPY_BUFFER * _NUMPY_BUFFER
        yield pixels[:whole]
        left = pixels[whole:]
    yield left


def _frames_at_once(stack: Stack) -> int:
    return max(1, _PIXELS_AT_ONCE // (stack.shape[1] * stack.shape[2]))


class Centred:
    """A movie minus its mean as upstream's `trainset` sees it, made float32 only where it is looked at.

    Parameters
    ----------
    pixels : numpy.memmap of shape (T, Y, X)
        Movie in its own dtype, mapped from disk.
    mean : numpy.float32
        What is subtracted.
    """

    def __init__(self, pixels: np.memmap, mean: np.float32) -> None:
        self._pixels = pixels
        self._mapping: mmap.mmap = pixels.base
        self._mean = mean

    def __getitem__(self, window: tuple[slice, slice, slice]) -> np.ndarray:
        """Return a window as float32."""
        centred = self._pixels[window].astype(np.float32) - self._mean
        # What was read would stay in the memory of this process; the cache of the system keeps it all the same.
        self._mapping.madvise(mmap.MADV_DONTNEED)
        return centred
