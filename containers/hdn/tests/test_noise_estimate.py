"""Gain and read noise from the recording itself, on movies whose detector is known."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pytest
from hdn_jobs import clean_movie, noisy_movie, write_movie

from contract.errors import JobRefused
from contract.stacks import open_stack
from noise_estimate import Windows, binned, estimate_affine, fit_affine, residual_pairs

ROUNDING = 1 / 12  # variance of rounding to integers, part of what is read out


def _estimate(tmp_path, movie, differences="temporal"):
    with open_stack(write_movie(tmp_path / "noisy.tif", movie)) as stack:
        return estimate_affine([stack], differences)


@pytest.mark.parametrize(("gain", "read_noise", "offset"), [(2.0, 8.0, 100.0), (0.5, 6.0, 0.0), (4.0, 16.0, 300.0)])
def test_gain_and_read_noise_are_recovered_within_five_percent(tmp_path, gain, read_noise, offset):
    movie = noisy_movie(clean_movie(200, 128), gain=gain, read_noise=read_noise, offset=offset)
    fit = _estimate(tmp_path, movie).noise_model
    assert fit.gain == pytest.approx(gain, rel=0.05)  # the simulated gain
    assert fit.read_noise(offset) == pytest.approx(np.sqrt(read_noise**2 + ROUNDING), rel=0.05)


def test_few_grey_levels_are_recovered_within_five_percent(tmp_path):
    movie = noisy_movie(0.03 * clean_movie(200, 128), gain=0.3, read_noise=1.33, offset=100)  # 20 grey levels
    fit = _estimate(tmp_path, movie).noise_model
    assert fit.gain == pytest.approx(0.3, rel=0.05)
    assert fit.read_noise(100) == pytest.approx(np.sqrt(1.33**2 + ROUNDING), rel=0.05)


def test_the_excess_noise_of_a_photomultiplier_is_part_of_the_gain(tmp_path):
    """About one photon per pixel, each with a random charge of mean 100 and sd 48: skewed noise, on the same line."""
    rng = np.random.default_rng(1)
    photons = rng.poisson(clean_movie(200, 128) / 60)
    charge = 100 * rng.gamma(np.maximum(photons, 1e-9) / 0.48**2, 0.48**2)  # a sum of gammas is one
    fit = _estimate(tmp_path, np.rint(charge + 100).astype(np.uint16)).noise_model
    assert fit.gain == pytest.approx(100 * (1 + 0.48**2), rel=0.05)  # excess noise factor 1 + cv**2


def test_brightness_that_changes_between_frames_does_not_count_as_noise(tmp_path):
    clean = clean_movie(96, 96) * (1 + 0.3 * np.sin(np.arange(96))[:, None, None])  # flickers by up to 29 % a frame
    movie = noisy_movie(clean, gain=2, read_noise=8, offset=100)
    fit = _estimate(tmp_path, movie).noise_model
    naive = np.mean(np.diff(movie.astype(float), axis=0) ** 2) / 2
    assert naive > 1.3 * (64 + 2 * clean.mean())  # half the mean squared difference is far off here
    assert fit.variance(np.array([100 + clean.mean()]))[0] == pytest.approx(64 + 2 * clean.mean(), rel=0.05)


def test_the_standard_error_covers_the_truth(tmp_path):
    fits = [
        _estimate(tmp_path, noisy_movie(clean_movie(64, 96), gain=2, read_noise=8, offset=100, seed=seed)).noise_model
        for seed in range(5)
    ]
    off = [(fit.gain - 2) / fit.gain_error for fit in fits]
    assert np.abs(off).max() < 4  # standard errors


def test_constant_noise_gets_no_negative_gain(tmp_path):
    movie = np.random.default_rng(0).normal(200, 5, (40, 64, 64)).astype(np.float32)
    fit = _estimate(tmp_path, movie).noise_model
    assert fit.gain >= 0
    assert fit.variance(np.array([200.0]))[0] == pytest.approx(25, rel=0.05)


def test_the_spatial_estimate_works_on_single_smooth_images(tmp_path):
    y, x = np.mgrid[:256, :256]
    image = 200 + 150 * np.sin(x / 40) * np.cos(y / 30)
    fit = _estimate(tmp_path, noisy_movie(image[None], gain=2, read_noise=8, offset=100), "spatial").noise_model
    for signal in (100, 200, 300):
        assert fit.variance(np.array([100.0 + signal]))[0] == pytest.approx(64 + 2 * signal, rel=0.1)


def test_saturated_windows_are_left_out(tmp_path):
    movie = noisy_movie(clean_movie(64, 96), gain=2, read_noise=8, offset=100)
    movie[:, 40:60, 40:60] = 65535
    assert _estimate(tmp_path, movie).noise_model.gain == pytest.approx(2, rel=0.05)


def test_images_that_do_not_follow_each_other_are_refused_with_a_hint(tmp_path):
    y, x = np.mgrid[:96, :96]
    images = np.stack([900 + 800 * np.sin(x / 7 + seed) * np.cos(y / 6 - 2 * seed) for seed in range(6)])
    with pytest.raises(JobRefused, match="differences: spatial"):
        _estimate(tmp_path, noisy_movie(images, gain=1, read_noise=1))


def test_a_single_frame_is_refused_with_a_hint(tmp_path):
    with pytest.raises(JobRefused, match="differences: spatial"):
        _estimate(tmp_path, noisy_movie(clean_movie(1, 64), gain=1, read_noise=1))


def test_outlying_windows_do_not_bend_the_fit():
    rng = np.random.default_rng(0)
    mean = rng.uniform(50, 400, 2000)
    variance = (64 + 2 * mean) * rng.gamma(50, 1 / 50, 2000)
    variance[:100] *= 8  # cells that moved
    fit = fit_affine(Windows(mean, variance, np.full(2000, 16.0)), integer=True)
    assert fit.gain == pytest.approx(2, rel=0.05)
    assert fit.variance_at_zero == pytest.approx(64, rel=0.1)


def test_bins_of_the_plot_lie_on_the_line():
    mean = np.linspace(0, 100, 3200)
    signal, variance, error = binned(Windows(mean, 5 + 2 * mean, np.ones(3200)))
    assert len(signal) == 32
    np.testing.assert_allclose(variance, 5 + 2 * signal)
    assert (error > 0).all()


def test_residuals_for_the_histogram_have_the_variance_of_a_pixel(tmp_path):
    movie = np.random.default_rng(0).normal(200, 5, (40, 64, 64)).astype(np.float32)
    with open_stack(write_movie(tmp_path / "noisy.tif", movie)) as stack:
        for differences in ("temporal", "spatial"):
            pairs = residual_pairs([stack], differences)
            assert np.var(pairs.noisy - pairs.signal) == pytest.approx(25, rel=0.03)
