"""Regions and moments on pictures made for the purpose."""

from __future__ import annotations

import numpy as np

from evaluation.report.moments import moments
from evaluation.report.regions import Region, active_regions, region_rows


def picture_with_peaks(places):
    rows, columns = np.ogrid[:80, :80]
    peaks = (height * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 18.0) for (y, x), height in places.items())
    return np.sum(list(peaks), axis=0)


def test_the_most_active_places_come_first():
    found = active_regions(picture_with_peaks({(20, 30): 1.0, (60, 50): 3.0}), 2)
    assert [(one.y, one.x) for one in found] == [(60, 50), (20, 30)]


def test_two_regions_never_overlap():
    found = active_regions(np.random.default_rng(3).random((80, 80)), 4)
    assert len(found) == 4
    discs = region_rows(found, (80, 80))
    assert len(np.unique(np.concatenate(discs))) == sum(len(disc) for disc in discs)


def test_a_movie_that_never_changes_has_no_region():
    assert active_regions(np.zeros((40, 40)), 4) == ()
    assert active_regions(np.full((40, 40), np.nan), 4) == ()


def test_a_disc_of_radius_one_has_five_pixels():
    (flat,) = region_rows([Region(y=1, x=2, radius=1)], (4, 5))
    assert [divmod(int(one), 5) for one in flat] == [(0, 2), (1, 1), (1, 2), (1, 3), (2, 2)]


def test_the_brightest_transient_the_middle_and_the_end_are_chosen():
    traces = np.zeros((2, 50))
    traces[0] += 1000.0  # bright all the time is no transient
    traces[1, 17] = 30.0
    chosen = moments(traces, 50)
    assert [(one.index, one.why) for one in chosen] == [
        (17, "brightest transient"),
        (25, "middle"),
        (49, "last frame"),
    ]


def test_no_frame_is_chosen_twice():
    assert [one.index for one in moments(np.zeros((0, 1)), 1)] == [0]
    traces = np.zeros((1, 10))
    traces[0, 5] = 1.0
    assert [(one.index, one.why) for one in moments(traces, 10)] == [(5, "brightest transient"), (9, "last frame")]
