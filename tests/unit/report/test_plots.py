"""Plots as SVG text: what must be in them, read back with the XML parser of Python."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from evaluation.report.plots import HEIGHT, WIDTH, Labels, Series, line_plot, scatter_plot, thinned, wants_log

LABELS = Labels(title="loss <of> a & b", x="steps", y="loss (dB)")


def series(y, **changes):
    y = np.asarray(y, float)
    return Series(**{"name": "n2v", "x": np.arange(len(y), dtype=float), "y": y, "style": "algorithm0", **changes})


def points(svg):
    lines = ET.fromstring(svg).iter("polyline")  # noqa: S314 - made by the function under test
    return [[tuple(map(float, pair.split(","))) for pair in line.get("points").split()] for line in lines]


def texts(svg):
    return [one.text for one in ET.fromstring(svg).iter("text")]  # noqa: S314


def test_a_line_rises_from_the_lower_left_to_the_upper_right():
    (line,) = points(line_plot([series([0, 1, 2])], LABELS))
    assert [x for x, _ in line] == sorted(x for x, _ in line)
    assert [y for _, y in line] == sorted((y for _, y in line), reverse=True)
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in line)


def test_axes_have_labels_units_ticks_and_a_title_that_is_escaped():
    svg = line_plot([series([0, 10])], LABELS)
    assert "<title>loss &lt;of&gt; a &amp; b</title>" in svg
    assert {"steps", "loss (dB)", "n2v", "0.0", "2.5", "10.0"} <= set(texts(svg))


def test_a_value_that_is_not_finite_breaks_the_line():
    assert [len(line) for line in points(line_plot([series([0, 1, np.nan, 3, 4, np.inf])], LABELS))] == [2, 2]


def test_a_constant_line_and_a_line_without_any_finite_value_can_be_drawn():
    assert len(points(line_plot([series([5, 5, 5])], LABELS))) == 1
    assert points(line_plot([series([np.nan, np.nan])], LABELS)) == []


def test_equal_ratios_are_equal_distances_on_a_log_axis():
    (line,) = points(line_plot([series([1, 10, 100])], LABELS, log_y=True))
    (_, first), (_, second), (_, third) = line
    assert first - second == pytest.approx(second - third, abs=0.2)  # coordinates have one decimal


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


def test_a_legend_that_is_too_long_goes_on_in_the_next_row():
    names = [f"a rather long name of a run {index}" for index in range(8)]
    root = ET.fromstring(line_plot([series([0, 1], name=name) for name in names], LABELS))  # noqa: S314
    legend = [one for one in root.iter("text") if one.text in names]
    assert len({one.get("y") for one in legend}) > 1
    assert all(float(one.get("x")) < WIDTH - 100 for one in legend)


def test_points_of_a_scatter_plot_with_equal_values_lie_on_the_line_of_equality():
    cloud = Series(name="reproduced", x=np.array([1.0, 3.0]), y=np.array([1.0, 3.0]), style="s", mark="circle")
    root = ET.fromstring(scatter_plot([cloud], LABELS))  # noqa: S314
    marks = [one.get("d") for one in root.iter("path") if "mark" in one.get("class")][:2]
    line = next(one.get("d") for one in root.iter("path") if one.get("class") == "equal")
    (x0, y0), (x1, y1) = (map(float, end.split()) for end in line[1:].split("L"))
    for mark in marks:
        x, y = map(float, mark[1:].split("m")[0].split())
        assert (x - x0) / (x1 - x0) == pytest.approx((y - y0) / (y1 - y0), abs=1e-3)
