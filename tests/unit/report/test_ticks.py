"""Ticks and numbers; expected values are worked out by hand."""

from __future__ import annotations

import pytest

from evaluation.report.ticks import grouped, linear_ticks, log_ticks, tick_labels


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 10.0, [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]),
        (-1.0, 1.0, [-1.0, -0.5, 0.0, 0.5, 1.0]),
        (22.0, 24.4, [22.0, 22.5, 23.0, 23.5, 24.0]),
        (0.0, 6499.0, [0.0, 2000.0, 4000.0, 6000.0]),
    ],
)
def test_linear_ticks_are_round_numbers_inside_the_range(low, high, expected):
    assert linear_ticks(low, high) == pytest.approx(expected)


def test_log_ticks_are_powers_of_ten_over_two_decades_and_finer_below():
    assert log_ticks(0.01, 20.0) == pytest.approx([0.01, 0.1, 1.0, 10.0])
    assert log_ticks(0.04, 1.0) == pytest.approx([0.05, 0.1, 0.2, 0.5, 1.0])


def test_labels_of_one_axis_share_their_digits():
    assert tick_labels([22.0, 22.5, 23.0]) == ["22.0", "22.5", "23.0"]
    assert tick_labels([0.0, 0.025, 0.05]) == ["0.000", "0.025", "0.050"]
    assert tick_labels([0.0, 2e5, 4e5]) == ["0", "2e5", "4e5"]
    assert tick_labels([7.0]) == ["7"]
    assert tick_labels([]) == []


def test_numbers_group_thousands_and_have_a_real_minus():
    assert grouped(-6500.25, 1) == "\u22126\u202f500.2"
