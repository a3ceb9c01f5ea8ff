"""How well a prediction keeps the activity of regions: their traces, and the events whose frames are known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .events import Detection, match_events, onsets, peaks, robust_threshold
from .summary import summarise
from .traces import trace_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .frames import Float

_RISE_SDS = 3.0  # robust standard deviations of the jumps between frames, above which a jump is an onset
_TOLERANCE = 1  # frames between a true event and its detection
_WINDOW = 3  # frames before and after an onset in which rest and peak are looked for


@dataclass(frozen=True, kw_only=True, slots=True)
class Activity:
    """Scores over all regions of a movie, NaN where nothing can be said.

    Attributes
    ----------
    correlation, slope : float
        Of traces, prediction on target, means over regions. A slope below 1: damped amplitudes.
    event_f1 : float
        Of onsets found in the traces of the prediction against the known ones, all regions pooled.
    event_peak : float
        Peak of the prediction over that of the target, median over events.
    """

    correlation: float
    slope: float
    event_f1: float
    event_peak: float


def activity(target: Float, prediction: Float, events: Sequence[NDArray[np.int64]] | None) -> Activity:
    """Compare the traces of regions in a target and a prediction.

    Parameters
    ----------
    target, prediction : ndarray of shape (T, R), float64
        Traces, camera counts.
    events : sequence of R ndarrays of shape (E,), int64, or None
        Frames in which something happens in each region, rising; None takes the onsets of the target's traces.

    Returns
    -------
    Activity

    Raises
    ------
    ValueError
        If the shapes differ or an event lies outside of the movie.
    """
    target, prediction = target.astype(np.float64, copy=False), prediction.astype(np.float64, copy=False)
    scores = trace_scores(target, prediction)
    columns = range(target.shape[1])
    known = [jumps(target[:, one]) for one in columns] if events is None else events
    found = [match_events(known[one], jumps(prediction[:, one]), _TOLERANCE) for one in columns]
    heights = [
        peaks(target[:, one], prediction[:, one], known[one], before=_WINDOW, after=_WINDOW).ratio for one in columns
    ]
    ratios = np.concatenate(heights) if heights else np.empty(0)
    ratios = ratios[~np.isnan(ratios)]
    return Activity(
        correlation=summarise(scores.correlation).mean,
        slope=summarise(scores.slope).mean,
        event_f1=_pooled(found).f1,
        event_peak=float(np.median(ratios)) if ratios.size else math.nan,
    )


def jumps(trace: Float) -> NDArray[np.int64]:
    """Return the frames in which a trace rises by more than its usual jump from frame to frame.

    Parameters
    ----------
    trace : ndarray of shape (T,), float64

    Returns
    -------
    ndarray of shape (E,), int64
        Of neighbouring frames the first.
    """
    rises = np.diff(trace)
    if rises.size == 0:
        return np.empty(0, dtype=np.int64)
    return onsets(rises, robust_threshold(rises, _RISE_SDS), 1) + 1


def _pooled(found: Sequence[Detection]) -> Detection:
    return Detection(
        hits=sum(one.hits for one in found),
        misses=sum(one.misses for one in found),
        false_alarms=sum(one.false_alarms for one in found),
    )
