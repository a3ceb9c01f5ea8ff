"""Which dtype a movie has as a stack: jobs read four, and others are converted where no value changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from contract.stacks import SUPPORTED_DTYPES
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

_LARGEST = 1e12
_EXACT = 2**24  # whole numbers up to this are exact in float32


@dataclass(frozen=True, kw_only=True, slots=True)
class Values:
    """The dtype of a stack, and the first frame with a value that is not finite; None where all are."""

    dtype: str
    gap_frame: int | None = None


@dataclass(kw_only=True, slots=True)
class _Extremes:
    """Smallest and largest value seen, and the frame of each."""

    low: int = 0
    high: int = 0
    low_frame: int = 0
    high_frame: int = 0

    def feed(self, frame: NDArray[np.generic], index: int) -> None:
        low, high = int(frame.min()), int(frame.max())
        if low < self.low:
            self.low, self.low_frame = low, index
        if high > self.high:
            self.high, self.high_frame = high, index


def needs_values(dtype: np.dtype) -> bool:
    """Say whether the dtype of the stack, or whether there may be one, depends on the values."""
    return dtype.kind == "f" or dtype.name not in SUPPORTED_DTYPES


def values_of(path: Path, dtype: np.dtype, blocks: Iterable[NDArray[np.generic]]) -> Values:
    """Look at the values of a movie whose dtype asks for it.

    Parameters
    ----------
    path : Path
        For messages.
    dtype : numpy.dtype
        As stored.
    blocks : iterable of ndarray of shape (n, Y, X)
        All frames in order.

    Returns
    -------
    Values
        The dtype of the stack: uint16, int16 or float32; and where a value is not finite.

    Raises
    ------
    BadInput
        For a value that would change, with its frame.
    """
    if dtype.kind == "f":
        return _floats(path, blocks)
    if dtype.kind not in "iu":
        message = f"{path}: expected dtype {', '.join(SUPPORTED_DTYPES)} or one that fits, got {dtype.name}"
        raise BadInput(message, "Save the movie as uint16 or float32.")
    return Values(dtype=_whole_dtype(path, dtype, blocks))


def _floats(path: Path, blocks: Iterable[NDArray[np.generic]]) -> Values:
    start, gap_frame = 0, None
    for block in blocks:
        finite = np.isfinite(block)
        if gap_frame is None and not finite.all():
            gap_frame = start + int(np.argmin(finite.all(axis=(1, 2))))
        with np.errstate(over="ignore"):
            changed = (block.astype(np.float32) != block) & finite
        for offset in np.flatnonzero(changed.any(axis=(1, 2)))[:1]:
            value = block[offset][changed[offset]][0]
            message = f"{path}: expected values that float32 can hold, got {value!r} ({block.dtype}) in frame "
            message += str(start + offset)
            raise BadInput(message, "Save the movie as float32, or as whole numbers; calm rounds no input.")
        _check_size(path, np.where(finite, block, 0), start)
        start += len(block)
    return Values(dtype="float32", gap_frame=gap_frame)


def _check_size(path: Path, block: NDArray[np.generic], start: int) -> None:
    """Refuse values so large that their squares, summed over a movie, overflow the float32 of networks and checks."""
    largest = np.abs(block).max(axis=(1, 2)).astype(np.float64)
    if largest.max() > _LARGEST:
        frame = int(np.argmax(largest > _LARGEST))
        message = f"{path}: expected values of at most {_LARGEST:g} in size, got {largest[frame]:g} in frame "
        message += str(start + frame)
        raise BadInput(message, "No detector gives such values: is the file of another byte order, or damaged?")


def _whole_dtype(path: Path, dtype: np.dtype, blocks: Iterable[NDArray[np.generic]]) -> str:
    seen, index = _Extremes(), 0
    for block in blocks:
        for frame in block:
            seen.feed(frame, index)
            index += 1
    for name in ("uint16", "int16"):
        limits = np.iinfo(name)
        if limits.min <= seen.low and seen.high <= limits.max:
            return name
    if seen.low >= -_EXACT and seen.high <= _EXACT:
        return "float32"
    value, frame = (seen.high, seen.high_frame) if seen.high > _EXACT else (seen.low, seen.low_frame)
    message = f"{path}: expected whole numbers that a stack can hold, up to {_EXACT}, got {value} ({dtype.name}) in "
    message += f"frame {frame}"
    raise BadInput(message, "Subtract the offset, or divide by the number of summed frames, and save as float32.")
