"""One walk over a raw movie for what shows in whole frames and from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

from .pair_pass import sample

if TYPE_CHECKING:
    from evaluation.metrics import Frames

    from .sampling import Floats

_PARTS = 8  # of a movie, between which shifts are measured
_LEAST_PART = 8  # frames of a part
_TURNING = 0.25  # correlation of successive jumps beyond that of noise, by which every other frame looks back
_TENTH = 10
_COARSE_PX = 6.0  # structure wider than this does not tell a shift
_ALIKE = 0.3  # correlation of two images at their best shift, from which that is believed


@dataclass(frozen=True, kw_only=True, slots=True)
class Walk:
    """What a walk over a raw movie found, see `RawMovie`.

    Attributes
    ----------
    first_light, last_light : float
        Mean of the first and the last tenth of the frames, grey levels.
    """

    in_time: float
    levels: int
    repeated: int
    shift_px: float
    first_light: float
    last_light: float
    planes: bool


def walk(raw: Frames) -> Walk:
    """Walk over a raw movie of at least two frames; memory is a few frames and one number for each frame."""
    steps = _Steps(len(raw))
    for index in range(len(raw)):
        steps.feed(np.asarray(raw[index], np.float32))
    means = np.array(steps.means)
    tenth = max(1, len(means) // _TENTH)
    return Walk(
        in_time=steps.in_time(),
        levels=_levels(sample(raw)),
        repeated=steps.repeated,
        shift_px=_largest_shift(steps.parts()),
        first_light=float(means[:tenth].mean()),
        last_light=float(means[-tenth:].mean()),
        planes=steps.in_time() < -_TURNING,
    )


class _Steps:
    """Streamed sums behind `walk`."""

    def __init__(self, frames: int) -> None:
        self.means: list[float] = []
        self.repeated = 0
        self._frames = frames
        self._parts: dict[int, tuple[Floats, int]] = {}
        self._last: Floats | None = None
        self._jump: Floats | None = None
        self._power = self._product = 0.0

    def feed(self, frame: Floats) -> None:
        """Add the next frame."""
        index = len(self.means)
        self.means.append(float(frame.mean(dtype=np.float64)))
        part = index * min(_PARTS, max(1, self._frames // _LEAST_PART)) // self._frames
        total, count = self._parts.get(part, (np.zeros(frame.shape), 0))
        self._parts[part] = total + frame, count + 1
        if self._last is not None:
            jump = frame - self._last
            self.repeated += not jump.any()
            self._power += float(np.vdot(jump, jump))
            if self._jump is not None:
                self._product += float(np.vdot(jump, self._jump))
            self._jump = jump
        self._last = frame

    def in_time(self) -> float:
        """Return the correlation of successive jumps plus 0.5, which white noise has none of."""
        return self._product / self._power + 0.5 if self._power > 0 and len(self.means) > 2 else 0.0  # noqa: PLR2004 - two jumps

    def parts(self) -> list[Floats]:
        """Return the mean image of each part."""
        return [total / count for total, count in self._parts.values()]


def _levels(some: Floats) -> int:
    low, high = np.percentile(some, (0.01, 99.99))
    return len(np.unique(some[(some >= low) & (some <= high)]))


def _largest_shift(parts: list[Floats]) -> float:
    """Return the largest shift of any part against the first, pixels."""
    return max((_shift(parts[0], part) for part in parts[1:]), default=0.0)


def _shift(one: Floats, other: Floats) -> float:
    """Return how far two images are shifted: the peak of their cross-correlation, refined by parabolas.

    0 where their fine structure is not alike at any shift, as in noise.
    """
    window = np.outer(np.hanning(one.shape[0]), np.hanning(one.shape[1]))
    fine = [(image - gaussian_filter(image, _COARSE_PX)) * window for image in (one, other)]
    first, second = (np.fft.rfft2(image) for image in fine)
    surface = np.fft.fftshift(np.fft.irfft2(first * second.conj(), s=one.shape))
    if not surface.max() > _ALIKE * np.linalg.norm(fine[0]) * np.linalg.norm(fine[1]):
        return 0.0
    y, x = divmod(int(np.argmax(surface)), surface.shape[1])
    middle = surface.shape[0] // 2, surface.shape[1] // 2
    return float(np.hypot(y - middle[0] + _vertex(surface[:, x], y), x - middle[1] + _vertex(surface[y], x)))


def _vertex(line: Floats, place: int) -> float:
    """Return where the parabola through a maximum and its neighbours peaks, relative to the maximum."""
    if not 0 < place < len(line) - 1:
        return 0.0
    before, peak, after = line[place - 1 : place + 2].tolist()
    bend = before - 2 * peak + after
    return 0.0 if bend == 0 else float((before - after) / (2 * bend))
