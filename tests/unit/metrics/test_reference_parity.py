"""Scores equal those of the reference libraries: scikit-image 0.26, careamics 0.3.5, microssim 0.0.5."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, uniform_filter1d

from evaluation.metrics import ScoreProtocol, fit_microssim, score_movie
from evaluation.metrics.microssim import MicroSsim
from evaluation.metrics.ssim import Normalisation, mean_similarity
from evaluation.metrics.window import UNIFORM

# Largest difference allowed to the reference, dB or without unit. With its parameters microssim equals the
# reference to 1e-12, always tested too; with its own it differs by what the reference's search leaves unconverged
# (it stops at a slope of 1e-5).
TOLERANCE = {"psnr": 1e-9, "si_psnr": 1e-9, "ssim": 1e-7, "microssim": 1e-6}


def case(target, prediction, data_range=65535.0, every=1):
    return {"target": target, "prediction": prediction, "data_range": data_range, "every": every}


def assert_equal_scores(cases, expected, **tolerances):
    for name, movie in cases.items():
        protocol = ScoreProtocol(data_range=movie["data_range"], cast=None, every=movie["every"])
        frames = score_movie(movie["target"], movie["prediction"], protocol, threads=2).frames
        for score, tolerance in (TOLERANCE | tolerances).items():
            np.testing.assert_allclose(
                getattr(frames, score), expected[name][score], rtol=0, atol=tolerance, err_msg=f"{name} {score}"
            )
        assert_equal_microssim_given_fit(movie, expected[name])


def assert_equal_microssim_given_fit(movie, expected):
    names = {"offset_gt": "offset_target", "offset_pred": "offset_prediction", "max_val": "max_value"}
    fitted = MicroSsim(**{names.get(k, k): v for k, v in expected["parameters"].items() if k != "bg_percentile"})
    ours = [fitted.score(*pair) for pair in zip(movie["target"], movie["prediction"], strict=True)]
    np.testing.assert_allclose(ours, expected["microssim"], rtol=0, atol=1e-12)


def test_scores_equal_the_references_on_a_real_two_photon_movie(real_movie, reference):
    noisy = real_movie("ca2p_neurofinder_test.tif")[:64]
    target = uniform_filter1d(noisy.astype(np.float64), 21, axis=0).astype(np.uint16)
    cases = {
        "study": case(target, noisy, every=10),
        "own range": case(target, noisy, data_range=900.0, every=10),
        "float prediction": case(target, gaussian_filter(noisy.astype(np.float64), (0, 1, 1)), every=4),
        "gain of 50": case(noisy, (noisy / 50).astype(np.uint16), every=10),
    }
    assert_equal_scores(cases, reference(cases))


def test_scores_equal_the_references_on_real_widefield_pairs(real_movie, reference):
    target, noisy = (real_movie(f"w2s_test12_{look}.tif")[:6] for look in ("gt_avg400", "noisy_avg1"))
    cases = {"uint8": case(target, noisy, data_range=255.0), "int16": case(target.astype(np.int16) - 60, noisy)}
    assert_equal_scores(cases, reference(cases))


def test_scores_equal_the_references_on_a_real_pair_of_very_different_gain(real_movie, reference):
    low, high = real_movie("nucleus16_low_high.tif")
    cases = {"low against high": case(high[None], low[None]), "high against low": case(low[None], high[None])}
    assert_equal_scores(cases, reference(cases))


def test_scores_equal_the_references_on_simulated_frames_of_awkward_size(movies, reference):
    target, noisy = movies(frames=21, height=27, width=38)
    cases = {
        "float64": case(target, noisy, data_range=300.0, every=10),
        "camera offset, few grey levels": case(
            (32768 + target / 20).astype(np.uint16), (32768 + noisy / 20).astype(np.uint16), data_range=300.0
        ),
        "smallest frame": case(target[:, :11, :11], noisy[:, :11, :11], data_range=300.0),
    }
    assert_equal_scores(cases, reference(cases), microssim=3e-6)


def test_float32_predictions_agree_to_the_precision_of_the_reference(movies, reference):
    # The references keep float32 predictions in float32: six digits, hence about 1e-5 dB.
    target, noisy = movies(frames=4)
    movie = case(target.astype(np.uint16), noisy.astype(np.float32))
    expected = reference({"float32": movie})["float32"]
    frames = score_movie(
        movie["target"], movie["prediction"], ScoreProtocol(data_range=65535.0, cast=None, every=1)
    ).frames
    for score, tolerance in {"psnr": 1e-9, "si_psnr": 1e-5, "ssim": 1e-7, "microssim": 1e-6}.items():
        np.testing.assert_allclose(getattr(frames, score), expected[score], rtol=0, atol=tolerance)


def test_the_fitted_parameters_equal_the_reference(movies, reference):
    target, noisy = (movie.astype(np.uint16) for movie in movies(frames=21))
    expected = reference({"movie": case(target, noisy, every=10)})["movie"]["parameters"]
    fitted = fit_microssim(target, noisy, every=10, cast=None)
    assert fitted.offset_target == expected["offset_gt"]
    assert fitted.offset_prediction == expected["offset_pred"]
    assert fitted.max_value == expected["max_val"]
    assert fitted.ri_factor == pytest.approx(expected["ri_factor"], rel=1e-5)


def random_case(rng, gain):
    """Return a blurred scene and a noisy copy in other units: size, contrast, noise and offset at random."""
    shape = (int(rng.integers(1, 6)), *rng.integers(11, 60, 2))
    scene = gaussian_filter(rng.gamma(1, 1, shape), (0.5, 2, 2))
    sd, noise = 10 ** rng.uniform(0, 2), 10 ** rng.uniform(-1, 0.7)
    target = rng.uniform(0, 500) + sd * scene / scene.std()
    return case(target, gain * (target + sd * noise * rng.normal(size=shape)), data_range=1000.0)


def pooled_similarity(movie, fit, factor):
    """Return what both libraries maximise: the similarity in 7 x 7 windows with the constants of the last frame."""
    normalisation = Normalisation(fit.offset_target, fit.offset_prediction, factor)
    pairs = zip(movie["target"], movie["prediction"], strict=True)
    last = float(np.ptp(movie["target"][-1]))
    return np.mean([mean_similarity(*pair, last, UNIFORM, normalisation) for pair in pairs])


@pytest.mark.parametrize(("gains", "tolerance"), [((0.5, 2.0), 4e-6), ((1e-3, 1e3), 1e-3)])
def test_random_movies_score_as_the_reference_where_its_search_arrives(reference, gains, tolerance):
    """Elsewhere it stays where it began or ends on a negative factor, and its similarity is below ours."""
    rng = np.random.default_rng(11)
    cases = {f"{n}": random_case(rng, np.exp(rng.uniform(*np.log(gains)))) for n in range(16)}
    expected = reference(cases)
    arrived = 0
    for name, movie in cases.items():
        fit = fit_microssim(movie["target"], movie["prediction"], every=1, cast=None)
        theirs = expected[name]["parameters"]["ri_factor"]
        assert pooled_similarity(movie, fit, fit.ri_factor) >= pooled_similarity(movie, fit, theirs) - 1e-12
        assert_equal_microssim_given_fit(movie, expected[name])
        if theirs > 0 and theirs != 1:
            ours = [fit.score(*pair) for pair in zip(movie["target"], movie["prediction"], strict=True)]
            np.testing.assert_allclose(ours, expected[name]["microssim"], rtol=0, atol=tolerance, err_msg=name)
            arrived += 1
    assert arrived >= 8


def test_a_constant_target_frame_is_nan_here_and_0_in_the_reference(movies, reference):
    target, noisy = movies(frames=5)
    target[2] = target.mean()
    expected = reference({"movie": case(target, noisy)})["movie"]
    frames = score_movie(target, noisy, ScoreProtocol(data_range=65535.0, cast=None, every=1)).frames
    assert np.isnan(frames.microssim).tolist() == [False, False, True, False, False]
    assert expected["microssim"][2] == pytest.approx(0, abs=1e-9)
    assert np.isnan(expected["si_psnr"][2])
    assert np.isnan(frames.si_psnr[2])
