"""MicroSSIM: structural similarity for microscopy, after background subtraction and one fitted factor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from .casts import Cast, apply_cast
from .frames import Array, Float, Frames, frame_pair
from .percentile import percentile
from .scaling import best_scale
from .ssim import Normalisation, mean_similarity
from .window import GAUSSIAN, UNIFORM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BACKGROUND_PERCENT = 3.0
"""Percentile taken as background; microssim's default, used by the study."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MicroSsim:
    """Fitted parameters of the metric, one set per movie and prediction.

    Attributes
    ----------
    offset_target, offset_prediction : float
        Background levels, camera counts.
    max_value : float
        Largest target value above its background, camera counts. Recorded as the reference does; it cancels
        out of the score.
    ri_factor : float
        Factor alpha on the background-subtracted prediction; NaN where none maximises the similarity.
    """

    offset_target: float
    offset_prediction: float
    max_value: float
    ri_factor: float

    def score(self, target: Array, prediction: Array) -> float:
        """Structural similarity of a frame after background subtraction and scaling.

        Gaussian windows (sigma 1.5 pixels, 11 x 11), sample covariance, data range of this target frame.
        Catches what SSIM catches, without being flattened by a large camera offset or an empty range.

        Parameters
        ----------
        target, prediction : ndarray of shape (Y, X), both sides at least 11
            Integer or floating-point, camera counts, cast as in the fit; computed in float64.

        Returns
        -------
        float
            NaN where the target frame is constant, the factor is NaN, or a frame holds NaN.

        Raises
        ------
        ValueError
            For unequal shapes or frames below 11 pixels a side.

        Notes
        -----
        Equals ``MicroSSIM.score`` of microssim 0.0.5 given the same parameters, but for a constant target frame,
        which scores about 0 there.
        """
        truth, guess = frame_pair(target, prediction, smallest=GAUSSIAN.size)
        data_range = float(truth.max()) - float(truth.min())
        if data_range == 0 or math.isnan(self.ri_factor):
            return math.nan
        normalisation = Normalisation(self.offset_target, self.offset_prediction, self.ri_factor)
        return mean_similarity(truth, guess, data_range, GAUSSIAN, normalisation)


def fit_microssim(target: Frames, prediction: Frames, *, every: int, cast: Cast | None, threads: int = 1) -> MicroSsim:
    """Fit MicroSSIM to a movie with memory that does not grow with its length.

    Backgrounds are exact 3rd percentiles, the factor maximises the similarity in 7 x 7 windows pooled over the
    fitted frames, with the constants of the last fitted frame, as in the reference.
    Frames are read about four times (six for float32).

    Parameters
    ----------
    target, prediction : Frames of T frames, shape (Y, X), both sides at least 11
        Integer or floating-point, camera counts.
    every : int
        Fit on frames ``[::every]``. The study used 10.
    cast : callable or None
        Applied to every frame first; ``None`` takes values as they are.
    threads : int
        Worker threads; the result does not depend on it.

    Returns
    -------
    MicroSsim
        Its factor, and so every score, is NaN where all fitted frames of the target hold one value.

    Raises
    ------
    ValueError
        If lengths or shapes differ, there is no frame, or ``every`` is below 1.

    Notes
    -----
    Given the same factor the scores are those of microssim 0.0.5 to 1e-12. With the factor of each they agree to
    4e-6 where target and prediction have similar gain. The reference stops its search at a slope of 1e-5: at gains
    of up to 1000 it is good to about three digits, and for some movies it stays at 1 or ends on a negative factor.
    This search is converged, and never less similar.
    """
    if len(target) != len(prediction) or len(target) == 0 or every < 1:
        message = (
            f"fit_microssim: expected two movies of equal length above 0 and every >= 1, "
            f"got {len(target)} and {len(prediction)} frames, every={every}"
        )
        raise ValueError(message)
    chosen = range(0, len(target), every)
    truth = partial(_cast_frames, target, chosen, cast)
    guess = partial(_cast_frames, prediction, chosen, cast)
    offset_target, offset_prediction = percentile(truth, BACKGROUND_PERCENT), percentile(guess, BACKGROUND_PERCENT)
    max_value, last_range, constant = _extent(truth)

    def frames() -> Iterator[tuple[Float, Float]]:
        for pair in zip(truth(), guess(), strict=True):
            one, other = frame_pair(*pair, smallest=UNIFORM.size)
            yield (
                np.subtract(one, offset_target, dtype=np.float64),
                np.subtract(other, offset_prediction, dtype=np.float64),
            )

    return MicroSsim(
        offset_target=offset_target,
        offset_prediction=offset_prediction,
        max_value=max_value - offset_target,
        ri_factor=math.nan if constant else best_scale(frames, len(chosen), last_range, threads),
    )


def _cast_frames(movie: Frames, chosen: range, cast: Cast | None) -> Iterator[Array]:
    return (apply_cast(movie[index], cast) for index in chosen)


def _extent(frames: Callable[[], Iterator[Array]]) -> tuple[float, float, bool]:
    """Return the largest value, the value range of the last frame, and whether there is only one value."""
    lowest, largest, last_range = math.inf, -math.inf, math.nan
    for frame in frames():
        low, top = float(frame.min()), float(frame.max())
        lowest, largest, last_range = min(lowest, low), max(largest, top), top - low
    return largest, last_range, lowest == largest
