"""Whether a movie is like those that a training has seen, in noise, frame rate and size of a pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evaluation.metrics import Frames

_READ = 200  # frames from the start that noise is told from
_NOISE = 1.5  # times more or less noise, from which a training may leave some of it or take signal for it
_RATE = 1.1
_ZOOM = 1.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Likeness:
    """What is compared; None where it is not known.

    Attributes
    ----------
    noise_sd : float or None
        Noise of the median pixel, grey levels.
    rate_hz : float or None
        Frames per second.
    pixel_um : float or None
        Side of a pixel.
    """

    noise_sd: float | None
    rate_hz: float | None
    pixel_um: float | None


def noise_sd(movie: Frames) -> float | None:
    """Return the noise of the median pixel, from the jumps between at most 200 frames; None for a single image."""
    count = min(len(movie), _READ)
    if count < 2:  # noqa: PLR2004 - noise shows between frames
        return None
    before = np.asarray(movie[0], np.float64)
    power = np.zeros(before.shape)
    for index in range(1, count):
        frame = np.asarray(movie[index], np.float64)
        power += (frame - before) ** 2
        before = frame
    return float(np.sqrt(np.nanmedian(power / (2 * (count - 1)))))


def differences(trained: Likeness, given: Likeness) -> Iterator[str]:
    """Yield a sentence for each way in which a movie differs from those of a training."""
    pairs = (
        ("noise of {:.3g} grey levels", trained.noise_sd, given.noise_sd, _NOISE),
        ("{:g} frames per second", trained.rate_hz, given.rate_hz, _RATE),
        ("pixels of {:g} µm", trained.pixel_um, given.pixel_um, _ZOOM),
    )
    for words, theirs, ours, most in pairs:
        if theirs and ours and abs(math.log(ours / theirs)) > math.log(most):
            yield f"trained on {words.format(theirs)}, applied to {words.format(ours)}"
