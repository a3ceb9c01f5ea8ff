"""Exact percentile of more values than fit in memory, by counting digits.

Every number is mapped to an unsigned integer of the same order. Histograms of 16 bits at a time then find the
wanted ranks: one pass over the values for 16-bit integers, two for float32, four for float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from .frames import Array

_DIGIT_BITS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rank:
    """A rank among the keys that start with ``prefix``."""

    prefix: int
    rank: int


def percentile(values: Callable[[], Iterable[Array]], percent: float) -> float:
    """Return a percentile over all values of a stream that can be read again.

    Parameters
    ----------
    values : callable
        Returns a fresh iterable over arrays of one dtype each time it is called; at least one value.
        NaN is not looked for.
    percent : float
        Between 0 and 100.

    Returns
    -------
    float
        The percentile with linear interpolation between neighbours, as ``numpy.percentile`` over everything.

    Raises
    ------
    ValueError
        If the stream holds no value, or values that are not integer or floating point, or of several dtypes.
    """
    first = next((np.asarray(array) for array in values()), None)
    if first is None or first.size == 0 or first.dtype.kind not in "iuf":
        message = "percentile: expected at least one integer or floating-point value"
        raise ValueError(message)
    bits = first.dtype.itemsize * 8
    total, ranks = 0, [_Rank(prefix=0, rank=0)]
    for shift in range(max(bits - _DIGIT_BITS, 0), -1, -_DIGIT_BITS):
        counts = _digit_counts(values, first.dtype, {rank.prefix for rank in ranks}, shift)
        if not total:
            total = int(counts[0].sum())
            lower = math.floor(percent / 100 * (total - 1))
            ranks = [_Rank(prefix=0, rank=lower), _Rank(prefix=0, rank=min(lower + 1, total - 1))]
        ranks = [_descend(rank, counts[rank.prefix]) for rank in ranks]
    low, high = (_value(rank.prefix, first.dtype.newbyteorder("=")) for rank in ranks)
    fraction = percent / 100 * (total - 1) - math.floor(percent / 100 * (total - 1))
    return low + (high - low) * fraction


def _descend(rank: _Rank, counts: NDArray[np.int64]) -> _Rank:
    """Return the rank one digit further down."""
    below = np.cumsum(counts)
    digit = int(np.searchsorted(below, rank.rank, side="right"))
    skipped = int(below[digit - 1]) if digit else 0
    return _Rank(prefix=(rank.prefix << _DIGIT_BITS) | digit, rank=rank.rank - skipped)


def _digit_counts(
    values: Callable[[], Iterable[Array]], dtype: np.dtype[np.generic], prefixes: set[int], shift: int
) -> dict[int, NDArray[np.int64]]:
    """Return, per prefix, how often each next digit follows it."""
    counts = {prefix: np.zeros(1 << _DIGIT_BITS, dtype=np.int64) for prefix in prefixes}
    for array in values():
        digits = _keys(np.asarray(array), dtype) >> np.uint64(shift)
        heads = digits >> np.uint64(_DIGIT_BITS)
        for prefix in prefixes:
            tails = digits[heads == np.uint64(prefix)] & np.uint64((1 << _DIGIT_BITS) - 1)
            counts[prefix] += np.bincount(tails.astype(np.int64), minlength=1 << _DIGIT_BITS)
    return counts


def _keys(array: Array, dtype: np.dtype[np.generic]) -> NDArray[np.uint64]:
    """Return unsigned integers in the order of the values, whatever their byte order."""
    if array.dtype != dtype:
        message = f"percentile: expected arrays of one dtype, got {dtype} and {array.dtype}"
        raise ValueError(message)
    bits = array.dtype.itemsize * 8
    flat = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")).reshape(-1)
    raw = flat.view(f"u{array.dtype.itemsize}").astype(np.uint64)
    sign = np.uint64(1 << (bits - 1))
    if array.dtype.kind == "u":
        return raw
    if array.dtype.kind == "i":
        return raw ^ sign
    negative = raw & sign != 0
    return np.where(negative, raw ^ np.uint64((1 << bits) - 1), raw | sign)


def _value(key: int, dtype: np.dtype[np.generic]) -> float:
    """Return the number whose key this is: the inverse of ``_keys``."""
    bits = dtype.itemsize * 8
    sign = 1 << (bits - 1)
    if dtype.kind == "i":
        key ^= sign
    elif dtype.kind == "f":
        key = key ^ sign if key & sign else key ^ ((1 << bits) - 1)
    return float(np.array([key], dtype=f"u{dtype.itemsize}").view(dtype)[0])
