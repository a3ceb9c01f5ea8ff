"""Noise line, trend, dejitter and active frames against numpy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage, optimize, signal

from active import active_frames, infer, prominent_peaks
from cellmincer.tests.synthetic import params
from dejitter import dejitter, slow_part
from likelihood import refine
from noise import NoiseFit, NoiseLine, line
from recording import Mapped, Recording
from segments import kept_frames, segments_of
from settings import settings_of
from trend import TrendFit


def segment_of(length: int, **changes: object):
    settings = settings_of(params(**changes))
    return segments_of(length, 13, settings.manifest, settings.preprocess)


def test_the_line_through_variances_is_that_of_polyfit():
    """numpy.polyfit, degree 1."""
    rng = np.random.default_rng(0)
    mean = rng.uniform(10, 100, (20, 30))
    variance = 3 * mean + 7 + rng.normal(0, 5, mean.shape)
    assert line(mean, variance) == pytest.approx(tuple(np.polyfit(mean.ravel(), variance.ravel(), 1)))


def test_poisson_gaussian_noise_is_recovered():
    """Simulated with gain 4 and read noise 3 counts: variance = 4 * (mean - 100) + 9."""
    rng = np.random.default_rng(1)
    photons = np.linspace(1, 40, 64)[:, None] * np.ones(64)
    frames = np.rint(4 * rng.poisson(photons, (200, 64, 64)) + rng.normal(100, 3, (200, 64, 64)))
    fit = NoiseFit(10, np.random.default_rng(2), integer=True)
    fit.begin_segment()
    fit.see(frames)
    fit.add(frames, 100)
    found = fit.solve(upstream=False)
    assert found.alpha_median == pytest.approx(4, rel=0.03)
    assert found.beta_median == pytest.approx(9 - 400, rel=0.06)
    assert found.variance(np.array([180.0]))[0] == pytest.approx(4 * 80 + 9, rel=0.03)


def test_a_dead_pixel_leaves_a_floor_of_the_rounding_error():
    """Variance of a uniform distribution of width 1 is 1/12; upstream's floor is 0 here."""
    frames = np.zeros((40, 8, 8), np.float32)
    fit = NoiseFit(10, np.random.default_rng(2), integer=True)
    fit.begin_segment()
    fit.see(frames)
    fit.add(frames, 5)
    assert fit.solve(upstream=False).global_min_variance == pytest.approx(1 / 12)
    assert fit.solve(upstream=True).global_min_variance == 0


@pytest.mark.parametrize("order", [0, 1, 3])
def test_a_polynomial_trend_is_that_of_polyfit_on_the_flanks(order):
    """numpy.polyfit on the same frames, evaluated on all frames."""
    rng = np.random.default_rng(3)
    frames = rng.normal(100, 5, (90, 4, 5)).astype(np.float32)
    (segment,) = segment_of(90, n_frames_fit_left=20, n_frames_fit_right=30)
    fit = TrendFit(segment, (4, 5), order, exponential=False)
    for first, last in segment.flanks():
        fit.add(first, frames[first:last])
    chosen = np.r_[0:20, 60:90]
    expected = np.polyfit(chosen, frames[chosen].reshape(50, -1), order)
    values = np.stack([np.polyval(column, np.arange(90)) for column in expected.T], axis=1).reshape(90, 4, 5)
    assert np.allclose(fit.solve().at(np.arange(90)), values, rtol=1e-4)


def test_an_exponential_trend_recovers_its_rates():
    """Noise-free decays of known rates; the ladder of rates is refined to well below its rungs (20 % apart)."""
    time = np.linspace(0, 2, 200)[:, None, None]
    rates = np.array([[0.4, 1.3, 5.0]])
    frames = (60 * np.exp(-rates * time) + 100).astype(np.float32)
    (segment,) = segment_of(200)
    fit = TrendFit(segment, (1, 3), 0, exponential=True)
    fit.add(0, frames)
    assert np.abs(fit.solve().at(np.arange(200)) - frames).max() < 0.2


@pytest.mark.parametrize(("exponential", "order"), [(False, 0), (False, 1), (True, 0)])
def test_the_likely_trend_minimises_the_loss_of_the_paper(exponential, order):
    """scipy.optimize.minimize on each pixel, from the same start."""
    rng = np.random.default_rng(4)
    time = np.linspace(0, 2, 120)[:, None, None]
    mean = 20 + 30 * np.exp(-1.5 * time) * np.array([[1.0, 0.6]])
    movie = (2 * rng.poisson(mean / 2)).astype(np.float32)
    noise = NoiseLine(alpha_median=2.0, alpha_std=0.0, beta_median=1.0, beta_std=0.0, global_min_variance=0.5)
    (segment,) = segment_of(120)
    fit = TrendFit(segment, (1, 2), order, exponential=exponential)
    fit.add(0, movie)
    recording = Recording(Mapped(movie.transpose(0, 2, 1)), "movie")
    found = refine(recording, fit.solve(), noise).at(np.arange(120))

    def loss(curve, pixel):
        variance = np.maximum(2 * curve + 1, 0.5)
        return np.sum((movie[:, 0, pixel] - curve) ** 2 / (2 * variance) + 0.5 * np.log(variance))

    scaled = time[:, 0, 0] - 1
    for pixel in (0, 1):
        if exponential:
            start = [30.0, 1.0, 20.0]
            best = optimize.minimize(lambda a: loss(a[0] * np.exp(-a[1] * (scaled + 1)) + a[2], pixel), start)  # noqa: B023
        else:
            best = optimize.minimize(lambda a: loss(np.polyval(a, scaled), pixel), [0.0] * order + [30.0])  # noqa: B023
        assert loss(found[:, 0, pixel], pixel) == pytest.approx(best.fun, rel=1e-5)


