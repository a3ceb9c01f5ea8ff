"""The trend that does not follow activity: a polynomial through the quiet stretches of every pixel.

A line through all frames lies above the baseline of a pixel with transients, and leans to where they are. The network
is trained to fill in what the trend lacks, but far from a transient it falls back on the trend; a line that leans then
shows as a ramp. So stretches that stand out above the rest do not count.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre

if TYPE_CHECKING:
    from segments import Segment
    from trend import Piece

_BINS, _LEAST_BINS, _LEAST_FRAMES = 64, 8, 8  # stretches, and frames of each
_STANDS_OUT = 3.0  # standard deviations of a stretch, averaged over 3 x 3 pixels
_QUIET_SHARE = 0.25  # of the stretches; with fewer there is no baseline to see
_ROUNDS = 6
_PER_SECOND_DIFFERENCE = 1.4826 / np.sqrt(6)  # median of |a - 2 b + c| to standard deviation, for Gaussian noise
_ROWS = 32  # pixels along x solved at a time


class QuietFit:
    """Collect the means of up to 64 stretches of the fitted frames of a segment while they stream by.

    Parameters
    ----------
    segment : Segment
        What is fitted.
    shape : tuple of int
        (X, Y).
    order : int
        Order of the polynomial.
    """

    def __init__(self, segment: Segment, shape: tuple[int, int], order: int) -> None:
        fitted = sum(last - first for first, last in segment.flanks())
        self._segment = segment
        self._length = max(_LEAST_FRAMES, -(-fitted // _BINS))
        count = fitted // self._length
        self._frames = count * self._length  # a rest shorter than a stretch joins none
        self._means = np.zeros((count, *shape), np.float32)
        self._basis = np.zeros((count, order + 1))
        self._seen = 0

    def add(self, first: int, frames: np.ndarray) -> None:
        """Add consecutive frames, ndarray of shape (n, X, Y) in counts, of which `first` is the number of the first."""
        scaled = self._segment.scaled(np.arange(first, first + len(frames)))
        basis = legendre.legvander(scaled, self._basis.shape[1] - 1)
        for place in range(min(len(frames), self._frames - self._seen)):
            which = (self._seen + place) // self._length
            self._means[which] += frames[place] / np.float32(self._length)
            self._basis[which] += basis[place] / self._length
        self._seen += len(frames)

    def settled(self, piece: Piece) -> Piece:
        """Return a piece whose polynomial leaves out what stands out; pixels in which nothing does stay as they are.

        Parameters
        ----------
        piece : Piece
            Least squares through all frames.
        """
        if len(self._means) < _LEAST_BINS:
            return piece
        coefficients = piece.coefficients.copy()
        around = _box(self._means)
        for start in range(0, around.shape[1], _ROWS):
            rows = slice(start, start + _ROWS)
            quiet = _quiet(around[:, rows], self._basis)
            share = quiet.mean(axis=0)
            changed = (share < 1) & (share >= _QUIET_SHARE)
            fitted = _fit(self._means[:, rows], quiet, self._basis)
            coefficients[:, rows] = np.where(changed, fitted, coefficients[:, rows])
        return replace(piece, coefficients=coefficients)


def _quiet(means: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Return which stretches of which pixel do not stand out, nor follow or precede one that does: (n, X, Y), bool."""
    spread = _PER_SECOND_DIFFERENCE * np.median(np.abs(np.diff(means, 2, axis=0)), axis=0)
    quiet = np.ones(means.shape, bool)
    for turn in range(_ROUNDS):
        above = means - np.tensordot(basis, _fit(means, quiet, basis), 1)
        limit = np.median(above, axis=0) if turn == 0 else _STANDS_OUT * spread
        quiet = above <= limit
    loud = ~quiet
    quiet[1:] &= ~loud[:-1]
    quiet[:-1] &= ~loud[1:]
    return quiet


def _fit(means: np.ndarray, quiet: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Return the least squares coefficients through the quiet stretches of every pixel: (P, X, Y)."""
    weights = quiet.astype(np.float64)
    gram = np.einsum("nxy,np,nq->xypq", weights, basis, basis, optimize=True)
    sums = np.einsum("nxy,nxy,np->xyp", weights, means, basis, optimize=True)
    inverse = np.linalg.pinv(gram, rcond=1e-8, hermitian=True)
    return np.moveaxis(np.einsum("xypq,xyq->xyp", inverse, sums), -1, 0)


def _box(means: np.ndarray) -> np.ndarray:
    """Average over 3 x 3 pixels, the edge repeated."""
    padded = np.pad(means, ((0, 0), (1, 1), (1, 1)), mode="edge")
    down = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return (down[:, :, :-2] + down[:, :, 1:-1] + down[:, :, 2:]) / np.float32(9)
