"""Local windows of the structural similarity: separable means over the pixels around each pixel.

Only full windows are computed, which is what the reference libraries keep after cropping the border.
A window is applied as a product with a small banded matrix: several times faster than a filter that walks along
each line, and no slower for wide windows. The products are kept so small that no BLAS splits them over
threads, so their bits do not depend on the number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .scratch import SCRATCH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .frames import Float

_BAND = 16  # outputs per matrix product: 16 x (16 + 10) weights stay in the first-level cache
# Outputs worked on at once. 48 rows keep the maps in the second-level cache; 512 columns keep each product below
# 2**18 multiplications, where OpenBLAS starts to use threads.
_TILE = (48, 512)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Window:
    """A separable, normalised window.

    Attributes
    ----------
    weights : ndarray of shape (K,), float64
        The same weights along y and x, sum 1, K odd.
    """

    weights: Float

    @property
    def size(self) -> int:
        """Pixels K along one side."""
        return len(self.weights)

    @property
    def sample_correction(self) -> float:
        """Factor from population to sample covariance, ``K**2 / (K**2 - 1)``, also for unequal weights."""
        pixels = self.size**2
        return pixels / (pixels - 1)

    def tiles(self, shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
        """Yield the pixels needed for successive tiles of full windows.

        Parameters
        ----------
        shape : tuple of int
            (Y, X) of the frame.

        Yields
        ------
        rows, columns : slice
            Neighbouring tiles overlap by K - 1 pixels.
        """
        margin = self.size - 1
        spans = [
            [slice(start, min(start + step + margin, side)) for start in range(0, side - margin, step)]
            for side, step in zip(shape, _TILE, strict=True)
        ]
        return product(*spans)

    def means(self, maps: Float) -> Iterator[Float]:
        """Yield weighted means over every full window.

        The means come in pieces and in the order in which the products leave them: putting them back in
        place would cost as much as the products, and sums do not need it.

        Parameters
        ----------
        maps : ndarray of shape (n, Y, X), float64

        Yields
        ------
        ndarray of shape (n, bands, Y - K + 1, width), float64
            Columns ``band * width`` to ``(band + 1) * width`` of all maps; the last piece, of one narrower
            band, continues the columns of the first. A scratch array: valid until the next piece.
        """
        count, height, width = maps.shape
        rows = SCRATCH.array("rows", (count, height - self.size + 1, width))
        self._along_y(maps, rows)
        length = width - self.size + 1
        bands, rest = divmod(length, _BAND)
        if bands:
            yield self._along_x(rows, 0, bands, _BAND)
        if rest:
            yield self._along_x(rows, length - rest, 1, rest)

    def _along_y(self, maps: Float, out: Float) -> None:
        """Write means over windows along y, a band of rows at a time."""
        count, length, width = out.shape
        bands, rest = divmod(length, _BAND)
        whole = length - rest
        if bands:
            step, row, column = maps.strides
            shape = (count, bands, _BAND + self.size - 1, width)
            inputs = as_strided(maps, shape, (step, _BAND * row, row, column), writeable=False)
            np.matmul(_matrix(self, _BAND).T, inputs, out=out[:, :whole].reshape(count, bands, _BAND, width))
        if rest:
            np.matmul(_matrix(self, rest).T, maps[:, whole:], out=out[:, whole:])

    def _along_x(self, rows: Float, start: int, bands: int, band: int) -> Float:
        """Return means over windows along x, from column ``start`` on, shape (n, bands, rows, band)."""
        count, height, _ = rows.shape
        step, line, column = rows.strides
        shape = (count, bands, height, band + self.size - 1)
        inputs = as_strided(rows[:, :, start:], shape, (step, band * column, line, column), writeable=False)
        means = SCRATCH.array("means", (count, bands, height, band))
        return np.matmul(inputs, _matrix(self, band), out=means)


@cache
def _matrix(window: Window, outputs: int) -> Float:
    """Return the banded matrix of shape (outputs + K - 1, outputs) whose columns are shifted weights."""
    matrix = np.zeros((outputs + window.size - 1, outputs))
    for column in range(outputs):
        matrix[column : column + window.size, column] = window.weights
    return matrix


def _gaussian(sigma: float, radius: int) -> Float:
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return np.asarray(weights / weights.sum())


UNIFORM = Window(weights=np.full(7, 1 / 7))
"""7 x 7 pixels of equal weight: the default of ``skimage.metrics.structural_similarity``."""

GAUSSIAN = Window(weights=_gaussian(sigma=1.5, radius=5))
"""11 x 11 pixels, sigma 1.5 pixels, cut at 3.5 sigma: Wang et al. 2004 (10.1109/TIP.2003.819861)."""
