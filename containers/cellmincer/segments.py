"""Segments of a movie: the stretches that get a trend of their own, and the flank frames it is fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from settings import Manifest, Preprocess


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """One stretch of frames.

    Parameters
    ----------
    start, stop : int
        Frames of the segment; segments meet without gap and cover the movie.
    first, last : int
        Frames [first, last) left after trimming; only they are fitted on and trained on.
    left, right : int
        Flank frames are [first, first + left) and [last - right, last); they do not overlap.
    """

    start: int
    stop: int
    first: int
    last: int
    left: int
    right: int

    def flanks(self) -> tuple[tuple[int, int], ...]:
        """Return the flanks as ranges; one range when together they are the whole trimmed segment."""
        if self.left + self.right >= self.last - self.first:
            return ((self.first, self.last),)
        ranges = ((self.first, self.first + self.left), (self.last - self.right, self.last))
        return tuple(one for one in ranges if one[1] > one[0])

    def scaled(self, frames: np.ndarray) -> np.ndarray:
        """Return frame numbers as times from -1 (first frame) to 1 (last frame)."""
        return 2 * (frames - self.first) / max(1, self.last - 1 - self.first) - 1


def segments_of(length: int, shortest: int, manifest: Manifest, preprocess: Preprocess) -> tuple[Segment, ...]:
    """Cut a movie into segments.

    Parameters
    ----------
    length : int
        Frames of the movie.
    shortest : int
        A rest of fewer frames than this joins the segment before.
    manifest : Manifest
        Frames of a segment, or number of segments; neither means one segment.
    preprocess : Preprocess
        Trimmed and fitted frames. What does not fit a short segment is cut down to it.

    Returns
    -------
    tuple of Segment
        They cover frames 0 to `length`.
    """
    size = manifest.n_frames_per_segment or -(-length // (manifest.n_segments or 1))
    starts = list(range(0, length, size))
    if len(starts) > 1 and length - starts[-1] < max(shortest, 2):
        starts.pop()
    stops = [*starts[1:], length]
    return tuple(_segment(start, stop, preprocess) for start, stop in zip(starts, stops, strict=True))


def _segment(start: int, stop: int, preprocess: Preprocess) -> Segment:
    kept = max(2, stop - start - preprocess.trim_left - preprocess.trim_right)
    first = max(start, min(start + preprocess.trim_left, stop - kept))
    last = min(stop, first + kept)
    span = last - first
    left, right = preprocess.n_frames_fit_left, preprocess.n_frames_fit_right
    if left is None and right is None:
        left = span
    left = min(left or 0, span)
    return Segment(start=start, stop=stop, first=first, last=last, left=left, right=min(right or 0, span - left))


def kept_frames(segments: tuple[Segment, ...]) -> np.ndarray:
    """Return the numbers of all frames that are left after trimming: ndarray of int, in order."""
    return np.concatenate([np.arange(one.first, one.last) for one in segments])
