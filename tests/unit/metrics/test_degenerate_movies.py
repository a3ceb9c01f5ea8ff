"""Every metric on movies without structure, light or numbers: a score or NaN, no error and no warning."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from evaluation.metrics import (
    PixelSums,
    ResidualScorer,
    RoiTraces,
    ScoreProtocol,
    activity,
    fit_microssim,
    frame_power,
    frames_interval,
    noise_level,
    psnr,
    regression,
    score_movie,
    si_psnr,
    snr,
    ssim,
    summarise,
    trace_scores,
    umse,
)

PLAIN = 100 + 50 * np.random.default_rng(1).random((21, 12, 13))
OWN = ScoreProtocol(data_range=50.0, cast=None, every=10)
LABELS = np.zeros((12, 13), np.uint8)
LABELS[2:5, 2:5], LABELS[7:9, 7:9] = 1, 2


def changed(where, value):
    movie = PLAIN.copy()
    movie[where] = value
    return movie


MOVIES = {
    "plain": PLAIN,
    "constant": np.full_like(PLAIN, 7),
    "black": np.zeros(PLAIN.shape, np.uint16),
    "saturated": np.full(PLAIN.shape, 65535, np.uint16),
    "half saturated": np.where(PLAIN > 120, 65535, PLAIN).astype(np.uint16),
    "constant in every tenth frame": changed(slice(None, None, 10), 5),
    "constant in its last frame": changed(20, 5),
    "one lit pixel": np.where(np.arange(PLAIN.size).reshape(PLAIN.shape) == 500, 1.0, 0.0),
    "a still picture": np.repeat(PLAIN[:1], len(PLAIN), axis=0),
    "all frames alike but one": np.concatenate([PLAIN[:1]] * 20 + [PLAIN[1:2]]),
    "one pixel NaN": changed((3, 4, 5), np.nan),
    "first frame NaN": changed(0, np.nan),
    "all NaN": np.full_like(PLAIN, np.nan),
    "below zero": -PLAIN,
    "too dim for squares": PLAIN * 1e-200,
    "denormal numbers": PLAIN * 1e-320,
}


def pixels(target, prediction):
    sums = PixelSums()
    for pair in zip(target, prediction, strict=True):
        sums.feed(*pair)
    return sums.moments()


def residual(noisy, prediction):
    scorer = ResidualScorer(10.0)
    scorer.feed(noisy, prediction)
    return scorer.scores()


def traces(movie):
    regions = RoiTraces(LABELS)
    regions.feed(movie)
    return regions.traces()


METRICS = {
    "psnr": lambda t, p: [psnr(*pair, 50.0) for pair in zip(t, p, strict=True)],
    "si_psnr": lambda t, p: [si_psnr(*pair) for pair in zip(t, p, strict=True)],
    "ssim": lambda t, p: [ssim(*pair, 50.0) for pair in zip(t, p, strict=True)],
    "microssim": lambda t, p: fit_microssim(t, p, every=10, cast=None),
    "all of a movie": lambda t, p: score_movie(t, p, OWN),
    "snr": lambda t, p: snr([frame_power(*pair) for pair in zip(t, p, strict=True)], pixels(t, p)),
    "regression": lambda t, p: regression(pixels(t, p)),
    "umse": lambda t, p: umse(pixels(t, p), 1.0, gain=1.0, offset=0.0),
    "residual": residual,
    "traces": lambda t, p: trace_scores(traces(t), traces(p)),
    "activity": lambda t, p: activity(traces(t), traces(p), None),
    "known events": lambda t, p: activity(traces(t), traces(p), [np.array([3]), np.array([5])]),
    "noise level": lambda t, _: noise_level(t, 10.0),
    "interval": lambda t, _: frames_interval(t.mean(axis=(1, 2)), 1),
    "summary": lambda t, _: summarise(t.mean(axis=(1, 2))),
}


def numbers(found):
    """Return everything in a result as one array of float64."""
    if dataclasses.is_dataclass(found):
        parts = [numbers(getattr(found, field.name)) for field in dataclasses.fields(found)]
        return np.concatenate(parts)
    return np.asarray(found, np.float64).reshape(-1)


@pytest.mark.slow
@pytest.mark.parametrize("movie", MOVIES)
@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_gives_numbers_or_nan_for_every_movie(metric, movie):
    for target, prediction in ((movie, "plain"), ("plain", movie), (movie, movie)):
        assert numbers(METRICS[metric](MOVIES[target], MOVIES[prediction])).size


@pytest.mark.parametrize("movie", ["constant", "black", "saturated", "constant in every tenth frame"])
def test_without_structure_in_the_fitted_frames_of_the_target_microssim_is_not_defined(movie):
    fit = fit_microssim(MOVIES[movie], PLAIN, every=10, cast=None)
    assert math.isnan(fit.ri_factor)
    assert np.isnan(score_movie(MOVIES[movie], PLAIN, OWN).frames.microssim).all()


@pytest.mark.parametrize("movie", ["constant", "black", "saturated", "too dim for squares", "denormal numbers"])
def test_against_a_movie_that_does_not_vary_no_fit_has_a_score(movie):
    assert math.isnan(si_psnr(PLAIN[0], MOVIES[movie][0]))
    assert np.isnan(trace_scores(traces(PLAIN), traces(MOVIES[movie])).correlation).all()


def test_one_value_that_is_no_number_leaves_the_scores_of_the_other_frames():
    scores = score_movie(PLAIN, MOVIES["one pixel NaN"], OWN).frames
    assert np.flatnonzero(np.isnan(scores.si_psnr)).tolist() == [3]
    assert np.flatnonzero(np.isnan(scores.psnr)).tolist() == [3]
