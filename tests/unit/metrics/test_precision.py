"""What is said to be computed in float64 is: no kind of number a file may hold changes a score."""

from __future__ import annotations

from dataclasses import astuple, fields

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from evaluation.metrics import (
    LookNoise,
    ResidualScorer,
    ScoreProtocol,
    activity,
    fit_microssim,
    noise_level,
    peaks,
    robust_threshold,
    score_movie,
    trace_scores,
)
from evaluation.metrics.percentile import percentile

KINDS = ["float32", ">f4", "float64", ">f8", "int16", ">i2", "uint16", ">u2", "int32", ">i4", "uint32"]


def pair(rng, kind, level, sd, shape=(4, 33, 47)):
    """Return a smooth target and a noisy prediction around a level in a dtype that holds their values."""
    target = sd * 6 * gaussian_filter(rng.normal(size=shape), (1, 2, 2))
    movies = (level + target, level + target + rng.normal(0, sd, shape))
    if np.dtype(kind).kind in "iu":
        movies = (np.rint(movie) for movie in movies)
    return [movie.astype(kind) for movie in movies]


def numbers(scores):
    """Return all numbers of a record, nested records and arrays included."""
    if isinstance(scores, np.ndarray | float | int):
        return np.ravel(scores).astype(np.float64)
    values = [getattr(scores, field.name) for field in fields(scores)]
    return np.concatenate([numbers(value) for value in values if value is not None])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_scores_of_a_movie_are_those_of_the_same_values_in_float64(kind, seed):
    """The same calls on the values as float64; levels far above the contrast lose digits in anything less."""
    rng = np.random.default_rng(seed)
    signed = np.dtype(kind).kind != "u"
    level = float(rng.choice([30_000, 9_000, -12_000 if signed else 500, -40 if signed else 120]))
    sd = float(rng.choice([2.0, 20.0])) if np.dtype(kind).kind in "iu" else float(rng.choice([0.5, 2.0]))
    given = pair(rng, kind, level, sd)
    exact = [movie.astype(np.float64) for movie in given]
    protocol = ScoreProtocol(data_range=12 * sd, cast=None, every=2)
    found, expected = (numbers(score_movie(*movies, protocol)) for movies in (given, exact))
    np.testing.assert_array_equal(found, expected)
    assert fit_microssim(*given, every=1, cast=None) == fit_microssim(*exact, every=1, cast=None)


@pytest.mark.parametrize(("level", "sd"), [(30_000.0, 2.0), (60_000.0, 0.5)])
def test_microssim_of_float32_keeps_its_digits_on_a_large_offset(level, sd):
    """In float32 the similarity is off by 2e-5 and by 2.9e-3 here."""
    given = pair(np.random.default_rng(1), "float32", level, sd)
    exact = [movie.astype(np.float64) for movie in given]
    one, other = (fit_microssim(*movies, every=1, cast=None) for movies in (given, exact))
    assert astuple(one) == astuple(other)
    scores = [
        [fit.score(*frames) for frames in zip(*movies, strict=True)] for fit, movies in ((one, given), (other, exact))
    ]
    assert scores[0] == scores[1]


@pytest.mark.parametrize("kind", KINDS)
def test_scores_without_a_target_are_those_of_the_same_values_in_float64(kind):
    given = pair(np.random.default_rng(2), kind, 20_000.0, 5.0)

    def found(movies):
        residual, looks = ResidualScorer(30.0), LookNoise()
        residual.feed(*movies)
        looks.feed(*movies)
        return np.append(numbers(residual.scores()), looks.variance())

    np.testing.assert_array_equal(found(given), found([movie.astype(np.float64) for movie in given]))


def test_scores_of_traces_are_those_of_the_same_values_in_float64():
    given = [movie.reshape(33, -1) for movie in pair(np.random.default_rng(3), "float32", 30_000.0, 2.0, (33, 3, 5))]

    def found(traces):
        target, prediction = traces
        compared = peaks(target[:, 0], prediction[:, 0], np.array([4, 19]), before=3, after=5)
        compared = numbers(compared), numbers(activity(target, prediction, None))
        alone = [noise_level(target, 30.0), np.array([robust_threshold(target[:, 1], 3.0)])]
        return np.concatenate([numbers(trace_scores(target, prediction)), *compared, *alone])

    np.testing.assert_array_equal(found(given), found([one.astype(np.float64) for one in given]))


@pytest.mark.parametrize("kind", KINDS)
def test_percentile_equals_numpy_for_every_byte_order(kind):
    movie, _ = pair(np.random.default_rng(4), kind, 300.0, 40.0)
    for percent in (0, 3, 50, 97.5, 100):
        expected = np.percentile(movie.astype(np.float64), percent)
        assert percentile(lambda: iter(movie), percent) == pytest.approx(expected, rel=1e-12)


def test_a_percentile_over_several_dtypes_is_refused():
    values = [np.arange(5, dtype=np.int16), np.arange(5, dtype=np.uint16)]
    with pytest.raises(ValueError, match="of one dtype, got int16 and uint16"):
        percentile(lambda: values, 3)
