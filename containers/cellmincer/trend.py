"""The trend of every pixel: a polynomial or an exponential in time, fitted on the flank frames of each segment.

Least squares from sums that are collected in one pass, so a movie of any length needs the same memory.
`likelihood` refines it the way upstream does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre

if TYPE_CHECKING:
    from segments import Segment

_WHOLE = slice(None)
_RATES = np.geomspace(0.05, 40, 40)  # decay rates tried, in units of 1 / (half a segment)


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """The trend of one segment.

    Parameters
    ----------
    segment : Segment
        Where it holds.
    coefficients : ndarray of shape (P, X, Y), float32
        Polynomial: of the Legendre polynomials of time scaled to -1 .. 1, counts.
        Exponential: a (counts), rate (1 / scaled time) and b (counts) of a * exp(-rate * (u + 1)) + b.
    exponential : bool
        Which of the two.
    """

    segment: Segment
    coefficients: np.ndarray
    exponential: bool

    def at(self, frames: np.ndarray, xs: slice = _WHOLE, ys: slice = _WHOLE) -> np.ndarray:
        """Evaluate at frame numbers inside the segment: ndarray of shape (n, X, Y), float32, counts."""
        scaled = self.segment.scaled(frames)
        window = self.coefficients[:, xs, ys]
        if self.exponential:
            amplitude, rate, rest = window
            return amplitude * np.exp(-rate * (scaled[:, None, None] + 1).astype(np.float32)) + rest
        basis = legendre.legvander(scaled, len(window) - 1).astype(np.float32)
        return np.tensordot(basis, window, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trend:
    """The trend of a movie, one piece for each segment in order."""

    pieces: tuple[Piece, ...]

    def at(self, frames: np.ndarray, xs: slice = _WHOLE, ys: slice = _WHOLE) -> np.ndarray:
        """Evaluate the trend.

        Parameters
        ----------
        frames : ndarray of shape (n,), int
            Frame numbers in any order.
        xs, ys : slice, optional
            Window.

        Returns
        -------
        ndarray of shape (n, X, Y), float32
            Counts.
        """
        if len(self.pieces) == 1:
            return self.pieces[0].at(frames, xs, ys)
        starts = [piece.segment.start for piece in self.pieces]
        owner = np.searchsorted(starts, frames, side="right") - 1
        parts = {int(index): self.pieces[index].at(frames[owner == index], xs, ys) for index in np.unique(owner)}
        made = np.empty((len(frames), *next(iter(parts.values())).shape[1:]), np.float32)
        for index, part in parts.items():
            made[owner == index] = part
        return made


class TrendFit:
    """Least squares for one segment, from sums over the frames it is given.

    Parameters
    ----------
    segment : Segment
        What is fitted.
    shape : tuple of int
        (X, Y).
    order : int
        Order of the polynomial.
    exponential : bool
        Fit a * exp(-rate * (u + 1)) + b instead: for each pixel the best rate of a fixed ladder, refined between
        its neighbours by a parabola through the explained variance; given the rate, a and b are linear.
    """

    def __init__(self, segment: Segment, shape: tuple[int, int], order: int, *, exponential: bool) -> None:
        self._segment, self._exponential, self._order = segment, exponential, order
        count = len(_RATES) + 1 if exponential else order + 1
        self._sums = np.zeros((count, *shape))
        self._gram = np.zeros((count, count))

    def add(self, first: int, frames: np.ndarray) -> None:
        """Add consecutive frames, ndarray of shape (n, X, Y) in counts, of which `first` is the number of the first."""
        basis = self._basis(self._segment.scaled(np.arange(first, first + len(frames))))
        flat = frames.reshape(len(frames), -1).astype(np.float64)
        self._sums += (basis.T @ flat).reshape(self._sums.shape)
        self._gram += basis.T @ basis

    def solve(self) -> Piece:
        """Return the trend of the segment."""
        coefficients = self._solve_exponential() if self._exponential else self._solve_polynomial()
        return Piece(segment=self._segment, coefficients=coefficients.astype(np.float32), exponential=self._exponential)

    def _basis(self, scaled: np.ndarray) -> np.ndarray:
        if self._exponential:
            decays = np.exp(-np.outer(scaled + 1, _RATES))
            return np.column_stack([decays, np.ones(len(scaled))])
        return legendre.legvander(scaled, self._order)

    def _solve_polynomial(self) -> np.ndarray:
        inverse = np.linalg.pinv(self._gram, rcond=1e-10, hermitian=True)
        return np.tensordot(inverse, self._sums, 1)

    def _solve_exponential(self) -> np.ndarray:
        explained = np.stack([self._line(slot)[2] for slot in range(len(_RATES))])
        best = np.clip(explained.argmax(axis=0), 1, len(_RATES) - 2)
        before, here, after = (np.take_along_axis(explained, (best + step)[None], 0)[0] for step in (-1, 0, 1))
        bend = before - 2 * here + after
        safe = np.where(bend < 0, bend, -1)
        step = np.clip(np.where(bend < 0, 0.5 * (before - after) / safe, 0), -1, 1)
        weights = np.stack([step * (step - 1) / 2, 1 - step**2, step * (step + 1) / 2])
        rate = _RATES[best] * (_RATES[1] / _RATES[0]) ** step
        lines = np.stack([np.stack(self._line(slot)[:2]) for slot in range(len(_RATES))])
        near = np.stack([np.take_along_axis(lines, (best + shift)[None, None], 0)[0] for shift in (-1, 0, 1)])
        amplitude, rest = (weights[:, None] * near).sum(axis=0)
        return np.stack([amplitude, rate, rest])

    def _line(self, slot: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return a, b and the explained sum of squares with the rate of one rung of the ladder."""
        chosen = np.array([slot, len(_RATES)])
        inverse = np.linalg.pinv(self._gram[np.ix_(chosen, chosen)], rcond=1e-10, hermitian=True)
        sums = self._sums[chosen]
        amplitude, rest = np.tensordot(inverse, sums, 1)
        return amplitude, rest, amplitude * sums[0] + rest * sums[1]
