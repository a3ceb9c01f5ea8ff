"""Traces and events of known regions: what damping, delay and noise do to the scores."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.metrics import activity
from evaluation.metrics.activity import jumps

EVENTS = (np.array([20, 60, 110]), np.array([40, 90]))


def traces(scale=1.0, delay=0):
    """Return two traces of shape (150, 2): transients that decay over 5 frames on a baseline of 100, small noise."""
    rng = np.random.default_rng(0)
    result = 100 + rng.normal(0, 0.5, (150, 2))
    for region, events in enumerate(EVENTS):
        for frame in events + delay:
            tail = np.arange(150 - frame)
            result[frame:, region] += scale * 30 * np.exp(-tail / 5)
    return result


def test_equal_traces_score_one_in_everything():
    found = activity(traces(), traces(), EVENTS)
    assert found.correlation == pytest.approx(1)
    assert found.slope == pytest.approx(1)
    assert found.event_f1 == 1
    assert found.event_peak == pytest.approx(1)


def test_halved_transients_are_seen_in_slope_and_peak_but_not_in_correlation():
    found = activity(traces(), traces(scale=0.5), EVENTS)
    assert found.correlation > 0.99
    assert found.slope == pytest.approx(0.5, abs=0.02)
    assert found.event_peak == pytest.approx(0.5, abs=0.03)
    assert found.event_f1 == 1


@pytest.mark.parametrize(("delay", "expected"), [(1, 1.0), (3, 0.0)])
def test_events_count_as_found_one_frame_late_and_not_three(delay, expected):
    assert activity(traces(), traces(delay=delay), EVENTS).event_f1 == expected


def test_without_known_events_those_of_the_target_count():
    assert activity(traces(), traces(scale=0.5), None).event_f1 == 1


def test_a_flat_prediction_has_no_correlation_and_finds_no_event():
    flat = np.full((150, 2), 100.0)
    found = activity(traces(), flat, EVENTS)
    assert np.isnan(found.correlation)
    assert found.slope == 0
    assert found.event_f1 == 0


def test_jumps_are_the_frames_of_steep_rises():
    assert jumps(traces()[:, 0]).tolist() == EVENTS[0].tolist()
    assert jumps(np.array([1.0])).size == 0
