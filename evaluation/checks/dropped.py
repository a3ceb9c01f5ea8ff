"""Lines that the detector dropped: nothing is compared there, as denoisers fill them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from evaluation.metrics import Frames

_CERTAIN = 6.0  # standard errors of the mean of a row, so that no row of a dim movie without a photon counts


class WithoutDropped:
    """A raw movie with the denoised one in its dropped lines, so that both are equal there.

    306 black lines of 32,768 made every denoiser of a real movie brighter than it by 0.9 %.

    Parameters
    ----------
    raw, denoised : Frames
        Movies of equal shape (T, Y, X).
    """

    def __init__(self, raw: Frames, denoised: Frames) -> None:
        self._raw, self._denoised = raw, denoised

    def __len__(self) -> int:
        return len(self._raw)

    def __getitem__(self, index: int) -> NDArray[Any]:
        frame = np.asarray(self._raw[index])
        rows = dropped_rows(frame)
        if rows.any():
            rows &= ~_constant(np.asarray(self._raw[index - 1 if index else min(1, len(self) - 1)]))
        if not rows.any():
            return frame
        filled = frame.astype(np.float32)
        filled[rows] = np.asarray(self._denoised[index])[rows]
        return filled


def dropped_rows(frame: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which rows of a frame hold one value alone that is far from the mean of the frame."""
    constant = _constant(frame)
    if not constant.any():
        return constant
    off = np.abs(frame[:, 0].astype(np.float64) - float(frame.mean(dtype=np.float64)))
    error = float(frame.std(dtype=np.float64)) / np.sqrt(frame.shape[1])
    dropped: NDArray[np.bool_] = constant & (off > _CERTAIN * error)
    return dropped


def _constant(frame: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(frame.max(axis=1) == frame.min(axis=1))
