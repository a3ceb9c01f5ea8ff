"""Scratch arrays, kept per thread: fresh pages for every frame would cost more time than the arithmetic."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .frames import Float


class Scratch(threading.local):
    """Named float64 arrays of the calling thread, reused from one call to the next.

    An array is valid until the same thread asks for the same name again; no result may point into one.
    """

    def __init__(self) -> None:
        self._arrays: dict[str, Float] = {}

    def array(self, name: str, shape: tuple[int, ...]) -> Float:
        """Return an uninitialised array.

        Parameters
        ----------
        name : str
        shape : tuple of int

        Returns
        -------
        ndarray, float64
            C-contiguous, arbitrary content.
        """
        size = math.prod(shape)
        kept = self._arrays.get(name)
        if kept is None or kept.size < size:
            kept = self._arrays[name] = np.empty(size)
        return kept[:size].reshape(shape)


SCRATCH = Scratch()
"""The scratch arrays of the frame metrics."""
