"""Peak signal-to-noise ratio of one frame: plain, and blind to gain and offset."""

from __future__ import annotations

import math

import numpy as np

from .frames import Array, check_data_range, frame_pair
from .scratch import SCRATCH


def decibel(ratio: float) -> float:
    """Return 10 log10 of a power ratio: infinite for infinity, NaN for NaN and below zero."""
    if math.isnan(ratio) or ratio < 0:
        return math.nan
    if ratio == 0:
        return -math.inf
    return 10 * math.log10(ratio)


def psnr(target: Array, prediction: Array, data_range: float) -> float:
    """Peak signal-to-noise ratio of a frame.

    ``10 log10(data_range**2 / mean((target - prediction)**2))``.
    Catches every deviation, also a pure gain or offset, which it cannot tell from noise.

    Parameters
    ----------
    target, prediction : ndarray of shape (Y, X)
        Integer or floating-point, camera counts; computed in float64.
    data_range : float
        Peak value, camera counts. The study used 65535.

    Returns
    -------
    float, dB
        Infinite where the frames are equal, NaN where one holds NaN.

    Raises
    ------
    ValueError
        For unequal shapes, a frame that is not (Y, X), or a data range that is not positive.

    Notes
    -----
    Equals ``skimage.metrics.peak_signal_noise_ratio`` 0.26 and careamics' ``psnr``.
    """
    peak = check_data_range(data_range)
    truth, guess = frame_pair(target, prediction)
    difference = np.subtract(truth, guess, out=SCRATCH.array("difference", truth.shape), dtype=np.float64)
    error = float(np.square(difference, out=difference).mean())
    return math.inf if error == 0 else decibel(peak**2 / error)


def si_psnr(target: Array, prediction: Array) -> float:
    """Scale-invariant PSNR of a frame: PSNR after the best gain and offset of the prediction.

    With both frames centred on their mean, ``a = sum(t p) / sum(p p)`` and
    ``10 log10((max(target) - min(target))**2 / mean((t - a p)**2))``.
    Catches loss of structure and noise; blind to gain, offset and the sign of the prediction.

    Parameters
    ----------
    target, prediction : ndarray of shape (Y, X)
        Integer or floating-point; each in its own intensity units; computed in float64.

    Returns
    -------
    float, dB
        NaN where either frame is constant (the reference divides zero by zero), varies so little that the squares
        are zero in float64, or holds NaN.

    Raises
    ------
    ValueError
        For unequal shapes or a frame that is not (Y, X).

    Notes
    -----
    Equals ``scale_invariant_psnr`` of careamics 0.0.4 to 0.3.5, where the standard deviation of the
    target cancels out of both range and error.
    """
    truth, guess = frame_pair(target, prediction)
    peak = float(truth.max()) - float(truth.min())
    # A constant frame leaves rounding noise once its mean is subtracted: decide before.
    if peak == 0 or guess.max() == guess.min():
        return math.nan
    centred = np.subtract(truth, truth.mean(dtype=np.float64), out=SCRATCH.array("target", truth.shape))
    fitted = np.subtract(guess, guess.mean(dtype=np.float64), out=SCRATCH.array("fitted", truth.shape))
    work = SCRATCH.array("difference", truth.shape)
    overlap = float(np.multiply(centred, fitted, out=work).sum())
    power = float(np.square(fitted, out=work).sum())
    if power == 0:
        return math.nan
    fitted *= overlap / power
    # The explicit residual keeps its digits where the two frames are nearly proportional.
    centred -= fitted
    error = float(np.square(centred, out=centred).mean())
    return math.inf if error == 0 else decibel(peak**2 / error)
