"""Preprocessing as a whole: how often frames are read, and smoothing before the trend is fitted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from cellmincer.tests.synthetic import params
from preprocess import prepare
from recording import Mapped, Recording
from settings import settings_of


class Counting(Mapped):
    """A movie that counts the frames read from it, and the most read at a time."""

    read = most = 0

    def window(self, start: int, stop: int, rows: slice, columns: slice) -> np.ndarray:
        """Count, then read."""
        self.read += stop - start
        self.most = max(self.most, stop - start)
        return super().window(start, stop, rows, columns)


def movie_of(frames: int, side: int = 16) -> np.ndarray:
    return np.random.default_rng(0).normal(100, 5, (frames, side, side)).astype(np.float32)


@pytest.mark.parametrize(("passes", "changes"), [(2, {}), (4, {"dejitter_enabled": True})])
def test_a_movie_is_read_in_two_passes_and_four_with_dejittering(passes, changes):
    """Beside the passes: 12 stretches of 40 frames for the correlation, and the reflected ends of the features."""
    source = Counting(movie_of(1500))
    settings = settings_of(params(n_bootstrap=20, **changes))
    prepare(Recording(source, "movie"), settings, seed=0, rate_hz=30.0, say=lambda _: None)
    assert passes * 1500 <= source.read <= passes * 1500 + 12 * 40 + 100
    assert source.most <= 64 + 20  # a block and what the moving mean over 21 frames needs beside it


def test_smoothing_takes_the_median_over_time_before_the_trend_is_fitted():
    """scipy.ndimage.median_filter with repeated ends, then numpy.polyfit; blocks of 64 frames must not show."""
    movie = movie_of(150)
    movie[4::8] += 60  # outliers that a median of 5 frames takes out; each stretch of baseline.py has one
    settings = settings_of(params(smoothing="median", smoothing_window=5, poly_order=1, n_bootstrap=20))
    found = prepare(Recording(Mapped(movie), "movie"), settings, seed=0, rate_hz=30.0, say=lambda _: None)
    smooth = ndimage.median_filter(movie, size=(5, 1, 1), mode="nearest").reshape(150, -1)
    slope, start = np.polyfit(np.arange(150), smooth, 1)
    expected = (np.arange(150)[:, None] * slope + start).reshape(movie.shape)
    error = np.abs(found.trend.at(np.arange(150)).transpose(0, 2, 1) - expected).max(axis=0)
    assert np.mean(error < 1e-3) > 0.5  # pixels in which nothing stands out; see baseline.py
    assert error.max() < 15  # counts, of outliers of 60
