"""The demo is a fair test: blurring in time or in space alone helps little, using both helps a lot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from orchestrator.data.manifest import load_manifest
from orchestrator.data.simulator.movie import SimulatedMovie

FRAMES = 64
SIMULATION = load_manifest(Path(__file__).parents[2] / "data" / "manifest.yaml").named("demo").simulation


def _si_psnr_db(target, image):
    """Mean over frames of 10 log10(range(target)^2 / mse) after the best gain and offset, as careamics 0.0.4-0.1.0."""
    scores = []
    for clean, frame in zip(target.astype(np.float64), image.astype(np.float64), strict=True):
        g, p = clean - clean.mean(), frame - frame.mean()
        error = ((g - (g * p).sum() / (p * p).sum() * p) ** 2).mean()
        scores.append(10 * np.log10(np.ptp(clean) ** 2 / error))
    return np.mean(scores)


@pytest.fixture(scope="module")
def movie():
    simulated = SimulatedMovie(SIMULATION.scenes["train"], SIMULATION.noise)
    return simulated.clean(0, FRAMES), simulated.noisy(0, FRAMES).astype(np.float32)


def test_the_noisy_demo_has_the_snr_of_the_published_movies(movie):
    # The published low-SNR movies have 22 to 28 dB (MOUSENEU_LP 22.3 and 23.5, NIDDL 27.6).
    clean, noisy = movie
    assert 20 < _si_psnr_db(clean, noisy) < 27


def test_a_running_mean_gains_little_because_transients_are_fast(movie):
    # Five frames of independent noise would gain 7 dB on a still scene.
    clean, noisy = movie
    mean = ndimage.uniform_filter1d(noisy, 5, axis=0, mode="nearest")
    assert 2 < _si_psnr_db(clean, mean) - _si_psnr_db(clean, noisy) < 4.5


def test_a_blur_in_space_gains_little_because_details_are_fine(movie):
    # A Gaussian of sigma 1.7 pixels would gain 15.6 dB on an even scene (the sum of its squared weights is 1/36).
    clean, noisy = movie
    blurred = ndimage.gaussian_filter(noisy, (0, 1.7, 1.7))
    assert _si_psnr_db(clean, blurred) - _si_psnr_db(clean, noisy) < 6


def test_an_average_over_all_frames_is_no_solution(movie):
    clean, noisy = movie
    still = np.broadcast_to(noisy.mean(axis=0), noisy.shape)
    assert _si_psnr_db(clean, still) - _si_psnr_db(clean, noisy) < 4


def test_using_time_and_space_together_gains_more_than_6_db(movie):
    # Even a plain blur in all three directions does; a self-supervised denoiser has no excuse.
    clean, noisy = movie
    blurred = ndimage.gaussian_filter(noisy, (1.2, 0.8, 0.8))
    assert _si_psnr_db(clean, blurred) - _si_psnr_db(clean, noisy) > 6
