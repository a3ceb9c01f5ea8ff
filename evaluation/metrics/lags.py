"""Correlation of neighbours, streamed: between rows, columns or frames."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .scratch import SCRATCH

if TYPE_CHECKING:
    from .frames import Float


class LagCorrelation:
    """Streamed Pearson correlation of pairs of values. Memory: six numbers."""

    def __init__(self) -> None:
        self._sums = np.zeros(5)
        self._count = 0

    def feed(self, first: Float, second: Float) -> None:
        """Add pairs.

        Parameters
        ----------
        first, second : ndarray of equal shape, float64
        """
        work = SCRATCH.array("pairs", first.shape)
        self._sums += (
            first.sum(),
            second.sum(),
            np.multiply(first, first, out=work).sum(),
            np.multiply(second, second, out=work).sum(),
            np.multiply(first, second, out=work).sum(),
        )
        self._count += first.size

    def correlation(self) -> float:
        """Return the correlation, NaN without pairs or where one side is constant."""
        if self._count == 0:
            return math.nan
        mean_1, mean_2, power_1, power_2, product = (self._sums / self._count).tolist()
        variances = (power_1 - mean_1**2) * (power_2 - mean_2**2)
        return (product - mean_1 * mean_2) / math.sqrt(variances) if variances > 0 else math.nan
