"""Memory of the checks does not grow with the length of a movie."""

from __future__ import annotations

import tracemalloc

import numpy as np

from evaluation.checks.battery import check_movie

SIDE = 48


class _Made:
    """A movie that is made frame by frame."""

    def __init__(self, frames, noise):
        self._frames, self._noise = frames, noise

    def __len__(self):
        return self._frames

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        frame = np.full((SIDE, SIDE), 50, np.float32)
        frame[::8, ::8] += 40 * np.exp(-(index % 40) / 6)
        return rng.poisson(frame).astype(np.uint16) if self._noise else frame


def _peak(frames):
    tracemalloc.start()
    check_movie(_Made(frames, noise=True), _Made(frames, noise=False))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_a_movie_four_times_as_long_takes_no_more_memory():
    """Both lengths are read in stretches of 128 frames; a shorter movie is one stretch and takes less."""
    assert _peak(2048) < 1.05 * _peak(512)
