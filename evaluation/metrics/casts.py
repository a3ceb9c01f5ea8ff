"""Casts: what happens to pixel values before they are scored. Chosen by the caller, never guessed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from .frames import Array

if TYPE_CHECKING:
    from numpy.typing import NDArray

Cast = Callable[[Array], Array]
"""A function from an array to an array of the same shape; ``None`` in its place means values as they are."""


def as_study_uint16(array: Array) -> NDArray[np.uint16]:
    """Return what the published study's ``.astype(np.uint16)`` made of an array.

    Fractions are cut off towards zero and the integer wraps modulo 65536, so -1.7 becomes 65535.
    NumPy leaves such casts to the processor; this spells out what x86-64 does, so every machine agrees.
    Use it to reproduce the published numbers and nothing else: it destroys negative pixels.

    Parameters
    ----------
    array : ndarray
        Any shape; integer or floating-point, in camera counts.

    Returns
    -------
    ndarray, uint16
        Same shape.

    Raises
    ------
    ValueError
        If a value is NaN, infinite or beyond the 32-bit integers, where the study's result is undefined.

    Notes
    -----
    Source: MOUSENEU_LP_EVALUATION.ipynb, cell 3, of ai4life-opencalls/oc_2_project_13 at commit 50970a3.
    """
    values = np.asarray(array)
    if values.dtype == np.uint16:
        return values
    if values.dtype.kind == "f" and not bool(np.all(np.abs(values) < 2.0**31)):
        message = "as_study_uint16: expected finite values within 32-bit integers, got NaN, infinite or larger ones"
        raise ValueError(message)
    return (values.astype(np.int64) & 0xFFFF).astype(np.uint16)


def apply_cast(array: Array, cast: Cast | None) -> Array:
    """Return an array after a cast, or the array itself where the cast is ``None``."""
    return np.asarray(array) if cast is None else cast(array)
