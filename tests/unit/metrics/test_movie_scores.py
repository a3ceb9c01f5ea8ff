"""Scores of whole movies: sums over time at every pixel, signal-to-noise ratios, regression, noisy targets."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluation.metrics import LookNoise, PixelSums, frame_power, regression, snr, umse, upsnr


def moments(first, second):
    sums = PixelSums()
    for one, other in zip(first, second, strict=True):
        sums.feed(one, other)
    return sums.moments()


def powers(target, prediction):
    return [frame_power(*pair) for pair in zip(target, prediction, strict=True)]


def decibel_ratio(signal, error, axis):
    return float(np.mean(10 * np.log10(np.sum(signal**2, axis=axis) / np.sum(error**2, axis=axis))))


def test_pixel_moments_equal_numpy(movies):
    target, noisy = movies()
    ours = moments(target, noisy)
    np.testing.assert_allclose(ours.mean_first, target.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(ours.var_second, noisy.var(axis=0), rtol=1e-10)
    expected = np.mean((target - target.mean(axis=0)) * (noisy - noisy.mean(axis=0)), axis=0)
    np.testing.assert_allclose(ours.covariance, expected, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(ours.power_error, np.mean((target - noisy) ** 2, axis=0), rtol=1e-12)


def test_pixel_moments_of_integers_on_a_large_offset_are_exact():
    first = np.array([65530, 65531, 65530, 65531], dtype=np.uint16).reshape(4, 1, 1)
    ours = moments(first, first - 65530)
    assert ours.var_first[0, 0] == 0.25
    assert ours.var_error[0, 0] == 0
    assert ours.covariance[0, 0] == 0.25


def test_signal_to_noise_ratios_follow_their_definition(movies):
    # sSNR and tSNR of AI4Life-CIDC25, computed at once; centred: the target's mean taken from both movies.
    target, noisy = movies()
    error = target - noisy
    ours = snr(powers(target, noisy), moments(target, noisy))
    frame_mean, pixel_mean = target.mean(axis=(1, 2), keepdims=True), target.mean(axis=0)
    assert ours.spatial == pytest.approx(decibel_ratio(target, error, (1, 2)), abs=1e-10)
    assert ours.temporal == pytest.approx(decibel_ratio(target, error, 0), abs=1e-10)
    assert ours.spatial_centred == pytest.approx(decibel_ratio(target - frame_mean, error, (1, 2)), abs=1e-10)
    # Pixels far from the cell keep a tiny variance on a mean of 500: the last digits go.
    assert ours.temporal_centred == pytest.approx(decibel_ratio(target - pixel_mean, error, 0), abs=1e-6)
    assert ours.spatiotemporal == (ours.spatial + ours.temporal) / 2
    assert ours.spatiotemporal_centred == (ours.spatial_centred + ours.temporal_centred) / 2


def test_a_constant_image_scores_high_as_defined_and_zero_centred(movies):
    # Without the mean a constant is worth nothing: 10 log10(var / var) = 0 dB.
    target, _ = movies()
    means = np.broadcast_to(target.mean(axis=(1, 2), keepdims=True), target.shape)
    ours = snr(powers(target, means), moments(target, means))
    assert ours.spatial > 15
    assert ours.spatial_centred == pytest.approx(0, abs=1e-9)


def test_dead_pixels_are_left_out_of_the_temporal_ratio(movies):
    target, noisy = movies()
    expected = snr(powers(target, noisy), moments(target[:, :, 1:], noisy[:, :, 1:])).temporal_centred
    target[:, :, 0] = 0
    ours = snr(powers(target, noisy), moments(target, noisy))
    assert ours.temporal_centred == pytest.approx(expected, abs=1e-9)
    assert math.isfinite(ours.temporal)


def test_a_perfect_prediction_is_infinite_and_an_empty_target_nan(movies):
    target, noisy = movies()
    assert snr(powers(target, target), moments(target, target)).spatiotemporal == math.inf
    empty = np.zeros_like(noisy)
    assert math.isnan(snr(powers(empty, noisy), moments(empty, noisy)).spatiotemporal)


def test_regression_finds_gain_and_offset_and_equals_polyfit(movies):
    target, noisy = movies()
    exact = regression(moments(target, 0.25 * target + 40))
    assert (exact.gain, exact.offset) == (pytest.approx(0.25, rel=1e-9), pytest.approx(40, rel=1e-7))
    assert exact.correlation == pytest.approx(1, abs=1e-9)
    ours = regression(moments(target, noisy))
    gain, offset = np.polyfit(target.reshape(-1), noisy.reshape(-1), 1)
    assert (ours.gain, ours.offset) == (pytest.approx(gain, rel=1e-9), pytest.approx(offset, rel=1e-7))
    assert ours.correlation == pytest.approx(np.corrcoef(target.reshape(-1), noisy.reshape(-1))[0, 1], abs=1e-10)


def test_regression_of_a_constant_target_is_nan(movies):
    _, noisy = movies()
    assert math.isnan(regression(moments(np.ones_like(noisy), noisy)).gain)


def test_umse_recovers_the_error_to_the_clean_movie_from_noisy_looks(movies):
    # Noise sd 30 on every look, known true error 15**2 = 225; the estimate scatters by about 2 % here.
    clean, prediction = movies(frames=60)
    generator = np.random.default_rng(8)
    target, first, second = (clean + generator.normal(0, 30, clean.shape) for _ in range(3))
    looks = LookNoise()
    looks.feed(first[:25], second[:25])
    looks.feed(first[25:], second[25:])
    assert looks.variance() == pytest.approx(900, rel=0.02)
    ours = umse(moments(target, prediction), looks.variance(), gain=1, offset=0)
    assert ours == pytest.approx(np.mean((clean - prediction) ** 2), rel=0.05)
    assert upsnr(ours, 255.0) == pytest.approx(10 * math.log10(255**2 / ours), abs=1e-12)


def test_umse_brings_the_target_to_the_units_of_the_prediction(movies):
    clean, prediction = movies(frames=60)
    target = 10 * clean + np.random.default_rng(8).normal(0, 30, clean.shape) - 200
    ours = umse(moments(target, prediction), 900.0, gain=0.1, offset=20.0)
    assert ours == pytest.approx(np.mean((clean - prediction) ** 2), rel=0.02)


def test_a_negative_unbiased_error_has_no_psnr():
    assert math.isnan(upsnr(-0.1, 255.0))
    assert upsnr(0.0, 255.0) == math.inf
    assert math.isnan(LookNoise().variance())


def test_no_frame_and_a_changed_shape_are_refused(movies):
    with pytest.raises(ValueError, match="at least one frame"):
        PixelSums().moments()
    target, noisy = movies()
    sums = PixelSums()
    sums.feed(target[0], noisy[0])
    with pytest.raises(ValueError, match="frame 1: expected shape"):
        sums.feed(target[0, 1:], noisy[0, 1:])
