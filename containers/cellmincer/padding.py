"""How much a valid U-Net eats at each border, and reflection as index arithmetic.

The convolutions are valid, so the network input must be larger than what is asked of it; max pooling makes only some
input sizes possible. Wang et al., npj Imaging 2024, doi 10.1038/s44303-024-00055-x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True, slots=True)
class Valid:
    """What decides the sizes of a valid U-Net.

    Parameters
    ----------
    depth : int
        Levels; there are ``depth - 1`` poolings by 2.
    n_conv_layers : int
        Convolutions of each block.
    kernel_size : int
        Side of each kernel, pixels.
    """

    depth: int
    n_conv_layers: int
    kernel_size: int

    @property
    def shrink(self) -> int:
        """Pixels that one block takes off an axis, both borders together."""
        return self.n_conv_layers * (self.kernel_size - 1)

    def input_size(self, output: int) -> int:
        """Return the smallest possible input size that yields at least `output` pixels."""
        size = output
        for _ in range(self.depth - 1):
            size = -(-(size + self.shrink) // 2)
        size += self.shrink
        for _ in range(self.depth - 1):
            size = 2 * size + self.shrink
        return size

    def output_size(self, size: int) -> int:
        """Return how many pixels an input of `size` pixels (from `input_size`) yields."""
        for _ in range(self.depth - 1):
            size = (size - self.shrink) // 2
        size -= self.shrink
        for _ in range(self.depth - 1):
            size = 2 * size - self.shrink
        return size

    def margins(self, output: int) -> Margins:
        """Return the borders around `output` pixels; an odd surplus goes to the end."""
        size = self.input_size(output)
        before = (size - output) // 2
        eaten = (size - self.output_size(size)) // 2
        return Margins(before=before, after=size - output - before, crop=before - eaten)

    def workspace(self, longest: int) -> int:
        """Return the largest `Margins.before` over all outputs up to `longest`: the padding upstream allocates."""
        return max((self.input_size(output) - output) // 2 for output in range(1, longest + 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Margins:
    """Borders of one axis.

    Parameters
    ----------
    before, after : int
        Pixels that the input must have before and after the output asked for.
    crop : int
        Where the output asked for begins in what the network returns.
    """

    before: int
    after: int
    crop: int


def reflect(start: int, stop: int, length: int) -> np.ndarray:
    """Return the indices of a reflected axis (numpy's mode "reflect": the edge is not repeated).

    Parameters
    ----------
    start, stop : int
        Range asked for; may lie outside the axis by any amount.
    length : int
        Length of the axis.

    Returns
    -------
    ndarray of shape (stop - start,), int
        Indices inside the axis.
    """
    if length == 1:
        return np.zeros(stop - start, np.intp)
    period = 2 * (length - 1)
    folded = np.arange(start, stop) % period
    return np.minimum(folded, period - folded)
