"""What the values and sizes of a movie say before anything is read in full: no structure, no light left, no sense."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.data.readers.planes import Planes, Stored

# Deflate reaches 1032 to 1 on zeros, and a movie of photons 4 to 1; more than this is no movie in any format.
MOST_EXPANDED = 10_000
_MOST_FRAME_BYTES = 2**30  # 23,000 x 23,000 pixels of uint16
_SAMPLES, _SAMPLE_FRAMES = 4, 8
_SATURATED = 0.01  # of the values
_PILED_UP = 4.0  # times as many as among the values just below
_JUST_BELOW = 0.02  # of the range of values


def check_sizes(given: Path, stored: Stored, files_bytes: int) -> None:
    """Refuse a movie that declares far more pixels than its files hold bytes, before memory or time is spent on it.

    Raises
    ------
    BadInput
        With both sizes and the bound.
    """
    frame_bytes = math.prod(stored.frame) * stored.dtype.itemsize
    if frame_bytes > _MOST_FRAME_BYTES:
        message = f"{given}: expected frames of at most {_MOST_FRAME_BYTES / 2**30:.0f} GiB, got {stored.frame} "
        message += f"{stored.dtype.name}, {frame_bytes / 2**30:.1f} GiB"
        raise BadInput(message, "Crop the movie; or its header is damaged, then copy the file again.")
    declared_bytes = stored.planes * frame_bytes
    if declared_bytes > MOST_EXPANDED * files_bytes:
        message = f"{given}: expected at most {MOST_EXPANDED} bytes of pixels for each byte of its files, got "
        message += f"{declared_bytes} declared in {files_bytes}"
        raise BadInput(message, "Its header is damaged, or it is an empty movie; copy the file again from its source.")


def saturation_of(given: Path, planes: Planes, which: range) -> tuple[float, float] | None:
    """Look at some frames spread over a movie.

    Parameters
    ----------
    given : Path
        For messages.
    planes : Planes
        The open movie.
    which : range
        Its frames.

    Returns
    -------
    tuple of float or None
        Share of the values at the highest one, and that value, where the detector was saturated; else None.

    Raises
    ------
    BadInput
        For one grey value in every frame, and for no finite value in any.
    """
    step = max(1, len(which) // _SAMPLES)
    starts = range(0, len(which), step)
    found = [planes.read(which[start : start + _SAMPLE_FRAMES]).ravel() for start in starts]
    values = np.concatenate(found)
    values = values[np.isfinite(values)]
    if not values.size:
        _check_numbers(given, planes, which)
        return None
    low, top = float(values.min()), float(values.max())
    if low == top:
        _check_structure(given, planes, which, top)
        return None
    share = float(np.mean(values == top))
    edge = top - max(1.0, _JUST_BELOW * (top - low)) if values.dtype.kind in "iu" else top - _JUST_BELOW * (top - low)
    below = float(np.mean((values >= edge) & (values < top)))
    return (share, top) if share > max(_SATURATED, _PILED_UP * below) else None


def saturation_note(name: str, found: tuple[float, float] | None) -> tuple[str, ...]:
    """Return what the user should know of a saturated movie."""
    if found is None:
        return ()
    share, top = found
    return (f"{name}: {share:.0%} of its values are the highest one, {top:g}: the detector was saturated there.",)


def _check_numbers(given: Path, planes: Planes, which: range) -> None:
    """Refuse a movie without a finite value; the sample said so, and the first one ends the search."""
    for start in range(0, len(which), _SAMPLE_FRAMES):
        if np.isfinite(planes.read(which[start : start + _SAMPLE_FRAMES])).any():
            return
    message = f"{given}: expected a movie, got NaN or infinity at every pixel of every frame"
    raise BadInput(message, "Save it again from the program that made it.")


def _check_structure(given: Path, planes: Planes, which: range, value: float) -> None:
    """Refuse a movie of one grey value; the sample said so, and the first other value ends the search."""
    for start in range(0, len(which), _SAMPLE_FRAMES):
        if not (planes.read(which[start : start + _SAMPLE_FRAMES]) == value).all():
            return
    message = f"{given}: expected a movie with structure, got one grey value, {value:g}, in every frame"
    raise BadInput(message, "There is nothing to learn in it; was the shutter closed, or the detector saturated?")
