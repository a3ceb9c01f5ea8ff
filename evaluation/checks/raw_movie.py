"""What can be seen of a raw movie before anything is trained: detector, motion, and how long activity lasts.

What its detector did wrong is found by `contract.detector`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .evidence import gather
from .frame_walk import walk
from .sampling import LEAST_FRAMES

if TYPE_CHECKING:
    from evaluation.metrics import Frames

    from .evidence import Evidence
    from .frame_walk import Walk
    from .lagged import Covariances
    from .noise_law import NoiseLaw
    from .pair_pass import PairMaps

_LEAST_ACTIVE = 3  # active patches from which the length of activity is told


@dataclass(frozen=True, kw_only=True, slots=True)
class RawMovie:
    """What a raw movie is like; None where it cannot be told.

    Attributes
    ----------
    shape : tuple of int
        (T, Y, X).
    gain, black : float or None
        Grey levels per photon (excess noise included), and grey level without light.
    photons : float or None
        Of the median pixel in one frame.
    noise_sd : float
        Of the median pixel, grey levels.
    along_x, along_y : float
        Correlation of the noise of neighbours in a row and in a column.
    in_time : float
        Correlation of successive jumps of a pixel plus 0.5: 0 for noise that is independent from frame to frame.
    levels : int
        Grey levels in use in a few frames, the rarest 0.01 % at both ends aside.
    repeated_frames : int
        Frames equal to the one before.
    shift_px : float
        Largest shift between parts of the movie.
    bleached : float
        Share of the light that is lost from the first to the last tenth.
    active : int
        Patches with activity, of 32 that are looked for.
    lasts_frames : float or None
        Frames in which activity falls to 1/e.
    planes : bool
        Whether every other frame is of another plane.
    """

    shape: tuple[int, int, int]
    gain: float | None
    black: float | None
    photons: float | None
    noise_sd: float
    along_x: float
    along_y: float
    in_time: float
    levels: int
    repeated_frames: int
    shift_px: float
    bleached: float
    active: int
    lasts_frames: float | None
    planes: bool


def look_at(raw: Frames, evidence: Evidence | None = None) -> RawMovie:
    """Look at a raw movie; memory does not grow with its length.

    Parameters
    ----------
    raw : Frames
        Of shape (T, Y, X), T at least 2, grey levels.
    evidence : Evidence, optional
        Of this movie and a denoised one, whose active places were looked for; without it the movie is read once more.

    Raises
    ------
    ValueError
        If the movie has fewer than two frames.
    """
    seen = gather(raw, raw) if evidence is None else evidence
    maps, law = seen.maps, seen.law
    found = walk(raw)
    along_x, along_y = _neighbours(maps)
    height, width = maps.raw.shape
    return RawMovie(
        shape=(len(raw), height, width),
        gain=law.gain if law.certain else None,
        black=law.black if law.certain else None,
        photons=float((np.median(maps.raw) - law.black) / law.gain) if law.certain else None,
        noise_sd=math.sqrt(float(np.median(maps.jump_raw))),
        along_x=along_x,
        along_y=along_y,
        in_time=found.in_time,
        levels=found.levels,
        repeated_frames=found.repeated,
        shift_px=found.shift_px,
        bleached=_bleached(found, law, maps),
        active=len(seen.places.active) if len(raw) >= LEAST_FRAMES else 0,
        lasts_frames=_lasts(seen.active),
        planes=found.planes,
    )


def _neighbours(maps: PairMaps) -> tuple[float, float]:
    """Return the correlation of the jumps of neighbours along x and y, of the quieter half of the pixels."""
    quiet = maps.jump_raw <= np.median(maps.jump_raw)
    power = float(maps.jump_raw[quiet].sum())
    if power <= 0:
        return 0.0, 0.0
    return float(maps.raw_x[quiet].sum() / power), float(maps.raw_y[quiet].sum() / power)


def _bleached(found: Walk, law: NoiseLaw, maps: PairMaps) -> float:
    darkest = float(np.percentile(maps.raw, 1))
    black = min(law.black, darkest) if law.certain else min(0.0, darkest)
    first = found.first_light - black
    return 1 - (found.last_light - black) / first if first > 0 else 0.0


def _lasts(active: Covariances | None) -> float | None:
    """Return where the covariance of the signal falls to 1/e of its peak, between frames by a straight line."""
    if active is None or len(active.raw) < _LEAST_ACTIVE:
        return None
    signal = active.signal().sum(axis=0)
    half = signal[len(signal) // 2 :] / signal[len(signal) // 2]
    below = np.flatnonzero(half < math.exp(-1))
    if not below.size or not np.isfinite(half).all():
        return None
    after = int(below[0])
    before = half[after - 1]
    return float(after - 1 + (before - math.exp(-1)) / (before - half[after]))
