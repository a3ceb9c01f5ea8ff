"""What a trained denoiser made of frames in random order: how much it leans on their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .places import traces, traces_in
from .planting import order_of
from .sampling import coarse, stretches, without_trend

if TYPE_CHECKING:
    from evaluation.metrics import Frames

    from .places import Places
    from .sampling import Floats

_ALONE = 0.98  # correlation above which the order of frames does not matter


def temporal_context(plain: Frames, unordered: Frames, places: Places) -> str | None:
    """Say how much of what moves is left when a denoiser is shown the frames in random order.

    Parameters
    ----------
    plain, unordered : Frames
        The denoised raw movie, and the denoised movie of `shuffled` frames, (T, Y, X).
    places : Places
        Where the raw movie is active.

    Returns
    -------
    str or None
        None where the movie has too little activity.
    """
    back = np.argsort(order_of(len(plain)))
    alike = []
    for start, stop in stretches(len(plain)):
        before = traces_in(plain, start, stop, places, places.active)
        frames = [coarse(unordered, frame, frame + 1, places.factor)[0] for frame in back[start:stop].tolist()]
        after = traces(np.stack(frames), places.active, places.side)
        alike.append(_correlations(before, after))
    found = np.concatenate(alike) if alike else np.empty(0)
    if not np.isfinite(found).any():
        return None
    left = float(np.nanmedian(found))
    how = "works on each frame by itself" if left > _ALONE else "leans on neighbouring frames"
    return (
        f"Shown the frames in random order, its traces correlate by {left:.2f} with those in order (median of active "
        f"places): it {how}."
    )


def _correlations(one: Floats, other: Floats) -> Floats:
    """Return the correlation over time of each column: shape (R,), NaN where one stands still."""
    first, second = without_trend(one), without_trend(other)
    power = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    return np.asarray(np.divide((first * second).sum(axis=0), power, out=np.full_like(power, np.nan), where=power > 0))
