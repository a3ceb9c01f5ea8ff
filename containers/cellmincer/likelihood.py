"""Upstream's trend: the most likely curve under Poisson-Gaussian noise.

Per pixel the loss is sum_t (y - mu)^2 / (2 v) + log(v) / 2 with v = max(alpha * mu + beta, v_min), mu a polynomial or
an exponential in time. Upstream minimises it over all pixels at once by L-BFGS; as pixels do not interact, Fisher
scoring for each pixel alone reaches the same minimum in a few steps, without holding the flank frames in memory.
Wang et al., npj Imaging 2024, doi 10.1038/s44303-024-00055-x.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre

if TYPE_CHECKING:
    from noise import NoiseLine
    from recording import Recording
    from trend import Piece

_STEPS = 8
_MAX_STEP = 0.5  # of the logarithm of a decay rate


def refine(recording: Recording, piece: Piece, noise: NoiseLine) -> Piece:
    """Move the trend of a segment to its most likely place.

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
    size = recording.block_frames()
    for _ in range(_STEPS):
        count, *shape = piece.coefficients.shape
        information = np.zeros((*shape, count, count))
        score = np.zeros((*shape, count))
        for first, last in piece.segment.flanks():
            for start in range(first, last, size):
                stop = min(start + size, last)
                frames = recording.frames(start, stop).astype(np.float64)
                slopes = _slopes(piece, np.arange(start, stop))
                weight, pull = _scoring(frames, piece.at(np.arange(start, stop)).astype(np.float64), noise)
                information += np.einsum("txy,tpxy,tqxy->xypq", weight, slopes, slopes, optimize=True)
                score += np.einsum("txy,tpxy->xyp", pull, slopes, optimize=True)
        piece = _moved(piece, information, score)
    return piece


def _scoring(frames: np.ndarray, mean: np.ndarray, noise: NoiseLine) -> tuple[np.ndarray, np.ndarray]:
    """Return Fisher information and score of the mean of every value."""
    variance = noise.variance(mean)
    slope = np.where(noise.alpha_median * mean + noise.beta_median > noise.global_min_variance, noise.alpha_median, 0)
    residual = frames - mean
    information = 1 / variance + slope**2 / (2 * variance**2)
    score = residual / variance + slope * (residual**2 / variance - 1) / (2 * variance)
    return information, score


def _slopes(piece: Piece, frames: np.ndarray) -> np.ndarray:
    """Return the derivative of the trend by its coefficients (a rate by its logarithm): (n, P, X, Y), float64."""
    scaled = piece.segment.scaled(frames)
    count, *shape = piece.coefficients.shape
    if not piece.exponential:
        basis = legendre.legvander(scaled, count - 1)
        return np.broadcast_to(basis[:, :, None, None], (len(frames), count, *shape))
    amplitude, rate, _ = piece.coefficients.astype(np.float64)
    decay = np.exp(-rate * (scaled[:, None, None] + 1))
    by_log_rate = -amplitude * rate * (scaled[:, None, None] + 1) * decay
    return np.stack([decay, by_log_rate, np.ones_like(decay)], axis=1)


def _moved(piece: Piece, information: np.ndarray, score: np.ndarray) -> Piece:
    count = information.shape[-1]
    ridge = 1e-9 * np.trace(information, axis1=-2, axis2=-1)[..., None, None] / count + 1e-30
    step = np.linalg.solve(information + ridge * np.eye(count), score[..., None])[..., 0]
    step = np.moveaxis(step, -1, 0)
    coefficients = piece.coefficients.astype(np.float64)
    if piece.exponential:
        coefficients[0] += step[0]
        coefficients[1] *= np.exp(np.clip(step[1], -_MAX_STEP, _MAX_STEP))
        coefficients[2] += step[2]
    else:
        coefficients += step
    return replace(piece, coefficients=coefficients.astype(np.float32))
