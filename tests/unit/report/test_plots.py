"""Plots as the data that uPlot draws: read back as JSON."""

from __future__ import annotations

import json

import numpy as np

from evaluation.report.plots import Plot, Series, thinned, wants_log


def series(y, **changes):
    y = np.asarray(y, float)
    return Series(**{"name": "n2v", "x": np.arange(len(y), dtype=float), "y": y, "style": "algorithm0", **changes})


def data(*lines, **changes):
    return json.loads(Plot(**{"title": "loss", "x": "steps", "y": "loss (dB)", "series": lines, **changes}).data)


def test_lines_over_the_same_frames_share_their_x_values():
    found = data(series([0, 1]), series([2, 3]), series([1, 2, 3]))
    assert found["xs"] == [[0, 1], [0, 1, 2]]
    assert [line["x"] for line in found["series"]] == [0, 0, 1]


def test_numbers_have_the_digits_that_can_be_seen_and_what_is_not_finite_is_a_gap():
    assert data(series([1 / 3, np.nan, np.inf]))["series"][0]["y"] == [0.333333, None, None]


def test_a_logarithmic_axis_says_so():
    assert data(series([1, 100]), log=True)["y"] == "loss (dB), logarithmic"


def test_a_log_axis_is_chosen_only_for_positive_values_over_more_than_a_decade():
    assert wants_log(np.array([0.01, 1.0, np.nan]))
    assert not wants_log(np.array([0.5, 1.0]))
    assert not wants_log(np.array([0.0, 1.0, 100.0]))
    assert not wants_log(np.array([]))


def test_thinning_keeps_a_peak_of_one_frame_among_6500():
    y = np.zeros(6500)
    y[4321] = 1.0
    x, kept = thinned(np.arange(6500.0), y, points=1200)
    assert len(kept) <= 1200
    assert x[np.argmax(kept)] == 4321
    assert np.all(np.diff(x) > 0)
