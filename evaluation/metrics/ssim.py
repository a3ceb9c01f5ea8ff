"""Structural similarity of one frame."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .frames import Array, Float, check_data_range, frame_pair
from .scratch import SCRATCH
from .window import UNIFORM, Window

# Stabilising fractions of the data range; Wang et al. 2004, 10.1109/TIP.2003.819861.
_LUMINANCE_FRACTION = 0.01
_STRUCTURE_FRACTION = 0.03
# Below this ratio of level to range the squares of the levels cost less than 1e-10 of the score.
_DWARFS = 10


def constants(data_range: float) -> tuple[float, float]:
    """Return the two stabilising constants of the structural similarity.

    Parameters
    ----------
    data_range : float
        Camera counts.

    Returns
    -------
    luminance, structure : float
        Squared camera counts.
    """
    return (_LUMINANCE_FRACTION * data_range) ** 2, (_STRUCTURE_FRACTION * data_range) ** 2


class Normalisation(NamedTuple):
    """What happens to a frame pair first: ``target - offset_target``, ``scale * (prediction - offset_prediction)``.

    ``levels`` are added to the local means again: offsets that shall change the precision, not the score.
    """

    offset_target: float = 0.0
    offset_prediction: float = 0.0
    scale: float = 1.0
    levels: tuple[float, float] = (0.0, 0.0)


def mean_similarity(
    target: Array, prediction: Array, data_range: float, window: Window, normalisation: Normalisation
) -> float:
    """Return the structural similarity averaged over all full windows of a frame.

    Only the sum of the two variances is needed, so four local means do instead of five.

    Parameters
    ----------
    target, prediction : ndarray of shape (Y, X)
        Integer or floating-point.
    data_range : float
        Range of the target, camera counts.
    window : Window
    normalisation : Normalisation

    Returns
    -------
    float
        Between -1 and 1.
    """
    luminance, structure = constants(data_range)
    structure /= window.sample_correction
    total, count = 0.0, 0
    for tile in window.tiles(target.shape):
        maps = SCRATCH.array("maps", (4, *target[tile].shape))
        truth, guess, squares, product = maps
        np.subtract(target[tile], normalisation.offset_target, out=truth, dtype=np.float64)
        np.subtract(prediction[tile], normalisation.offset_prediction, out=guess, dtype=np.float64)
        guess *= normalisation.scale
        np.square(truth, out=squares)
        squares += np.square(guess, out=product)
        np.multiply(truth, guess, out=product)
        for means in window.means(maps):
            total += _similarity(means, normalisation.levels, luminance, structure)
            count += means[0].size
    return total / count


def _similarity(means: Float, levels: tuple[float, float], luminance: float, structure: float) -> float:
    """Return the similarity summed over windows, overwriting the four local means."""
    mean_t, mean_p, squares, product = means
    mean_product, mean_squares = _mean_terms(mean_t, mean_p)
    product -= mean_product
    squares -= mean_squares
    if levels != (0, 0):
        mean_t += levels[0]
        mean_p += levels[1]
        mean_product, mean_squares = _mean_terms(mean_t, mean_p)
    similarity = _half_ratio(mean_product, mean_squares, luminance)
    similarity *= _half_ratio(product, squares, structure)
    return 4 * float(similarity.sum())


def _mean_terms(mean_t: Float, mean_p: Float) -> tuple[Float, Float]:
    """Return the product and the sum of squares of two local means, scratch arrays."""
    product = np.multiply(mean_t, mean_p, out=SCRATCH.array("mean product", mean_t.shape))
    squares = np.square(mean_t, out=SCRATCH.array("mean squares", mean_t.shape))
    squares += np.square(mean_p, out=SCRATCH.array("mean square", mean_t.shape))
    return product, squares


def _half_ratio(product: Float, squares: Float, constant: float) -> Float:
    """Return half of ``(2 product + c) / (squares + c)``, overwriting both inputs."""
    product += constant / 2
    squares += constant
    product /= squares
    return product


def ssim(target: Array, prediction: Array, data_range: float) -> float:
    """Structural similarity of a frame.

    Means, variances and covariance in 7 x 7 windows of equal weight, sample covariance, averaged over all
    full windows.
    Catches loss of local contrast and structure; with a data range far above the contrast of the frame it
    is close to 1 whatever the prediction is.

    Parameters
    ----------
    target, prediction : ndarray of shape (Y, X), both sides at least 7
        Integer or floating-point, camera counts; computed in float64.
    data_range : float
        Camera counts. The study used 65535.

    Returns
    -------
    float
        1 for equal frames; NaN where one holds NaN.

    Raises
    ------
    ValueError
        For unequal shapes, frames below 7 pixels a side, or a data range that is not positive.

    Notes
    -----
    Equals ``skimage.metrics.structural_similarity`` 0.26 called with float64 or integer frames.
    scikit-image computes float32 frames in float32, which costs up to four digits; this does not.
    """
    peak = check_data_range(data_range)
    truth, guess = frame_pair(target, prediction, smallest=UNIFORM.size)
    return mean_similarity(truth, guess, peak, UNIFORM, _centring(truth, guess, peak))


def _centring(target: Array, prediction: Array, data_range: float) -> Normalisation:
    """Return the centring that keeps the digits of the variances where a camera offset dwarfs the range."""
    level_t, level_p = (float(np.rint(frame.mean(dtype=np.float64))) for frame in (target, prediction))
    if max(abs(level_t), abs(level_p)) > _DWARFS * data_range:
        return Normalisation(level_t, level_p, 1.0, (level_t, level_p))
    return Normalisation()
