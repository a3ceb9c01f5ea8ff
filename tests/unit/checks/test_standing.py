"""Trace SNR beside the running means of equal slope, on a scene with known signal and noise."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, uniform_filter1d

from evaluation.checks.places import find_places
from evaluation.checks.standing import curve_of, patch_traces, standing


@pytest.fixture(scope="module")
def scene():
    """Return a clean movie with twelve cells and slow transients, and the same with noise."""
    rng = np.random.default_rng(5)
    frames, side = 400, 96
    cells = [(y, x) for y in (14, 38, 62, 84) for x in (16, 48, 80)]
    clean = np.full((frames, side, side), 100.0, np.float32)
    kernel = np.exp(-np.arange(60) / 12.0)
    for y, x in cells:
        spikes = (rng.random(frames) < 0.02).astype(float)
        footprint = np.zeros((side, side))
        footprint[y, x] = 1.0
        footprint = gaussian_filter(footprint, 2.5)
        clean += np.convolve(spikes, kernel)[:frames, None, None] * footprint * (60 / footprint.max())
    noisy = (clean + rng.normal(0, 20, clean.shape)).astype(np.float32)
    places = find_places(noisy, noisy, np.array(cells))
    return SimpleNamespace(clean=clean, noisy=noisy, places=places, raw=patch_traces(noisy, places))


def test_patches_of_given_regions_fit_into_the_frame_and_quiet_ones_keep_away_from_them(scene):
    found = find_places(scene.noisy, scene.noisy, np.array([(0, 0), (48, 48), (52, 50)]))
    margin = found.side // 2
    assert found.active.tolist() == [[margin, margin], [48, 48], [52, 50]]
    apart = np.abs(found.quiet[:, None] - found.active[None]).max(axis=2)
    assert apart.min() > found.side


def _standing(scene, movie):
    return standing(scene.raw, patch_traces(movie, scene.places))


def test_the_noisy_movie_stands_on_the_curve_at_the_height_it_has(scene):
    found = _standing(scene, scene.noisy)
    assert (found.slope, found.times.value) == (pytest.approx(1.0, abs=0.05), pytest.approx(1.0, abs=1e-6))


def test_longer_running_means_keep_less_of_the_height(scene):
    slopes = [slope for slope, _ in curve_of(scene.raw)]
    assert slopes == sorted(slopes, reverse=True)


def test_a_running_mean_stands_on_the_curve_however_long_it_is(scene):
    for window in (5, 11):
        found = _standing(scene, uniform_filter1d(scene.noisy, window, axis=0))
        assert found.times.value == pytest.approx(1.0, abs=0.15)


def test_a_movie_with_half_of_the_noise_and_all_of_the_signal_stands_twice_as_high(scene):
    found = _standing(scene, (scene.clean + scene.noisy) / 2)
    assert found.times.value == pytest.approx(2.0, rel=0.15)
    assert found.slope == pytest.approx(1.0, abs=0.05)


def test_making_everything_smaller_changes_the_slope_and_not_the_snr(scene):
    whole, less = _standing(scene, scene.noisy), _standing(scene, scene.noisy * 0.7)
    assert (less.slope, less.snr) == (pytest.approx(0.7 * whole.slope), pytest.approx(whole.snr, rel=0.02))


def test_a_still_picture_has_no_standing_or_none_to_speak_of(scene):
    found = _standing(scene, np.broadcast_to(scene.noisy.mean(axis=0), scene.noisy.shape))
    assert found is None or found.times.value < 0.1


def test_a_short_movie_is_not_tested(scene):
    short = scene.noisy[:20]
    places = scene.places
    assert standing(patch_traces(short, places), patch_traces(short, places)) is None
