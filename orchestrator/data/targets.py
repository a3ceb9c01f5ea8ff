"""Targets: looked at before anything runs, because scores need them when everything is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from contract.errors import JobRefused
from contract.stacks import open_stack
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from contract.stacks import Stack
    from orchestrator.data.checksums import Checksums

_BLOCK_FRAMES = 16


def check_target(path: Path, noisy: str, shape: tuple[int, ...], checksums: Checksums) -> None:
    """Refuse a target that no score can be computed against.

    Parameters
    ----------
    path : Path
        The target.
    noisy : str
        Name of its movie.
    shape : tuple of int
        Of its movie, (T, Y, X).
    checksums : Checksums
        Memory of what was found out of files.

    Raises
    ------
    BadInput
        For no TIFF stack, another shape, one grey value, and values that are not finite.
    """
    try:
        with open_stack(path) as target:
            found = target.shape
            value = _one_value(target)
            gap_frame = _gap_frame(path, target, checksums)
    except JobRefused as error:
        raise BadInput(str(error), "A target is a TIFF stack of the same frames as its movie.") from error
    if found != shape:
        message = f"{path}: expected the shape of {noisy}, {shape}, got {found}"
        raise BadInput(message, "A target has the same frames and size as its noisy movie.")
    if gap_frame is not None:
        message = f"{path}: expected finite values in a target, got NaN or infinity in frame {gap_frame}"
        raise BadInput(message, "No metric is defined against them; crop both movies, or leave the target out.")
    if value is not None:
        message = f"{path}: expected a target with structure, got one grey value, {value}"
        raise BadInput(message, "No metric is defined against a constant target.")


def _one_value(target: Stack) -> float | None:
    """Return the grey value of a target that has only one; the first block tells of nearly every other."""
    value = None
    for block in target.blocks(_BLOCK_FRAMES):
        value = block.flat[0] if value is None else value
        if not (block == value).all():
            return None
    return None if value is None else float(value)


def _gap_frame(path: Path, target: Stack, checksums: Checksums) -> int | None:
    """Return the first frame with a value that is not finite; all of the target is read for it, once."""

    def look() -> str:
        start = 0
        for block in target.blocks(_BLOCK_FRAMES):
            finite = np.isfinite(block).all(axis=(1, 2))
            if not finite.all():
                return str(start + int(np.argmin(finite)))
            start += len(block)
        return ""

    found = checksums.about(path, "finite", look) if target.dtype.kind == "f" else ""
    return int(found) if found else None
