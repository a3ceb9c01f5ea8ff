"""psnr, si_psnr and ssim of single frames, and the local windows beneath ssim."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, uniform_filter

from evaluation.metrics import psnr, si_psnr, ssim
from evaluation.metrics.window import GAUSSIAN, UNIFORM

FLAT = np.full((16, 16), 0.1)


@pytest.fixture
def pair():
    generator = np.random.default_rng(1)
    return generator.integers(0, 4000, (33, 47)).astype(np.uint16), generator.normal(100, 9, (33, 47))


def test_psnr_of_a_constant_error_is_twenty_log_range_over_error():
    # Range 200, error 2 everywhere: 20 log10(100) = 40 dB.
    assert psnr(np.full((8, 8), 10), np.full((8, 8), 12), 200.0) == pytest.approx(40, abs=1e-12)


def test_psnr_of_equal_frames_is_infinite(pair):
    assert psnr(pair[0], pair[0], 1.0) == math.inf


def test_unsigned_frames_do_not_wrap_in_the_difference():
    # 0 - 1 in uint8 is 255; the error is 1, so 20 log10(255) = 48.13 dB.
    ours = psnr(np.zeros((8, 8), np.uint8), np.ones((8, 8), np.uint8), 255.0)
    assert ours == pytest.approx(20 * math.log10(255), abs=1e-12)


def test_si_psnr_ignores_gain_offset_and_sign(pair):
    expected = si_psnr(*pair)
    assert si_psnr(pair[0], pair[1] * 7 - 4000) == pytest.approx(expected, abs=1e-9)
    assert si_psnr(pair[0], -pair[1]) == pytest.approx(expected, abs=1e-9)


def test_si_psnr_of_two_values_against_three_is_the_hand_computed_one():
    # t = (-1, 0, 1), p = (-1, 1, 0) centred: a = 1/2, residual (-1/2, -1/2, 1), mse 1/2, range 2: 10 log10(8) dB.
    assert si_psnr(np.array([[1, 2, 3]]), np.array([[0, 2, 1]])) == pytest.approx(10 * math.log10(8), abs=1e-12)


@pytest.mark.parametrize(("target", "prediction"), [(FLAT, np.eye(16)), (np.eye(16), FLAT), (FLAT, FLAT)])
def test_si_psnr_of_a_constant_frame_is_nan(target, prediction):
    assert math.isnan(si_psnr(target, prediction))


def test_si_psnr_of_a_range_beyond_int16_does_not_overflow():
    frame = np.array([[-30000, 30000, 0, 1]], dtype=np.int16)
    guess = np.array([[-30000, 30000, 1, 0]])
    assert si_psnr(frame, guess) == pytest.approx(si_psnr(frame.astype(np.float64), guess), abs=1e-12)


def test_ssim_of_equal_frames_is_one(pair):
    assert ssim(pair[0], pair[0], 65535.0) == pytest.approx(1, abs=1e-12)


def test_ssim_keeps_its_digits_on_a_large_camera_offset():
    # Quantised movies: 30 grey levels on 32768. Expected value: the definition in extended precision.
    generator = np.random.default_rng(6)
    target, guess = (generator.integers(32768, 32798, (24, 31)) for _ in range(2))
    views = [np.lib.stride_tricks.sliding_window_view(frame.astype(np.longdouble), (7, 7)) for frame in (target, guess)]
    mean_t, mean_p = (view.mean(axis=(2, 3)) for view in views)
    off_t, off_p = (view - view.mean(axis=(2, 3), keepdims=True) for view in views)
    var_t, var_p, covariance = (
        np.sum(a * b, axis=(2, 3)) / 48 for a, b in ((off_t,) * 2, (off_p,) * 2, (off_t, off_p))
    )
    one, two = (0.01 * 30) ** 2, (0.03 * 30) ** 2
    luminance = (2 * mean_t * mean_p + one) / (mean_t**2 + mean_p**2 + one)
    expected = float(np.mean(luminance * (2 * covariance + two) / (var_t + var_p + two)))
    assert ssim(target, guess, 30.0) == pytest.approx(expected, abs=1e-13)


def test_nan_in_a_frame_makes_every_score_nan(pair):
    broken = pair[1].copy()
    broken[4, 5] = np.nan
    assert all(math.isnan(score) for score in (psnr(pair[0], broken, 1.0), si_psnr(pair[0], broken)))
    assert math.isnan(ssim(pair[0], broken, 1.0))


@pytest.mark.parametrize("shape", [(11, 11), (33, 47), (90, 16), (70, 1100), (27, 26)])
def test_windows_equal_the_cropped_filters_of_scipy(shape):
    frame = np.random.default_rng(0).normal(1000, 50, shape)
    for window, expected in (
        (UNIFORM, uniform_filter(frame, 7)[3:-3, 3:-3]),
        (GAUSSIAN, gaussian_filter(frame, 1.5, truncate=3.5)[5:-5, 5:-5]),
    ):
        stitched = np.full(expected.shape, np.nan)
        for rows, columns in window.tiles(shape):
            pieces = window.means(np.ascontiguousarray(frame[rows, columns])[None])
            tile = np.hstack([np.hstack(list(piece[0])) for piece in pieces])
            stitched[rows.start : rows.start + tile.shape[0], columns.start : columns.start + tile.shape[1]] = tile
        np.testing.assert_allclose(stitched, expected, rtol=1e-13)


@pytest.mark.parametrize("data_range", [0.0, -1.0, math.nan, math.inf])
def test_a_data_range_that_is_not_positive_is_refused(pair, data_range):
    with pytest.raises(ValueError, match="data_range: expected a finite number above 0"):
        psnr(*pair, data_range)


def test_frames_of_different_shape_are_refused(pair):
    with pytest.raises(ValueError, match=r"expected equal shapes, got \(33, 47\) and \(47, 33\)"):
        si_psnr(pair[0], pair[1].T)


def test_a_frame_smaller_than_the_window_is_refused():
    with pytest.raises(ValueError, match="at least 7 pixels a side"):
        ssim(np.eye(6), np.eye(6), 1.0)


def test_complex_frames_are_refused():
    with pytest.raises(ValueError, match="expected integer or floating-point values"):
        psnr(np.eye(8) * 1j, np.eye(8), 1.0)
