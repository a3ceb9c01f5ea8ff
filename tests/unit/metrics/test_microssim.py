"""MicroSSIM fitted with bounded memory."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from evaluation.metrics import as_study_uint16, fit_microssim, scaling
from evaluation.metrics.microssim import BACKGROUND_PERCENT
from evaluation.metrics.ssim import Normalisation, mean_similarity
from evaluation.metrics.window import UNIFORM


def test_the_factor_maximises_the_pooled_similarity(movies):
    target, noisy = movies(frames=7)
    fit = fit_microssim(target, noisy, every=3, cast=None)
    last_range = float(np.ptp(target[6]))

    def loss(alpha):
        normalisation = Normalisation(fit.offset_target, fit.offset_prediction, alpha)
        pairs = zip(target[::3], noisy[::3], strict=True)
        return -np.mean([mean_similarity(t, p, last_range, UNIFORM, normalisation) for t, p in pairs])

    best = minimize_scalar(loss, bounds=(0.1, 10), method="bounded", options={"xatol": 1e-10})
    # A search by values alone finds a maximum to the root of the rounding error.
    assert fit.ri_factor == pytest.approx(best.x, rel=1e-6)
    assert fit.offset_target == pytest.approx(np.percentile(target[::3], BACKGROUND_PERCENT), rel=1e-12)


def test_a_misleading_sample_does_not_mislead_the_fit(movies, monkeypatch):
    # The sample claims a prediction a hundred times dimmer: polishing then starts where the slope still rises.
    target, noisy = movies()
    expected = fit_microssim(target, noisy, every=1, cast=None)
    honest = scaling.sample_moments
    monkeypatch.setattr(
        scaling, "sample_moments", lambda frames, count: honest(lambda: ((t, p / 100) for t, p in frames()), count)
    )
    assert fit_microssim(target, noisy, every=1, cast=None).ri_factor == pytest.approx(expected.ri_factor, rel=1e-8)


def test_the_derivatives_of_a_similarity_term_equal_finite_differences():
    product, fixed, scaled = (np.array([value]) for value in (0.7, 2.0, 0.4))
    step = 1e-4

    def term(alpha):
        return np.concatenate(scaling.similarity_term(product, fixed, scaled, 0.3, alpha))

    slopes = (term(1.3 + step) - term(1.3 - step)) / (2 * step)
    np.testing.assert_allclose(term(1.3)[1:], slopes[:-1], rtol=1e-6)


@pytest.mark.parametrize("gain", [1e-4, 0.1, 30.0, 1e5])
def test_a_gain_of_the_prediction_is_undone_exactly(movies, gain):
    target, noisy = movies()
    one = fit_microssim(target, noisy, every=1, cast=None)
    other = fit_microssim(target, noisy * gain, every=1, cast=None)
    assert other.ri_factor * gain == pytest.approx(one.ri_factor, rel=1e-8)
    assert other.score(target[0], noisy[0] * gain) == pytest.approx(one.score(target[0], noisy[0]), abs=1e-8)


def test_an_inverted_prediction_is_found_at_a_negative_factor(movies):
    target, _ = movies()
    centred = target - 700
    fit = fit_microssim(centred, -centred, every=1, cast=None)
    assert fit.ri_factor < 0 or math.isnan(fit.ri_factor)


def test_the_fit_does_not_depend_on_the_number_of_threads(movies):
    target, noisy = movies(frames=9)
    assert fit_microssim(target, noisy, every=2, cast=None) == fit_microssim(
        target, noisy, every=2, cast=None, threads=3
    )


def test_a_constant_prediction_keeps_factor_one(movies):
    target, _ = movies()
    assert fit_microssim(target, np.full_like(target, 7), every=1, cast=None).ri_factor == 1


def test_the_cast_is_applied_before_the_fit(movies):
    target, noisy = (movie - 500 for movie in movies())
    expected = fit_microssim(as_study_uint16(target), as_study_uint16(noisy), every=2, cast=None)
    assert fit_microssim(target, noisy, every=2, cast=as_study_uint16) == expected


def test_movies_of_different_length_are_refused(movies):
    target, noisy = movies()
    with pytest.raises(ValueError, match="equal length above 0"):
        fit_microssim(target, noisy[:-1], every=1, cast=None)


def test_a_constant_target_frame_scores_nan(movies):
    target, noisy = movies()
    fit = fit_microssim(target, noisy, every=1, cast=None)
    assert math.isnan(fit.score(np.ones_like(target[0]), noisy[0]))


class Repeated:
    """A long movie that repeats a short one: costs no memory of its own."""

    def __init__(self, frames, length):
        self.frames, self.length = frames, length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return self.frames[index % len(self.frames)]


@pytest.mark.slow
def test_memory_of_the_fit_does_not_grow_with_the_movie(movies):
    target, noisy = (movie.astype(np.uint16) for movie in movies(frames=5, height=90, width=100))

    def peak(length):
        tracemalloc.start()
        fit_microssim(Repeated(target, length), Repeated(noisy, length), every=1, cast=None)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(40)
    assert peak(160) < 1.1 * peak(40)
