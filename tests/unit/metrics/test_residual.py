"""Scores without a target, on residuals whose properties are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluation.metrics import ResidualScorer

SHAPE = (60, 48, 50)


def scores(noisy, prediction, frame_rate_hz=None):
    scorer = ResidualScorer(frame_rate_hz)
    for start in range(0, len(noisy), 13):
        scorer.feed(noisy[start : start + 13], prediction[start : start + 13])
    return scorer.scores()


@pytest.fixture
def clean():
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    activity = 1 + 0.5 * np.sin(np.arange(SHAPE[0]) / 4)[:, None, None]
    return 100 + 300 * np.exp(-((y - 24) ** 2 + (x - 20) ** 2) / 60) * activity


@pytest.fixture
def generator():
    return np.random.default_rng(11)


def test_pure_noise_in_the_residual_passes_every_check(clean, generator):
    ours = scores(clean + generator.normal(0, 10, SHAPE), clean, 30.0)
    # 144000 independent values: a mean scatters by 0.026, a correlation by 0.0026 (four standard errors allowed).
    assert ours.mean == pytest.approx(0, abs=0.11)
    assert ours.sd == pytest.approx(10, rel=0.01)
    for correlation in (ours.autocorrelation_t, ours.autocorrelation_y, ours.autocorrelation_x, ours.correlation):
        assert correlation == pytest.approx(0, abs=0.011)
    assert ours.temporal_correlation == pytest.approx(0, abs=0.011)
    assert ours.noise_gain == pytest.approx(0, abs=0.03)
    assert ours.noise_offset == pytest.approx(100, rel=0.05)


def test_shot_noise_gives_its_gain_and_read_variance(clean, generator):
    # Noise variance: 2.5 counts per count of signal, and 40 squared counts of read noise.
    noisy = clean + generator.normal(0, np.sqrt(2.5 * clean + 40))
    ours = scores(noisy, clean)
    assert ours.noise_gain == pytest.approx(2.5, rel=0.05)
    assert ours.noise_offset == pytest.approx(40, abs=15)


def test_a_moved_offset_and_a_flickering_frame_show_in_the_means(clean):
    prediction = clean - 3
    prediction[7] += 5
    ours = scores(clean, prediction)
    assert ours.mean == pytest.approx(3 - 5 / 60, rel=1e-9)
    assert ours.frame_mean[6:9] == pytest.approx([3, -2, 3])
    assert ours.frame_sd == pytest.approx(np.zeros(60), abs=1e-9)


def test_damped_transients_leave_signal_in_the_residual(clean, generator):
    still = clean.mean(axis=0)
    damped = still + 0.5 * (clean - still)
    ours = scores(clean + generator.normal(0, 10, SHAPE), damped)
    assert ours.temporal_correlation > 0.1
    assert min(ours.autocorrelation_t, ours.autocorrelation_y, ours.autocorrelation_x) > 0.1


def test_autocorrelations_equal_the_correlation_of_neighbours(clean, generator):
    noisy = clean + generator.normal(0, 10, SHAPE) + generator.normal(0, 5, (60, 48, 1))
    ours, r = scores(noisy, clean), noisy - clean
    pairs = {"t": (r[1:], r[:-1]), "y": (r[:, 1:], r[:, :-1]), "x": (r[..., 1:], r[..., :-1])}
    for axis, pair in pairs.items():
        expected = np.corrcoef(pair[0].reshape(-1), pair[1].reshape(-1))[0, 1]
        assert getattr(ours, f"autocorrelation_{axis}") == pytest.approx(expected, abs=1e-10)
    # Row noise of sd 5 beside pixel noise of sd 10 correlates columns by 25 / 125.
    assert ours.autocorrelation_x == pytest.approx(0.2, abs=0.02)


def test_the_pooled_correlation_equals_numpy(clean, generator):
    noisy, prediction = clean + generator.normal(0, 10, SHAPE), 0.8 * clean
    expected = np.corrcoef((noisy - prediction).reshape(-1), prediction.reshape(-1))[0, 1]
    assert scores(noisy, prediction).correlation == pytest.approx(expected, abs=1e-10)


def test_noise_levels_follow_the_noise_and_need_a_frame_rate(clean, generator):
    # White noise of sd 10 at 25 Hz: 0.6745 * sqrt(2) * 10 / 5.
    still = np.broadcast_to(clean[0], SHAPE)
    ours = scores(still + generator.normal(0, 10, SHAPE), still, 25.0)
    assert ours.noise_level_before == pytest.approx(0.6745 * math.sqrt(2) * 2, rel=0.01)
    assert ours.noise_level_after == 0
    assert ours.temporal_smoothness == 1
    unknown = scores(still + 0.0, still)
    assert unknown.noise_level_before is None
    assert unknown.noise_level_after is None


def test_the_unchanged_movie_is_recognised_by_its_empty_residual(clean, generator):
    noisy = (clean + generator.normal(0, 10, SHAPE)).astype(np.uint16)
    ours = scores(noisy, noisy)
    assert (ours.sd, ours.noise_gain, ours.noise_offset, ours.temporal_smoothness) == (0, 0, 0, 0)
    assert math.isnan(ours.autocorrelation_t)
    assert math.isnan(ours.correlation)
    assert math.isnan(ours.temporal_correlation)


def test_the_scores_do_not_depend_on_the_blocks(clean, generator):
    noisy = clean + generator.normal(0, 10, SHAPE)
    whole = ResidualScorer(30.0)
    whole.feed(noisy, clean)
    one, other = whole.scores(), scores(noisy, clean, 30.0)
    for name in one.__slots__:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_a_single_frame_has_no_scores_over_time(clean):
    ours = scores(clean[:1] + np.eye(48, 50), clean[:1], 30.0)
    assert math.isnan(ours.noise_gain)
    assert math.isnan(ours.autocorrelation_t)
    assert math.isnan(ours.temporal_smoothness)
    assert math.isnan(ours.noise_level_before)


def test_no_frame_and_unequal_blocks_are_refused(clean):
    with pytest.raises(ValueError, match="at least one frame"):
        ResidualScorer(None).scores()
    with pytest.raises(ValueError, match="noisy and prediction: expected two blocks of equal shape"):
        ResidualScorer(None).feed(clean[0], clean[0])
    with pytest.raises(ValueError, match="frame_rate_hz"):
        ResidualScorer(-1.0)