def noisy_curves(rng, *, steep):
    """Return pixels (T, Y, X) of random light and bleaching with their noise line, some with a transient."""
    length, gain, offset, read = int(rng.integers(60, 300)), 10 ** rng.uniform(-1, 1), rng.uniform(50, 150), 3.0
    time = np.linspace(-1, 1, length)[:, None, None]
    light = 10 ** rng.uniform(1, 2.5, (1, 4, 5)) * np.exp(rng.uniform(-0.8, 0.3, (1, 4, 5)) * time)
    movie = offset + gain * rng.poisson(light / gain) + rng.normal(0, read, light.shape)
    beta = -gain * offset + read**2
    if steep:
        movie += (rng.random((1, 4, 5)) < 0.5) * light * 2 * np.exp(-8 * np.abs(time - 0.3))
        beta -= 1.2 * gain * light.min()
    noise = NoiseLine(
        alpha_median=gain, alpha_std=0.0, beta_median=beta, beta_std=0.0, global_min_variance=0.5 * read**2
    )
    return movie.astype(np.float32), noise


def upstreams_search(movie, noise, order):
    """Return the curves of upstream's settings of L-BFGS: a polynomial in seconds, all pixels at once, float32."""
    seconds = np.arange(len(movie)) / 30
    powers = torch.tensor(np.vander(seconds, order + 1), dtype=torch.float32)
    values = torch.tensor(movie.reshape(len(movie), -1))
    start = np.polyfit(seconds, movie.reshape(len(movie), -1).astype(np.float64), order)
    weights = torch.tensor(start, dtype=torch.float32, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], lr=0.1, max_iter=100, history_size=100, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        curves = powers @ weights
        variance = (noise.alpha_median * curves + noise.beta_median).clamp(min=noise.global_min_variance)
        loss = ((values - curves) ** 2 / (2 * variance) + 0.5 * variance.log()).sum()
        loss.backward()
        return loss

    for _ in range(3):
        optimiser.step(closure)
    return (np.vander(seconds, order + 1) @ weights.detach().double().numpy()).reshape(movie.shape)


@pytest.mark.parametrize("steep", [False, True])
@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_a_likely_trend_is_at_least_as_likely_as_upstreams_and_equal_for_constants(order, steep):
    """Random pixels and noise lines against torch's L-BFGS with upstream's settings, and against the start."""
    for seed in range(2):
        movie, noise = noisy_curves(np.random.default_rng([order, steep, seed]), steep=steep)
        (segment,) = segment_of(len(movie))
        fit = TrendFit(segment, (5, 4), order, exponential=False)
        fit.add(0, movie.transpose(0, 2, 1))
        frames = np.arange(len(movie))
        found = refine(Recording(Mapped(movie), "movie"), fit.solve(), noise).at(frames).transpose(0, 2, 1)
        theirs = upstreams_search(movie, noise, order)

        def losses(curves):
            variance = noise.variance(curves.astype(np.float64))  # noqa: B023
            return ((movie - curves) ** 2 / (2 * variance) + 0.5 * np.log(variance)).sum(axis=0)  # noqa: B023

        assert (losses(found) <= losses(fit.solve().at(frames).transpose(0, 2, 1)) + 1e-3).all()
        assert losses(found).sum() <= losses(theirs).sum() + 0.01
        if order == 0:
            assert np.abs(found - theirs).max() < 0.5


@pytest.mark.parametrize(
    ("length", "left", "right", "expected"),
    [(100, 20, 30, ((0, 20), (70, 100))), (40, 30, 30, ((0, 40),)), (5, 100, 250, ((0, 5),)), (30, 0, 7, ((23, 30),))],
)
def test_flanks_that_do_not_fit_are_cut_down_without_overlap(length, left, right, expected):
    """By hand; upstream overlaps the second and wraps round in the third."""
    (segment,) = segment_of(length, n_frames_fit_left=left, n_frames_fit_right=right)
    assert segment.flanks() == expected


def test_segments_cover_every_frame_and_trimmed_frames_are_not_learned_from():
    """1009-frame segments of a movie of 2020 frames: the rest of 2 frames joins the second."""
    segments = segment_of(2020, n_frames_per_segment=1009, trim_left=4, trim_right=3)
    assert [(one.start, one.stop) for one in segments] == [(0, 1009), (1009, 2020)]
    assert np.array_equal(kept_frames(segments), np.r_[4:1006, 1013:2017])


