"""Scores of a movie without a clean target, from its residual: noisy minus prediction.

A perfect residual is noise: zero on average, with the variance the camera makes at that brightness, independent
between neighbours and of the prediction. Each score below is one way to fail that.
None of them alone proves a good result: the unchanged movie has a perfect residual of zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .frames import Array, Float, block_pair
from .lags import LagCorrelation
from .noise_level import DifferenceMedian, check_frame_rate
from .pixels import PixelMoments, PixelSums, mean_correlation


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ResidualScores:
    """Scores of residual r = noisy - prediction; NaN where undefined.

    Attributes
    ----------
    mean, sd : float
        Of r over pixels and frames, camera counts. Mean away from 0: the offset moved.
    frame_mean, frame_sd : ndarray of shape (T,), float64
        Of r per frame, camera counts. Catches flicker, removed bleaching, bad first and last frames.
    noise_gain : float
        Slope over pixels of var(r) over time against the mean prediction, camera counts. For shot noise the gain
        of the camera; near 0 for an unchanged movie.
    noise_offset : float
        Its intercept, squared camera counts: read noise, if the camera offset was subtracted.
    autocorrelation_t, autocorrelation_y, autocorrelation_x : float
        Of r between neighbouring frames, rows and columns. Away from 0: signal was removed, or the noise is
        correlated itself (line noise, detector bleed).
    correlation : float
        Of r with the prediction over pixels and frames. Away from 0: structure leaked into the residual.
    temporal_correlation : float
        The same over time at every pixel, averaged over pixels. Above 0: transients are damped.
    noise_level_before, noise_level_after : float or None
        Median absolute difference of neighbouring frames over the square root of the frame rate, of the noisy
        movie and the prediction, camera counts per square root of Hz; None where the frame rate is unknown.
    temporal_smoothness : float
        1 minus the ratio of mean squared differences of neighbouring frames, prediction to noisy: 0 unchanged,
        1 frozen, below 0 rougher than before. High values without a target say smooth, not right.
    """

    mean: float
    sd: float
    frame_mean: Float
    frame_sd: Float
    noise_gain: float
    noise_offset: float
    autocorrelation_t: float
    autocorrelation_y: float
    autocorrelation_x: float
    correlation: float
    temporal_correlation: float
    noise_level_before: float | None
    noise_level_after: float | None
    temporal_smoothness: float


class ResidualScorer:
    """Streamed scores without a target. Memory: about a dozen float64 images and two numbers per frame.

    Parameters
    ----------
    frame_rate_hz : float or None
        ``None`` where it is unknown: then there is no noise level.

    Raises
    ------
    ValueError
        If the frame rate is not positive.
    """

    def __init__(self, frame_rate_hz: float | None) -> None:
        self._rate = None if frame_rate_hz is None else check_frame_rate(frame_rate_hz)
        self._pixels = PixelSums()
        self._lag_t, self._lag_y, self._lag_x = LagCorrelation(), LagCorrelation(), LagCorrelation()
        self._jumps = (DifferenceMedian(), DifferenceMedian())
        self._jump_power = np.zeros(2)
        self._frames: list[tuple[float, float]] = []
        self._last: tuple[Float, Float] | None = None

    def feed(self, noisy: Array, prediction: Array) -> None:
        """Add consecutive frames.

        Parameters
        ----------
        noisy, prediction : ndarray of shape (n, Y, X)
            Integer or floating-point, camera counts, finite.

        Raises
        ------
        ValueError
            If the shapes differ or are not (n, Y, X).
        """
        for before, after in zip(*block_pair(noisy, prediction, ("noisy", "prediction")), strict=True):
            self._feed_frame(before.astype(np.float64), after.astype(np.float64))

    def _feed_frame(self, noisy: Float, prediction: Float) -> None:
        self._pixels.feed(prediction, noisy)
        residual = noisy - prediction
        self._frames.append((float(residual.mean()), float(residual.std())))
        self._lag_y.feed(residual[1:], residual[:-1])
        self._lag_x.feed(residual[:, 1:], residual[:, :-1])
        if self._last is not None:
            self._lag_t.feed(residual, self._last[0] - self._last[1])
            for index, (now, then) in enumerate(zip((noisy, prediction), self._last, strict=True)):
                jump = now - then
                if self._rate is not None:
                    self._jumps[index].feed(jump)
                self._jump_power[index] += float(np.square(jump, out=jump).mean())
        self._last = noisy, prediction

    def scores(self) -> ResidualScores:
        """Return the scores of all frames fed so far.

        Raises
        ------
        ValueError
            If no frame was fed.
        """
        pixels = self._pixels.moments()
        # The residual is minus the error of (prediction, noisy).
        pooled = pixels.pooled_error()
        noise_gain, noise_offset = _noise_law(pixels)
        rough_before, rough_after = self._jump_power.tolist()
        return ResidualScores(
            mean=-pooled.mean_second,
            sd=math.sqrt(pooled.var_second),
            frame_mean=np.array([mean for mean, _ in self._frames]),
            frame_sd=np.array([sd for _, sd in self._frames]),
            noise_gain=noise_gain,
            noise_offset=noise_offset,
            autocorrelation_t=self._lag_t.correlation(),
            autocorrelation_y=self._lag_y.correlation(),
            autocorrelation_x=self._lag_x.correlation(),
            correlation=-pooled.correlation,
            temporal_correlation=-mean_correlation(pixels.var_first, pixels.var_error, pixels.cov_error),
            noise_level_before=self._noise_level(self._jumps[0]),
            noise_level_after=self._noise_level(self._jumps[1]),
            temporal_smoothness=1 - rough_after / rough_before if rough_before > 0 else math.nan,
        )

    def _noise_level(self, jumps: DifferenceMedian) -> float | None:
        return None if self._rate is None else jumps.median() / math.sqrt(self._rate)


def _noise_law(pixels: PixelMoments) -> tuple[float, float]:
    """Return slope and intercept over pixels of the residual's sample variance on the mean prediction."""
    if pixels.frames < 2:  # noqa: PLR2004 - a variance takes two frames
        return math.nan, math.nan
    variance = pixels.var_error * (pixels.frames / (pixels.frames - 1))
    brightness = pixels.mean_first - pixels.mean_first.mean()
    power = float(np.sum(brightness**2))
    if power == 0:
        return math.nan, math.nan
    slope = float(np.sum(brightness * variance)) / power
    return slope, float(variance.mean() - slope * pixels.mean_first.mean())
