"""Which frames a denoised frame is made from, also at both ends of a movie."""

from __future__ import annotations

import numpy as np


def frames_around(frame: int, length: int, order: int) -> np.ndarray:
    """Return the frames that denoise one frame.

    Beyond an end, the frame at the same distance on the other side of `frame` stands in. Reflecting at the end
    instead would show the network the noise of `frame` a second time, which it could copy.

    Parameters
    ----------
    frame : int
        Frame to denoise.
    length : int
        Frames of the movie.
    order : int
        Frames that one denoised frame is made from, odd.

    Returns
    -------
    ndarray of shape (order,), int
        Frame numbers; `frame` itself is in the middle alone, unless the movie has no other frame.
    """
    half = order // 2
    steps = np.arange(-half, half + 1)
    wanted = frame + steps
    mirrored = frame - steps
    nearest = np.where(steps < 0, 0, length - 1)
    other = np.where(steps < 0, min(1, length - 1), max(length - 2, 0))
    inside = (wanted >= 0) & (wanted < length)
    inside_mirrored = (mirrored >= 0) & (mirrored < length)
    stand_in = np.where(inside_mirrored, mirrored, np.where(nearest == frame, other, nearest))
    return np.where(inside, wanted, stand_in)
