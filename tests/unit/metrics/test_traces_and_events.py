"""Traces of regions, recovery of known events, noise level."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluation.metrics import (
    RoiTraces,
    match_events,
    noise_level,
    onsets,
    peaks,
    robust_threshold,
    trace_scores,
)
from evaluation.metrics.noise_level import DifferenceMedian


def frames(*values):
    return np.array(values, dtype=np.int64)


def test_traces_are_the_mean_of_every_region(movies):
    target, _ = movies()
    labels = np.zeros(target.shape[1:], dtype=np.int32)
    labels[2:5, 3:9], labels[20:30, 40:], labels[0, 0] = 2, 1, 3
    streamed = RoiTraces(labels)
    streamed.feed(target[:5])
    streamed.feed(target[5:])
    expected = np.stack([target[:, labels == region].mean(axis=1) for region in (1, 2, 3)], axis=1)
    np.testing.assert_allclose(streamed.traces(), expected, rtol=1e-13)


def test_a_real_movie_gives_one_trace_per_hand_labelled_neuron(real_movie, real_regions):
    movie = real_movie("ca2p_neurofinder_test.tif")
    labels = np.zeros(movie.shape[1:], dtype=np.int32)
    regions = real_regions("ca2p_neurofinder_test_regions.json")
    for number, region in enumerate(regions, start=1):
        labels[tuple(np.array(region["coordinates"]).T)] = number
    traces = RoiTraces(np.unique(labels, return_inverse=True)[1].reshape(labels.shape))
    traces.feed(movie)
    first = movie[:, labels == 1].mean(axis=1)
    assert traces.traces().shape == (256, len(regions))
    np.testing.assert_allclose(traces.traces()[:, 0], first, rtol=1e-12)


@pytest.mark.parametrize("labels", [np.zeros((4, 4), int), np.full((4, 4), 2), np.ones((4, 4)), np.ones(4, int)])
def test_labels_with_gaps_floats_or_wrong_axes_are_refused(labels):
    with pytest.raises(ValueError, match="labels: expected"):
        RoiTraces(labels)


def test_frames_that_do_not_fit_the_labels_are_refused():
    with pytest.raises(ValueError, match="as the labels"):
        RoiTraces(np.ones((4, 5), int)).feed(np.ones((2, 5, 4)))


def test_a_damped_trace_has_slope_below_one_and_full_correlation():
    target = np.stack([np.sin(np.arange(50) / 4), np.ones(50)], axis=1)
    ours = trace_scores(target, 0.6 * target + 3)
    assert ours.correlation[0] == pytest.approx(1, abs=1e-12)
    assert ours.slope[0] == pytest.approx(0.6, abs=1e-12)
    assert ours.intercept[0] == pytest.approx(3, abs=1e-12)
    assert np.isnan([ours.correlation[1], ours.slope[1], ours.intercept[1]]).all()


def test_a_flat_predicted_trace_has_slope_zero_and_no_correlation():
    target = np.arange(10.0)[:, None]
    ours = trace_scores(target, np.full((10, 1), 0.1))
    assert ours.slope[0] == pytest.approx(0, abs=1e-15)
    assert math.isnan(ours.correlation[0])


def test_traces_of_different_shape_are_refused():
    with pytest.raises(ValueError, match=r"equal shape \(T, R\)"):
        trace_scores(np.ones((5, 2)), np.ones((5, 3)))


def test_onsets_are_upward_crossings_outside_the_refractory_time():
    trace = np.array([5.0, 0, 5, 5, 0, 5, 0, 0, 0, 5])
    assert onsets(trace, 1.0, refractory=1).tolist() == [0, 2, 5, 9]
    assert onsets(trace, 1.0, refractory=4).tolist() == [0, 5, 9]


def test_the_robust_threshold_of_gaussian_noise_is_its_sd():
    trace = np.random.default_rng(0).normal(10, 2, 100_000)
    assert robust_threshold(trace, 3) == pytest.approx(16, rel=0.01)


@pytest.mark.parametrize(
    ("true", "detected", "hits"),
    [
        ((10, 20), (11, 19), 2),
        ((10, 20), (13, 40), 0),
        ((10, 12), (12,), 1),  # one detection counts once
        ((10, 12), (8, 10), 2),  # left to right: 10 takes 8, so that 12 can take 10
        ((), (5,), 0),
    ],
)
def test_events_match_one_to_one_within_the_tolerance(true, detected, hits):
    found = match_events(frames(*true), frames(*detected), tolerance=2)
    assert (found.hits, found.misses, found.false_alarms) == (hits, len(true) - hits, len(detected) - hits)


def test_detection_scores_follow_from_the_counts():
    # 2 of 3 found, 1 of 3 detections wrong: precision = recall = F1 = 2/3.
    found = match_events(frames(10, 20, 30), frames(10, 20, 50), tolerance=1)
    assert (found.precision, found.recall, found.f1) == (pytest.approx(2 / 3),) * 3
    nothing = match_events(frames(), frames(), tolerance=1)
    assert math.isnan(nothing.f1)
    assert math.isnan(nothing.precision)
    assert math.isnan(nothing.recall)


def test_peaks_of_a_damped_and_delayed_trace_are_measured():
    target = np.full(40, 100.0)
    target[10:14] = [140, 130, 120, 110]
    target[25:28] = [110, 150, 120]
    prediction = np.roll(100 + 0.5 * (target - 100), 1)
    ours = peaks(target, prediction, frames(0, 10, 25), before=5, after=5)
    assert ours.ratio.tolist() == [0.5, 0.5]
    assert ours.delay.tolist() == [1, 1]


def test_a_peak_window_ends_at_the_next_event_and_a_flat_target_has_no_ratio():
    target = np.array([0.0, 0, 2, 1, 9, 1, 0, 0, 0])
    ours = peaks(target, target, frames(2, 4, 7), before=1, after=6)
    assert ours.delay.tolist() == [0, 0, 0]
    assert ours.ratio[:2].tolist() == [1, 1]
    assert math.isnan(ours.ratio[2])


@pytest.mark.parametrize(("events", "after"), [((5, 5), 3), ((12,), 3), ((3,), 0)])
def test_events_out_of_order_or_range_and_empty_windows_are_refused(events, after):
    with pytest.raises(ValueError, match="peaks: expected"):
        peaks(np.zeros(10), np.zeros(10), frames(*events), before=3, after=after)


def test_noise_level_of_white_noise_matches_theory_and_frame_rate():
    # |difference| of white noise of sd s has median 0.6745 * sqrt(2) * s; Rupprecht et al. 2021 divide by sqrt(Hz).
    trace = np.random.default_rng(2).normal(0, 0.1, (200_000, 1))
    assert noise_level(trace, 25.0)[0] == pytest.approx(0.6745 * math.sqrt(2) * 0.1 / 5, rel=0.01)


def test_noise_level_needs_two_frames_and_a_frame_rate():
    assert np.isnan(noise_level(np.ones((1, 3)), 10.0)).all()
    with pytest.raises(ValueError, match="frame_rate_hz"):
        noise_level(np.ones((5, 1)), 0.0)


@pytest.mark.parametrize("count", [1, 2, 7, 1000])
def test_the_streamed_median_is_exact_for_whole_numbers_and_close_otherwise(count):
    generator = np.random.default_rng(count)
    whole, broken = generator.integers(-4096, 4096, count), generator.normal(0, 1e-3, count)
    for values, tolerance in ((whole, 0), (broken, 5e-4)):
        ours = DifferenceMedian()
        ours.feed(values[: count // 2])
        ours.feed(values[count // 2 :])
        assert ours.median() == pytest.approx(np.median(np.abs(values)), rel=tolerance, abs=0)


def test_the_median_of_nothing_is_nan():
    assert math.isnan(DifferenceMedian().median())
