"""Recovery of events whose frames are known: from a simulator, a label file or injected transients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .frames import Float


@dataclass(frozen=True, kw_only=True, slots=True)
class Detection:
    """Detected against true events.

    Attributes
    ----------
    hits, misses, false_alarms : int
        True events found, true events not found, detections without a true event.
    """

    hits: int
    misses: int
    false_alarms: int

    @property
    def precision(self) -> float:
        """Share of detections that are true; NaN without a detection."""
        found = self.hits + self.false_alarms
        return self.hits / found if found else math.nan

    @property
    def recall(self) -> float:
        """Share of true events found; NaN without a true event."""
        true = self.hits + self.misses
        return self.hits / true if true else math.nan

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; NaN without any event, true or detected."""
        events = 2 * self.hits + self.misses + self.false_alarms
        return 2 * self.hits / events if events else math.nan


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Peaks:
    """Peaks of known events in two traces, arrays of shape (E,).

    Attributes
    ----------
    ratio : ndarray
        Peak height of the prediction over that of the target. Below 1: damped transients. NaN where the
        target does not rise.
    delay : ndarray
        Frames from the target's peak to the prediction's. Catches smearing in time.
    """

    ratio: Float
    delay: NDArray[np.int64]


def onsets(trace: Float, threshold: float, refractory: int) -> NDArray[np.int64]:
    """Return the frames where a trace rises above a threshold.

    Parameters
    ----------
    trace : ndarray of shape (T,), float64
    threshold : float
        In the units of the trace; ``robust_threshold`` gives one.
    refractory : int
        Onsets closer than this many frames to the last one kept are dropped.

    Returns
    -------
    ndarray of shape (E,), int64
    """
    above = np.concatenate([[False], trace > threshold])
    kept: list[int] = []
    for frame in np.flatnonzero(above[1:] & ~above[:-1]).tolist():
        if not kept or frame - kept[-1] >= refractory:
            kept.append(frame)
    return np.array(kept, dtype=np.int64)


def robust_threshold(trace: Float, sds: float) -> float:
    """Return the median of a trace plus a number of robust standard deviations.

    Parameters
    ----------
    trace : ndarray of shape (T,), float64
    sds : float
        One standard deviation is 1.4826 median absolute deviations, exact for Gaussian noise.

    Returns
    -------
    float
        In the units of the trace.
    """
    values = trace.astype(np.float64, copy=False)
    centre = float(np.median(values))
    return centre + sds * 1.4826 * float(np.median(np.abs(values - centre)))


def match_events(true: NDArray[np.int64], detected: NDArray[np.int64], tolerance: int) -> Detection:
    """Match detected to true events one to one within a tolerance.

    Parameters
    ----------
    true, detected : ndarray of shape (E,), int64
        Frames.
    tolerance : int
        Largest distance of a match, frames.

    Returns
    -------
    Detection
        With the largest possible number of hits: on a line, pairing from left to right reaches it.
    """
    waiting = np.sort(detected).tolist()
    hits = place = 0
    for frame in np.sort(true).tolist():
        while place < len(waiting) and waiting[place] < frame - tolerance:
            place += 1
        if place < len(waiting) and waiting[place] <= frame + tolerance:
            hits, place = hits + 1, place + 1
    return Detection(hits=hits, misses=len(true) - hits, false_alarms=len(detected) - hits)


def peaks(target: Float, prediction: Float, events: NDArray[np.int64], *, before: int, after: int) -> Peaks:
    """Compare the peaks of known events in a target and a predicted trace.

    Height is the largest value from the event's frame to ``after`` frames later (the next event at the latest)
    above the median of the ``before`` frames preceding the event.

    Parameters
    ----------
    target, prediction : ndarray of shape (T,), float64
    events : ndarray of shape (E,), int64
        Onset frames, rising; events without a frame before them are left out.
    before, after : int
        Frames, at least 1.

    Returns
    -------
    Peaks

    Raises
    ------
    ValueError
        If the traces differ in shape, events lie outside or do not rise, or a window is empty.
    """
    target, prediction = target.astype(np.float64, copy=False), prediction.astype(np.float64, copy=False)
    frames = events.tolist()
    if target.ndim != 1 or target.shape != prediction.shape or min(before, after) < 1:
        message = (
            f"peaks: expected two traces of equal shape (T,) and windows of at least 1 frame, "
            f"got {target.shape}, {prediction.shape}, before={before}, after={after}"
        )
        raise ValueError(message)
    if any(later <= earlier for earlier, later in pairwise(frames)) or not all(0 <= f < len(target) for f in frames):
        message = f"peaks: expected rising event frames between 0 and {len(target) - 1}, got {frames[:10]}"
        raise ValueError(message)
    ratio, delay = [], []
    for frame, following in pairwise([*frames, len(target)]):
        if frame == 0:
            continue
        window = slice(frame, min(frame + after + 1, following))
        rest = slice(max(0, frame - before), frame)
        height, place = _peak(target, window, rest)
        guess, found = _peak(prediction, window, rest)
        ratio.append(guess / height if height > 0 else math.nan)
        delay.append(found - place)
    return Peaks(ratio=np.array(ratio, dtype=np.float64), delay=np.array(delay, dtype=np.int64))


def _peak(trace: Float, window: slice, rest: slice) -> tuple[float, int]:
    """Return height above rest and place of the largest value in a window."""
    place = int(np.argmax(trace[window]))
    return float(trace[window][place] - np.median(trace[rest])), place
