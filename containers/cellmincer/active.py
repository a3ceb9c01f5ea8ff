"""Which frames count for the features: all, those with a stimulus, or those inferred to be active."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from segments import Segment
    from settings import Manifest

_SMOOTH, _BINS, _VOTE, _PROMINENCE = 7, 100, 11, 0.125  # frames, bins, frames, share of the histogram's height


def active_frames(trace: np.ndarray, segments: tuple[Segment, ...], manifest: Manifest) -> np.ndarray | None:
    """Choose the frames for the features.

    Parameters
    ----------
    trace : ndarray of shape (T,), float
        Mean of each frame without the trend, counts.
    segments : tuple of Segment
        Segments of the movie.
    manifest : Manifest
        A stimulus wins over `infer_active_t_range`; neither means all frames.

    Returns
    -------
    ndarray of shape (T,), bool, or None
        None where frames were to be inferred but the trace does not have two states.
    """
    stimulus = _stimulus(len(trace), segments, manifest)
    if stimulus is not None:
        return stimulus
    if not manifest.infer_active_t_range:
        return np.ones(len(trace), bool)
    return infer(trace)


def infer(trace: np.ndarray) -> np.ndarray | None:
    """Split a trace at the middle between the first two peaks of its histogram.

    Upstream's rule, made for voltage imaging with a stimulus: the histogram (100 bins) of a 7-frame mean gives the
    threshold, by its peaks of a prominence of 1/8 of its range; the trace itself is held against it, and a majority
    of 11 frames decides.

    Returns
    -------
    ndarray of shape (T,), bool, or None
        None where the histogram has fewer than two such peaks, as with slow or sparse transients.
    """
    extended = np.pad(trace, _SMOOTH // 2, mode="edge")
    smooth = np.convolve(extended, np.full(_SMOOTH, 1 / _SMOOTH), mode="valid")
    counts, edges = np.histogram(smooth, bins=_BINS)
    peaks = prominent_peaks(counts, _PROMINENCE * np.ptp(counts))
    if len(peaks) < 2:  # noqa: PLR2004 - two states
        return None
    above = trace > (edges[peaks[0]] + edges[peaks[1]]) / 2
    return np.convolve(above, np.full(_VOTE, 1 / _VOTE), mode="same") > 0.5  # noqa: PLR2004 - majority


def prominent_peaks(values: np.ndarray, prominence: float) -> list[int]:
    """Return the local maxima that stand out by `prominence`, a plateau by its middle; the ends are no peaks.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Heights.
    prominence : float
        Least drop on both sides before something higher or the end.

    Returns
    -------
    list of int
        Indices in order.
    """
    peaks = []
    start = 1
    while start < len(values) - 1:
        stop = start
        while stop + 1 < len(values) and values[stop + 1] == values[start]:
            stop += 1
        inside = stop < len(values) - 1
        higher = inside and values[start - 1] < values[start] > values[stop + 1]
        if higher and _prominence(values, start, stop) >= prominence:
            peaks.append((start + stop) // 2)
        start = stop + 1
    return peaks


def _prominence(values: np.ndarray, start: int, stop: int) -> float:
    height = values[start]
    higher_left = np.flatnonzero(values[:start] > height)
    higher_right = np.flatnonzero(values[stop + 1 :] > height)
    left = values[higher_left[-1] if higher_left.size else 0 : start].min()
    right = values[stop + 1 : stop + 1 + higher_right[0] if higher_right.size else None].min()
    return float(height - max(left, right))


def _stimulus(length: int, segments: tuple[Segment, ...], manifest: Manifest) -> np.ndarray | None:
    """Return frames [frame_start, frame_end) of segments [segment_start, segment_end); None without a stimulus."""
    if manifest.stim_frame_start is None and manifest.stim_frame_end is None:
        return None
    active = np.zeros(length, bool)
    for segment in segments[manifest.stim_segment_start or 0 : manifest.stim_segment_end]:
        last = segment.stop if manifest.stim_frame_end is None else segment.start + manifest.stim_frame_end
        active[segment.start + (manifest.stim_frame_start or 0) : min(last, segment.stop)] = True
    return active
