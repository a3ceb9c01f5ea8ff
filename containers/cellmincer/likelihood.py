"""Upstream's trend: the most likely curve under Poisson-Gaussian noise.

Per pixel the loss is sum_t (y - mu)^2 / (2 v) + log(v) / 2 with v = max(alpha * mu + beta, v_min), mu a polynomial or
an exponential in time. Upstream minimises it over all pixels at once by L-BFGS. Pixels do not interact, so here each
goes downhill alone by Fisher scoring, without holding the flank frames in memory. Both agree on constants.
Beyond, upstream's search in float32 can stop early, and on steep noise lines a loss can have several minima.
Wang et al., npj Imaging 2024, doi 10.1038/s44303-024-00055-x.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.polynomial import legendre

if TYPE_CHECKING:
    from noise import NoiseLine
    from recording import Recording
    from trend import Piece

_PASSES = 60
_SETTLED = 1e-7  # expected fall of the loss, which is a logarithm of a likelihood, below which a pixel rests
_HALVINGS = 24  # a step halved so often has no length left
_MAX_STEP = 0.5  # of the logarithm of a decay rate


def refine(recording: Recording, piece: Piece, noise: NoiseLine) -> Piece:
    """Move the trend of a segment downhill to a place where it is most likely; no pixel ends less likely than it began.

    A step that makes a pixel less likely is halved until it does not.

    Parameters
    ----------
    recording : Recording
        Movie; the flank frames of the segment are read once for each step.
    piece : Piece
        Start, from least squares.
    noise : NoiseLine
        alpha, beta and the floor of the variance.

    Returns
    -------
    Piece
        Same segment and kind.
    """
    best = piece.coefficients.astype(np.float64)
    least = np.full(best.shape[1:], np.inf)
    step, halvings = np.zeros_like(best), np.zeros(best.shape[1:], np.int64)
    for _ in range(_PASSES):
        tried = _moved(best, step, exponential=piece.exponential)
        slope = _slope(recording, replace(piece, coefficients=tried), noise)
        better = slope.loss < least
        best, least = np.where(better, tried, best), np.where(better, slope.loss, least)
        fresh, fall = slope.step()
        fresh[:, fall < _SETTLED] = 0
        halvings = np.where(better, 0, halvings + 1)
        step = np.where(better, fresh, np.where(halvings < _HALVINGS, step / 2, 0))
        if not step.any():
            break
    return replace(piece, coefficients=best.astype(np.float32))


class _Slope(NamedTuple):
    """Loss of every pixel (X, Y), and by its coefficients score (X, Y, P) and Fisher information (X, Y, P, P)."""

    loss: np.ndarray
    score: np.ndarray
    information: np.ndarray

    def step(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the step of Fisher scoring, (P, X, Y), and how far the loss would fall along it, (X, Y)."""
        count = self.information.shape[-1]
        ridge = 1e-9 * np.trace(self.information, axis1=-2, axis2=-1)[..., None, None] / count + 1e-30
        step = np.linalg.solve(self.information + ridge * np.eye(count), self.score[..., None])[..., 0]
        return np.moveaxis(step, -1, 0), (self.score * step).sum(axis=-1)


def _slope(recording: Recording, piece: Piece, noise: NoiseLine) -> _Slope:
    size = recording.block_frames()
    count, *shape = piece.coefficients.shape
    sums = _Slope(np.zeros(shape), np.zeros((*shape, count)), np.zeros((*shape, count, count)))
    for first, last in piece.segment.flanks():
        for start in range(first, last, size):
            stop = min(start + size, last)
            frames = recording.frames(start, stop).astype(np.float64)
            mean, slopes = _curve(piece, np.arange(start, stop))
            loss, pull, weight = _scoring(frames, mean, noise)
            sums.loss[...] += loss
            sums.score[...] += np.einsum("txy,tpxy->xyp", pull, slopes, optimize=True)
            sums.information[...] += np.einsum("txy,tpxy,tqxy->xypq", weight, slopes, slopes, optimize=True)
    return sums


def _scoring(frames: np.ndarray, mean: np.ndarray, noise: NoiseLine) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the loss of every pixel, and score and Fisher information of the mean of every value."""
    variance = noise.variance(mean)
    slope = np.where(noise.alpha_median * mean + noise.beta_median > noise.global_min_variance, noise.alpha_median, 0)
    residual = frames - mean
    loss = (residual**2 / (2 * variance) + 0.5 * np.log(variance)).sum(axis=0)
    information = 1 / variance + slope**2 / (2 * variance**2)
    score = residual / variance + slope * (residual**2 / variance - 1) / (2 * variance)
    return loss, score, information


def _curve(piece: Piece, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the trend, (n, X, Y), and its derivatives by the coefficients (a rate by its logarithm), (n, P, X, Y)."""
    scaled = piece.segment.scaled(frames)
    count, *shape = piece.coefficients.shape
    if not piece.exponential:
        basis = legendre.legvander(scaled, count - 1)
        slopes = np.broadcast_to(basis[:, :, None, None], (len(frames), count, *shape))
        return np.tensordot(basis, piece.coefficients, 1), slopes
    amplitude, rate, rest = piece.coefficients
    decay = np.exp(-rate * (scaled[:, None, None] + 1))
    by_log_rate = -amplitude * rate * (scaled[:, None, None] + 1) * decay
    return amplitude * decay + rest, np.stack([decay, by_log_rate, np.ones_like(decay)], axis=1)


def _moved(coefficients: np.ndarray, step: np.ndarray, *, exponential: bool) -> np.ndarray:
    if not exponential:
        return coefficients + step
    factor = np.exp(np.clip(step[1], -_MAX_STEP, _MAX_STEP))
    return np.stack([coefficients[0] + step[0], coefficients[1] * factor, coefficients[2] + step[2]])
