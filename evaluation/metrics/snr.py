"""Signal-to-noise ratio of a movie in space and in time: the scores of AI4Life-CIDC25, and centred ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .scratch import SCRATCH

if TYPE_CHECKING:
    from .frames import Array, Float
    from .pixels import PixelMoments


@dataclass(frozen=True, kw_only=True, slots=True)
class Snr:
    """Signal-to-noise ratios of a movie, dB.

    Attributes
    ----------
    spatial : float
        sSNR, mean over frames.
    temporal : float
        tSNR, mean over pixels.
    spatial_centred, temporal_centred : float
        The same with the target's mean (of the frame; of the pixel over time) subtracted from both movies.
    """

    spatial: float
    temporal: float
    spatial_centred: float
    temporal_centred: float

    @property
    def spatiotemporal(self) -> float:
        """The stSNR, ``(sSNR + tSNR) / 2``, dB."""
        return (self.spatial + self.temporal) / 2

    @property
    def spatiotemporal_centred(self) -> float:
        """The stSNR of the centred ratios, dB."""
        return (self.spatial_centred + self.temporal_centred) / 2


@dataclass(frozen=True, kw_only=True, slots=True)
class FramePower:
    """Powers of one frame, squared camera counts.

    Attributes
    ----------
    signal : float
        Mean of ``target**2``.
    centred : float
        Population variance of the target.
    error : float
        Mean of ``(target - prediction)**2``.
    """

    signal: float
    centred: float
    error: float


def frame_power(target: Array, prediction: Array) -> FramePower:
    """Return the powers of one frame from which its signal-to-noise ratios follow.

    Parameters
    ----------
    target, prediction : ndarray of shape (Y, X)
        Integer or floating-point, camera counts.
    """
    work = SCRATCH.array("difference", target.shape)
    mean = float(target.mean(dtype=np.float64))
    centred = float(np.square(np.subtract(target, mean, out=work, dtype=np.float64), out=work).mean())
    np.subtract(target, prediction, out=work, dtype=np.float64)
    error = float(np.square(work, out=work).mean())
    return FramePower(signal=centred + mean**2, centred=centred, error=error)


def snr(frames: list[FramePower], pixels: PixelMoments) -> Snr:
    """Return the signal-to-noise ratios of a movie.

    ``SNR = 10 log10(sum target**2 / sum (target - prediction)**2)``, over the pixels of a frame (averaged over
    frames: sSNR) and over the frames of a pixel (averaged over pixels: tSNR).
    As defined, a constant image of the movie's mean scores above 0 dB; centred, it scores 0 dB or below, because
    the signal is then only what varies. An offset of the prediction stays an error in both.
    sSNR catches blurred frames, tSNR damped or delayed traces.

    Parameters
    ----------
    frames : list of FramePower
        One per frame, in order.
    pixels : PixelMoments
        Of target and prediction, over the same frames.

    Returns
    -------
    Snr
        Frames and pixels without signal (all zero; constant, where centred) are left out; NaN where none is left.
        Infinite where a frame or pixel is reproduced without any error.

    Notes
    -----
    Source: evaluation of the AI4Life Calcium Imaging Denoising Challenge 2025 (ai4life-cidc25.grand-challenge.org).
    """
    error = np.array([frame.error for frame in frames])
    return Snr(
        spatial=_mean_ratio(np.array([frame.signal for frame in frames]), error),
        temporal=_mean_ratio(pixels.power_first, pixels.power_error),
        spatial_centred=_mean_ratio(np.array([frame.centred for frame in frames]), error),
        temporal_centred=_mean_ratio(pixels.var_first, pixels.power_error),
    )


def _mean_ratio(signal: Float, error: Float) -> float:
    """Return the mean ratio in dB over all places with signal."""
    lively = ~(signal == 0)
    if not lively.any():
        return math.nan
    with np.errstate(divide="ignore"):
        return float(np.mean(10 * np.log10(signal[lively] / error[lively])))
