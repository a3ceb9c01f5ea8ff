"""Which frames of a movie are worth a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """A frame number and why it was chosen."""

    index: int
    why: str


def moments(regions: np.ndarray, frames: int) -> tuple[Moment, ...]:
    """Choose frames: the brightest transient, the middle and the end.

    The last frame is where algorithms that look ahead in time have the least to look at.
    """
    chosen = [Moment(index=frames // 2, why="middle"), Moment(index=frames - 1, why="last frame")]
    above = np.nan_to_num(regions - np.median(regions, axis=1, keepdims=True)).max(axis=0, initial=0.0)
    if above.max() > 0:
        chosen.insert(0, Moment(index=int(np.argmax(above)), why="brightest transient"))
    first_with = {moment.index: moment for moment in reversed(chosen)}
    return tuple(moment for moment in chosen if first_with[moment.index] is moment)
