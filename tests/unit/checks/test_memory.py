"""Memory of the checks does not grow with the length of a movie."""

from __future__ import annotations

import tracemalloc
from itertools import islice

import numpy as np
import pytest

from evaluation.checks.battery import check_movie
from evaluation.checks.injected import judge_injected
from evaluation.checks.noise_alone import judge_noise
from evaluation.checks.planting import ground_of, injected, injection_for, noise_only
from evaluation.checks.shuffled import temporal_context
from evaluation.checks.trained_again import judge_halves, judge_seeds

pytestmark = pytest.mark.slow
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


def _full_peak(frames):
    """Return the peak memory of everything that full checks do, but for predictions."""
    raw, plain = _Made(frames, noise=True), _Made(frames, noise=False)
    tracemalloc.start()
    ground = ground_of(raw)
    injection = injection_for(ground, frames, 20.0)
    for made in (injected(raw, ground, injection), noise_only(raw, ground)):
        for frame in islice(made, 32):  # each is made from its number alone
            assert frame.shape == (SIDE, SIDE)
    judge_injected(plain, plain, ground, injection)
    judge_noise(raw, plain, ground.places)
    temporal_context(plain, plain, ground.places)
    judge_seeds([plain, plain], ground.places)
    judge_halves(raw, _Made(frames // 2, noise=False), _Made(frames // 2, noise=False), ground.places)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.slow
def test_full_checks_of_a_movie_twice_as_long_take_no_more_memory():
    assert _full_peak(4096) < 1.05 * _full_peak(2048)


def test_a_movie_four_times_as_long_takes_no_more_memory():
    """Both lengths are read in stretches of 128 frames; a shorter movie is one stretch and takes less."""
    assert _peak(2048) < 1.05 * _peak(512)