@pytest.mark.parametrize("method", ["mean", "median"])
def test_the_slow_brightness_is_that_of_a_filter(method):
    """scipy.ndimage filters with mode "mirror", numpy's "reflect"."""
    trace = np.random.default_rng(5).normal(size=90)
    chosen = settings_of(params(dejitter_detrending_method=method, dejitter_detrending_order=4)).preprocess
    filters = {"mean": ndimage.uniform_filter1d, "median": ndimage.median_filter}
    assert np.allclose(slow_part(trace, chosen, 30.0), filters[method](trace, size=9, mode="mirror"))


def test_the_low_pass_is_that_of_a_short_time_fourier_transform():
    """scipy.signal.stft and istft with boundary "constant"."""
    trace = np.random.default_rng(6).normal(size=301).cumsum()
    chosen = settings_of(
        params(
            dejitter_detrending_method="stft", dejitter_stft_nperseg=40, dejitter_stft_noverlap=30,
            dejitter_stft_lp_slope=2.0, dejitter_stft_lp_cutoff=3.0,
        )
    ).preprocess  # fmt: skip
    frequency, _, transform = signal.stft(trace, fs=30.0, nperseg=40, noverlap=30, boundary="constant")
    transform *= (1 / (1 + np.exp(2.0 * (frequency - 3.0))))[:, None]
    _, expected = signal.istft(transform, fs=30.0, nperseg=40, noverlap=30)
    assert np.allclose(slow_part(trace, chosen, 30.0), expected[:301], atol=1e-8)


def test_dejitter_takes_out_flicker():
    """A constant movie with flicker of 5 % above an offset of 100 counts comes back constant."""
    flicker = 1 + 0.05 * np.random.default_rng(7).normal(size=200)
    movie = (100 + 50 * flicker[:, None, None] * np.ones((6, 7))).astype(np.float32)
    recording = Recording(Mapped(movie), "movie")
    dejitter(recording, settings_of(params(dejitter_ccd_dc_offset=100.0)).preprocess, 30.0)
    found = recording.frames(0, 200)
    assert (found[20:-20].std() / movie[20:-20].std()) < 0.2
    assert found.mean() == pytest.approx(movie.mean(), rel=0.01)


def test_peaks_are_those_of_scipy():
    """scipy.signal.find_peaks on histograms with plateaus."""
    rng = np.random.default_rng(8)
    for _ in range(50):
        values = rng.integers(0, 12, 60)
        expected, _ = signal.find_peaks(values, prominence=3)
        assert prominent_peaks(values, 3) == expected.tolist()


def test_two_states_are_told_apart_and_one_state_is_not():
    """A stimulus in a third of the frames; slow decay alone has no two states (an IndexError upstream)."""
    time = np.arange(9000)
    stimulus = (time >= 3000) & (time < 6000)
    active = infer(5 * stimulus + np.random.default_rng(9).normal(0, 0.8, 9000))
    assert active is not None
    assert np.count_nonzero(active != stimulus) < 20
    assert infer(np.exp(-time / 3000)) is None


def literal_active(trace):
    """Return upstream's active frames by scipy, or None where it ends with an IndexError."""
    smooth = ndimage.uniform_filter1d(trace, 7, mode="nearest")
    counts, edges = np.histogram(smooth, bins=100)
    peaks, _ = signal.find_peaks(counts, prominence=0.125 * np.ptp(counts))
    if len(peaks) < 2:
        return None
    above = (trace > (edges[peaks[0]] + edges[peaks[1]]) / 2).astype(float)
    return ndimage.uniform_filter1d(above, 11, mode="constant") > 0.5


def test_active_frames_are_upstreams_on_random_traces():
    """The rule written with scipy: the smoothed trace sets the threshold, the raw one is held against it."""
    rng = np.random.default_rng(10)
    told_apart = 0
    for _ in range(400):
        length = int(rng.integers(200, 3000))
        steps = np.repeat(rng.random(-(-length // 50)) < rng.uniform(0.2, 0.8), 50)[:length]
        decay = np.convolve(rng.random(length) < 0.01, np.exp(-np.arange(60) / rng.uniform(2, 30)))[:length]
        trace = rng.choice([0.0, 3.0]) * steps + rng.uniform(0, 2) * decay + rng.normal(0, rng.uniform(0.05, 1), length)
        found, expected = infer(trace), literal_active(trace)
        assert (found is None) == (expected is None)
        if expected is not None:
            assert np.array_equal(found, expected)
            told_apart += 1
    assert told_apart > 200


def test_a_stimulus_names_its_frames_in_each_segment():
    """By hand: segments 1 and 2 of 3, frames 5 to 8."""
    settings = settings_of(
        params(n_frames_per_segment=20, stim_segment_start=1, stim_segment_end=3, stim_frame_start=5, stim_frame_end=8)
    )
    segments = segments_of(60, 13, settings.manifest, settings.preprocess)
    active = active_frames(np.zeros(60), segments, settings.manifest)
    assert np.flatnonzero(active).tolist() == [25, 26, 27, 45, 46, 47]
