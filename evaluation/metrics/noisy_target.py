"""Error against a target that is noisy itself, with the target's own noise taken out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .frames import Array, block_pair, check_data_range
from .psnr import decibel

if TYPE_CHECKING:
    from .pixels import PixelMoments


class LookNoise:
    """Streamed noise variance from two independent looks at the same scene.

    ``mean((first - second)**2) / 2``. Two neighbouring frames are such looks where the scene hardly moves
    between them; what does move counts as noise. Looks that the prediction has seen make the result worthless.
    """

    def __init__(self) -> None:
        self._total = 0.0
        self._count = 0

    def feed(self, first_look: Array, second_look: Array) -> None:
        """Add blocks of looks.

        Parameters
        ----------
        first_look, second_look : ndarray of shape (n, Y, X)
            Integer or floating-point, camera counts.

        Raises
        ------
        ValueError
            If the shapes differ or are not (n, Y, X).
        """
        for one, other in zip(*block_pair(first_look, second_look, ("first_look", "second_look")), strict=True):
            difference = np.subtract(one, other, dtype=np.float64)
            self._total += float(np.square(difference, out=difference).sum())
            self._count += difference.size

    def variance(self) -> float:
        """Return the noise variance of one look, squared camera counts; NaN where nothing was fed."""
        return self._total / self._count / 2 if self._count else math.nan


def umse(pixels: PixelMoments, noise_variance: float, *, gain: float, offset: float) -> float:
    """Unbiased mean squared error of a prediction against a noisy target.

    ``mean((gain * target + offset - prediction)**2) - gain**2 * noise_variance``.
    Gain and offset bring the target to the intensity units of the prediction; take them from ``regression``
    of the noisy movie on the target, never of the prediction, which would hide damped amplitudes. Pass 1 and 0
    where the units agree.
    Catches the true error, where the plain one levels off at the noise of the target.

    Parameters
    ----------
    pixels : PixelMoments
        Of target (first) and prediction (second).
    noise_variance : float
        Of the target, squared camera counts of the target.
    gain, offset : float
        Camera counts of the prediction per camera count of the target; camera counts of the prediction.

    Returns
    -------
    float
        Squared camera counts of the prediction; can be below zero by chance where the error is small.

    Notes
    -----
    Source: Marcos Morales et al., Evaluating unsupervised denoising requires unsupervised metrics, ICML 2023,
    arXiv 2210.05553.
    """
    pooled = pixels.pooled()
    variance = gain**2 * pooled.var_first - 2 * gain * pooled.covariance + pooled.var_second
    bias = gain * pooled.mean_first + offset - pooled.mean_second
    return variance + bias**2 - gain**2 * noise_variance


def upsnr(unbiased_error: float, data_range: float) -> float:
    """Peak signal-to-noise ratio from an unbiased error.

    Parameters
    ----------
    unbiased_error : float
        From ``umse``, squared camera counts.
    data_range : float
        Camera counts, declared for the target's units after gain and offset.

    Returns
    -------
    float, dB
        NaN where the error came out below zero, infinite where it is zero.

    Raises
    ------
    ValueError
        If the data range is not positive.
    """
    peak = check_data_range(data_range)
    return math.inf if unbiased_error == 0 else decibel(peak**2 / unbiased_error)
