"""Scores of one prediction against its target: a table per frame and scores of the movie, in one pass."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from .casts import Cast, apply_cast, as_study_uint16
from .frames import Array, Float, Frames, block_pair, check_data_range, frame_pair
from .microssim import MicroSsim, fit_microssim
from .pixels import PixelMoments, PixelSums, mean_correlation
from .psnr import psnr, si_psnr
from .regression import Regression, regression
from .snr import FramePower, Snr, frame_power, snr
from .ssim import ssim
from .workers import ordered_map

_BLOCK = 32  # frames handed to the scorer at a time by score_movie


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreProtocol:
    """What a score depends on besides the two movies. There is no default: a wrong guess is a wrong table.

    Attributes
    ----------
    data_range : float
        For psnr and ssim, camera counts after the cast.
    cast : callable or None
        Applied to both movies first; ``None`` takes values as they are.
    every : int
        MicroSSIM is fitted to frames ``[::every]``.
    """

    data_range: float
    cast: Cast | None
    every: int


STUDY_PROTOCOL = ScoreProtocol(data_range=65535.0, cast=as_study_uint16, every=10)
"""The published MOUSENEU_LP table: MOUSENEU_LP_EVALUATION.ipynb, cell 3, commit 50970a3 of the study."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FrameScores:
    """Scores per frame, arrays of shape (T,), float64; row i is frame i.

    Attributes
    ----------
    psnr, si_psnr : ndarray
        dB.
    ssim, microssim : ndarray
        Without unit. ``microssim`` is NaN throughout where no fit was given.
    """

    psnr: Float
    si_psnr: Float
    ssim: Float
    microssim: Float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MovieScores:
    """Scores of a whole movie.

    Attributes
    ----------
    frames : FrameScores
        Per frame.
    snr : Snr
        sSNR, tSNR and stSNR, as defined and centred.
    regression : Regression
        Of prediction on target.
    temporal_correlation : float
        Pearson over time at every pixel, averaged over the pixels that change in both movies.
    target_noise : float
        ``mean((target[t + 1] - target[t])**2) / 2``, squared camera counts: noise variance of the target where
        the scene hardly moves between frames; NaN for a single frame.
    pixels : PixelMoments
        Of target and prediction, for ``umse``.
    """

    frames: FrameScores
    snr: Snr
    regression: Regression
    temporal_correlation: float
    target_noise: float
    pixels: PixelMoments


class MovieScorer:
    """Scores a movie block by block. Memory does not grow with its length but for the table itself.

    Every number is the same for every number of threads and every way to cut the movie into blocks.

    Parameters
    ----------
    protocol : ScoreProtocol
    microssim : MicroSsim or None
        From ``fit_microssim`` on the same movies with the same cast; ``None`` leaves that column NaN.
    threads : int
        Worker threads over frames.

    Raises
    ------
    ValueError
        If the data range is not positive.
    """

    def __init__(self, protocol: ScoreProtocol, *, microssim: MicroSsim | None, threads: int = 1) -> None:
        peak = check_data_range(protocol.data_range)
        self._score = partial(_score_frame, data_range=peak, microssim=microssim)
        self._cast = protocol.cast
        self._threads = threads
        self._rows: list[tuple[float, ...]] = []
        self._powers: list[FramePower] = []
        self._pixels = PixelSums()
        self._last: Array | None = None
        self._jump_power = 0.0

    def feed(self, target: Array, prediction: Array) -> None:
        """Score consecutive frames.

        Parameters
        ----------
        target, prediction : ndarray of shape (n, Y, X), both sides at least 7, 11 with microssim
            Integer or floating-point, camera counts. Blocks of a few dozen frames keep all threads busy.

        Raises
        ------
        ValueError
            If the shapes differ, are not (n, Y, X) or change from block to block.
        """
        block = block_pair(target, prediction, ("target", "prediction"))
        truth, guess = (apply_cast(movie, self._cast) for movie in block)
        for row, power in ordered_map(self._score, zip(truth, guess, strict=True), self._threads):
            self._rows.append(row)
            self._powers.append(power)
        for one, other in zip(truth, guess, strict=True):
            self._pixels.feed(one, other)
            if self._last is not None:
                jump = np.subtract(one, self._last, dtype=np.float64)
                self._jump_power += float(np.square(jump, out=jump).mean()) / 2
            self._last = one
        self._last = None if self._last is None else self._last.copy()

    def scores(self) -> MovieScores:
        """Return the scores of all frames fed so far.

        Raises
        ------
        ValueError
            If no frame was fed.
        """
        pixels = self._pixels.moments()
        columns = np.array(self._rows, dtype=np.float64).T
        return MovieScores(
            frames=FrameScores(psnr=columns[0], si_psnr=columns[1], ssim=columns[2], microssim=columns[3]),
            snr=snr(self._powers, pixels),
            regression=regression(pixels),
            temporal_correlation=mean_correlation(pixels.var_first, pixels.var_second, pixels.covariance),
            target_noise=self._jump_power / (pixels.frames - 1) if pixels.frames > 1 else math.nan,
            pixels=pixels,
        )


def _score_frame(
    pair: tuple[Array, Array], *, data_range: float, microssim: MicroSsim | None
) -> tuple[tuple[float, ...], FramePower]:
    """Return one row of the table and the powers of the frame."""
    target, prediction = frame_pair(*pair)
    row = (
        psnr(target, prediction, data_range),
        si_psnr(target, prediction),
        ssim(target, prediction, data_range),
        math.nan if microssim is None else microssim.score(target, prediction),
    )
    return row, frame_power(target, prediction)


def score_movie(target: Frames, prediction: Frames, protocol: ScoreProtocol, *, threads: int = 1) -> MovieScores:
    """Fit microssim, then score every frame: all scores of one movie in one call.

    Parameters
    ----------
    target, prediction : Frames of T frames, shape (Y, X), both sides at least 11
        Integer or floating-point, camera counts.
    protocol : ScoreProtocol
        ``STUDY_PROTOCOL`` for the published numbers.
    threads : int
        Worker threads; the result does not depend on it.

    Returns
    -------
    MovieScores

    Raises
    ------
    ValueError
        As ``fit_microssim`` and ``MovieScorer.feed``.
    """
    fit = fit_microssim(target, prediction, every=protocol.every, cast=protocol.cast, threads=threads)
    scorer = MovieScorer(protocol, microssim=fit, threads=threads)
    for start in range(0, len(target), _BLOCK):
        block = range(start, min(start + _BLOCK, len(target)))
        scorer.feed(np.stack([target[i] for i in block]), np.stack([prediction[i] for i in block]))
    return scorer.scores()
