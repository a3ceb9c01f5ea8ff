"""The trend between large transients: the baseline that is there, and least squares where nothing stands out."""

from __future__ import annotations

import numpy as np
import pytest

from baseline import QuietFit
from cellmincer.tests.synthetic import params
from preprocess import prepare
from recording import Mapped, Recording
from segments import segments_of
from settings import settings_of
from trend import TrendFit

FRAMES, SIDE, PEAK = 300, 48, 250.0


def cells(seed, slope=0.0):
    """Return a clean movie with single large transients in quiet traces, a noisy one, and the pixels of each cell."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    time = np.arange(FRAMES)
    clean = (60 + 15 * np.cos(x / 15) * np.cos(y / 15))[None] * (1 + slope * (time / FRAMES - 0.5)[:, None, None])
    where = []
    for centre, starts in (((10, 10), (60,)), ((10, 37), (150,)), ((37, 10), (40, 190)), ((37, 37), (265,))):
        shape = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (2 * 3.0**2))
        trace = sum(np.where(time >= start, np.exp(-(time - start) / 8.0), 0) for start in starts)
        clean = clean + PEAK * trace[:, None, None] * shape
        where.append((shape > 0.5, trace < 0.01))
    noisy = 100 + 20 * rng.poisson(clean / 20) + rng.normal(0, 5, clean.shape)
    return clean + 100, np.rint(noisy).clip(0).astype(np.uint16), where


def trend_of(movie, **changes):
    settings = settings_of(params("quick", **changes))
    prepared = prepare(Recording(Mapped(movie), "movie"), settings, seed=0, rate_hz=30.0, say=lambda _: None)
    return prepared.trend.at(np.arange(len(movie))).transpose(0, 2, 1)


@pytest.mark.parametrize(("seed", "slope"), [(1, 0.0), (2, 0.0), (3, -0.3)])
def test_the_quiet_stretches_of_a_cell_with_single_transients_lie_on_the_trend(seed, slope):
    """Below 1 % of the peak, with bleaching as well; the line through all frames, upstream's, is off by 4 to 9 %."""
    clean, noisy, where = cells(seed, slope)
    trend, theirs = trend_of(noisy), trend_of(noisy, compat="upstream")
    for pixels, quiet in where:
        errors = [np.sqrt(np.mean((one - clean)[quiet][:, pixels].mean(axis=1) ** 2)) for one in (trend, theirs)]
        height = np.ptp(clean[:, pixels].mean(axis=1))
        assert errors[0] < 0.01 * height
        assert errors[1] > 0.03 * height


def test_pixels_in_which_nothing_stands_out_keep_least_squares():
    movie = np.random.default_rng(4).normal(100, 5, (300, 20, 20)).astype(np.float32)
    settings = settings_of(params("quick"))
    (segment,) = segments_of(300, 13, settings.manifest, settings.preprocess)
    line, quiet = TrendFit(segment, (20, 20), 1, exponential=False), QuietFit(segment, (20, 20), 1)
    for start in range(0, 300, 64):
        line.add(start, movie[start : start + 64])
        quiet.add(start, movie[start : start + 64])
    before = line.solve()
    after = quiet.settled(before)
    same = (after.coefficients == before.coefficients).all(axis=0)
    assert same.mean() > 0.8
    assert np.abs(after.coefficients - before.coefficients).max() < 2  # counts, of a standard deviation of 5


def test_a_pixel_that_is_active_most_of_the_time_keeps_least_squares():
    """There is no baseline to see."""
    rng = np.random.default_rng(5)
    busy = 100 * np.convolve(rng.random(400) < 0.2, np.exp(-np.arange(100) / 20))[100:400, None, None]
    movie = (500 + busy + rng.normal(0, 5, (300, 20, 20))).clip(0).astype(np.uint16)
    found, line = trend_of(movie), np.polyfit(np.arange(300), movie.reshape(300, -1), 1)
    expected = (np.arange(300)[:, None] * line[0] + line[1]).reshape(movie.shape)
    assert np.abs(found.mean(axis=(1, 2)) - expected.mean(axis=(1, 2))).max() < 0.35 * np.ptp(busy)


def test_upstream_keeps_its_trend():
    _, noisy, _ = cells(6)
    trend = trend_of(noisy, compat="upstream", poly_order=0)
    assert np.abs(trend[0] - noisy.mean(axis=0)).max() < 0.1 * PEAK
    assert np.ptp(trend, axis=0).max() == 0
