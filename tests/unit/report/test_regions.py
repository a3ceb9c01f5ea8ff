"""Regions and moments on pictures made for the purpose."""

from __future__ import annotations

import numpy as np

from evaluation.report.regions import (
    Region,
    active_regions,
    broken_rows,
    clean_frames,
    moments,
    peak_frame,
    region_rows,
    roughness,
    whole_rows,
)


def picture_with_peaks(places):
    rows, columns = np.ogrid[:80, :80]
    peaks = (height * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 18.0) for (y, x), height in places.items())
    return np.sum(list(peaks), axis=0)


def test_the_most_active_places_come_first():
    found = active_regions(picture_with_peaks({(20, 30): 1.0, (60, 50): 3.0}), 2, np.ones(80, bool))
    assert [(one.y, one.x) for one in found] == [(60, 50), (20, 30)]


def test_two_regions_never_overlap():
    found = active_regions(np.random.default_rng(3).random((80, 80)), 4, np.ones(80, bool))
    assert len(found) == 4
    discs = region_rows(found, (80, 80))
    assert len(np.unique(np.concatenate(discs))) == sum(len(disc) for disc in discs)


def test_a_movie_that_never_changes_has_no_region():
    assert active_regions(np.zeros((40, 40)), 4, np.ones(40, bool)) == ()
    assert active_regions(np.full((40, 40), np.nan), 4, np.ones(40, bool)) == ()


def test_a_disc_of_radius_one_has_five_pixels():
    (flat,) = region_rows([Region(y=1, x=2, radius=1)], (4, 5))
    assert [divmod(int(one), 5) for one in flat] == [(0, 2), (1, 1), (1, 2), (1, 3), (2, 2)]


def test_the_brightest_transient_the_middle_and_the_end_are_chosen():
    traces = np.zeros((2, 50))
    traces[0] += 1000.0  # bright all the time is no transient
    traces[1, 17] = 30.0
    chosen = moments(traces, np.arange(50))
    assert [(one.index, one.why) for one in chosen] == [
        (17, "brightest transient"),
        (25, "middle"),
        (49, "last frame"),
    ]


def test_no_frame_is_chosen_twice():
    assert [one.index for one in moments(np.zeros((0, 1)), np.arange(1))] == [0]
    traces = np.zeros((1, 10))
    traces[0, 5] = 1.0
    assert [(one.index, one.why) for one in moments(traces, np.arange(10))] == [
        (5, "brightest transient"),
        (9, "last frame"),
    ]


def movie_with_broken_rows():
    """Cells on noise, with banding; frames 7 and 23 have bands of black and white, frame 30 lost rows."""
    random = np.random.default_rng(1)
    movie = 100 + random.normal(0, 5, (40, 80, 80)) + random.normal(0, 8, (40, 80, 1))
    rows, columns = np.ogrid[:80, :80]
    for index, (y, x) in enumerate([(20, 30), (60, 50)]):
        disc = (rows - y) ** 2 + (columns - x) ** 2 <= 9
        movie += disc * (60 * (np.arange(40) % 11 == 3 + index))[:, None, None]
    movie[7, 40:46], movie[23, 44:50] = (random.choice([0, 200], (6, 80)) for _ in range(2))
    movie[30, :5] = 0
    return movie


def test_frames_with_black_and_white_or_lost_rows_are_found_and_no_others():
    broken = broken_rows(roughness(movie_with_broken_rows()))
    assert np.flatnonzero(broken.any(axis=1)).tolist() == [7, 23, 30]
    assert set(range(40)) - set(clean_frames(broken).tolist()) == {7, 23, 30}


def test_regions_and_pictures_avoid_broken_rows_and_banding():
    movie = movie_with_broken_rows()
    broken = broken_rows(roughness(movie))
    clean = clean_frames(broken)
    found = active_regions(movie[clean].std(axis=0), 2, whole_rows(broken))
    near = sorted((min(abs(one.y - 20), abs(one.y - 60)), min(abs(one.x - 30), abs(one.x - 50))) for one in found)
    assert np.max(near) <= 2
    inside = movie[:, [one.y for one in found], [one.x for one in found]].T
    assert moments(inside, clean)[0].index in range(40)
    assert all(one.index in clean for one in moments(inside, clean))
    assert peak_frame(np.where(np.arange(40) == 7, 1e9, inside[0]), clean) != 7


def test_a_movie_whose_every_frame_is_broken_is_still_shown_by_its_cleanest_frames():
    broken = np.zeros((8, 10), bool)
    broken[:, 0] = True
    broken[4:, :5] = True
    assert clean_frames(broken).tolist() == [0, 1, 2, 3]


def test_the_last_whole_frame_is_named_so():
    chosen = moments(np.zeros((1, 10)), np.arange(8))
    assert [(one.index, one.why) for one in chosen] == [(4, "middle"), (7, "last whole frame")]
