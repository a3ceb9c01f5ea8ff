"""Straight-line fit of one movie on another: gain, offset and correlation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .pixels import PixelMoments


@dataclass(frozen=True, kw_only=True, slots=True)
class Regression:
    """Least-squares line ``prediction = gain * target + offset`` over all pixels and frames.

    Attributes
    ----------
    gain : float
        1 where amplitudes are kept. A gain below 1 with a high correlation is attenuation, or another intensity
        unit of the two movies. NaN for a constant target.
    offset : float
        Camera counts of the prediction.
    correlation : float
        Pearson; NaN where either movie is constant. Dominated by the still image.
    """

    gain: float
    offset: float
    correlation: float


def regression(pixels: PixelMoments) -> Regression:
    """Return the line that predicts the second movie from the first.

    Catches gain and offset changes of a wrapper (wrong normalisation, wrapped integers), damped amplitudes.

    Parameters
    ----------
    pixels : PixelMoments
        Of target (first) and prediction (second).
    """
    pooled = pixels.pooled()
    if not pooled.var_first > 0:
        return Regression(gain=math.nan, offset=math.nan, correlation=math.nan)
    gain = pooled.covariance / pooled.var_first
    offset = pooled.mean_second - gain * pooled.mean_first
    return Regression(gain=gain, offset=offset, correlation=pooled.correlation)
