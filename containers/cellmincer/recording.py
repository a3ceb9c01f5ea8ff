"""A movie as CellMincer sees it: float32 frames of shape (X, Y), read a few at a time.

Upstream's axis order is (t, x, y) with x the width, and its weights and features depend on it. Only this module and
the writing of predictions know that files are (t, y, x).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from contract.memory import give_back

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.stacks import Stack

_BLOCK_BYTES = 1 << 26  # of float32 frames read at a time
_WHOLE = slice(None)


class Source(Protocol):
    """Frames of shape (T, Y, X) in the dtype of the file."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def window(self, start: int, stop: int, rows: slice, columns: slice) -> np.ndarray:
        """Return frames [start, stop) of a window: ndarray of shape (n, Y, X)."""


class Streamed:
    """A stack read from its file, whole frames at a time; memory does not depend on its length."""

    def __init__(self, stack: Stack) -> None:
        self.shape, self.dtype = stack.shape, stack.dtype
        self._stack = stack

    def window(self, start: int, stop: int, rows: slice, columns: slice) -> np.ndarray:
        """Read whole frames and cut the window out of them."""
        give_back()  # before there is more to hold
        return self._stack.frames(start, stop)[:, rows, columns]


class Mapped:
    """An array, usually mapped from a file, for the random access of training."""

    def __init__(self, array: np.ndarray) -> None:
        self.shape, self.dtype = array.shape, array.dtype
        self._array = array

    def window(self, start: int, stop: int, rows: slice, columns: slice) -> np.ndarray:
        """Touch only the window."""
        return self._array[start:stop, rows, columns]


class Recording:
    """Frames in upstream's axis order, dejittered when asked.

    Parameters
    ----------
    source : Source
        Frames of shape (T, Y, X).
    name : str
        Name for messages.

    Attributes
    ----------
    shape : tuple of int
        (T, X, Y).
    dtype : numpy.dtype
        dtype of the file; an integer one has a known rounding error.
    gain : ndarray of shape (T,), float32, or None
        Factor of each frame above `offset`, from dejittering.
    offset : float
        Camera offset that `gain` leaves alone, counts.
    """

    def __init__(self, source: Source, name: str) -> None:
        self._source = source
        self.name = name
        self.shape = (source.shape[0], source.shape[2], source.shape[1])
        self.dtype = source.dtype
        self.gain: np.ndarray | None = None
        self.offset = 0.0

    def __len__(self) -> int:
        return self.shape[0]

    def frames(self, start: int, stop: int, xs: slice = _WHOLE, ys: slice = _WHOLE) -> np.ndarray:
        """Read frames [start, stop).

        Parameters
        ----------
        start, stop : int
            Frame numbers.
        xs, ys : slice, optional
            Window.

        Returns
        -------
        ndarray of shape (n, X, Y), float32
            Counts.
        """
        block = self._source.window(start, stop, ys, xs).transpose(0, 2, 1).astype(np.float32, order="C")
        if self.gain is not None:
            lifted = np.maximum(block - self.offset + 1e-8, 1.0)
            block = lifted * self.gain[start:stop, None, None] + np.float32(self.offset)
        return block

    def gather(self, indices: np.ndarray, xs: slice = _WHOLE, ys: slice = _WHOLE) -> np.ndarray:
        """Read frames in any order, neighbours together.

        Parameters
        ----------
        indices : ndarray of shape (n,), int
            Frame numbers, repeats allowed.
        xs, ys : slice, optional
            Window.

        Returns
        -------
        ndarray of shape (n, X, Y), float32
            Counts.
        """
        first, last = int(indices.min()), int(indices.max())
        if last - first < 2 * len(indices):
            return self.frames(first, last + 1, xs, ys)[indices - first]
        unique, inverse = np.unique(indices, return_inverse=True)
        runs = np.split(unique, np.flatnonzero(np.diff(unique) > 1) + 1)
        return np.concatenate([self.frames(int(run[0]), int(run[-1]) + 1, xs, ys) for run in runs])[inverse]

    def block_frames(self) -> int:
        """Return how many frames to read at a time: 8 to 64, by their size."""
        return int(np.clip(_BLOCK_BYTES // (4 * self.shape[1] * self.shape[2]), 8, 64))

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the number of the first frame and the frames, block by block."""
        size = self.block_frames()
        for start in range(0, len(self), size):
            yield start, self.frames(start, min(start + size, len(self)))
