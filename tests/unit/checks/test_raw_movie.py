"""What is seen of a raw movie before training is what was put into it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy.ndimage import uniform_filter1d

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode does not let tests import the helpers beside this
import planted

from contract.detector import find_faults
from contract.stacks import open_stack
from evaluation.checks.advice import advice, raw_movie_text
from evaluation.checks.evidence import gather
from evaluation.checks.raw_movie import look_at


def _noise(frames=80, gain=3.0, black=100.0, light=20.0, seed=0):
    scene = light * np.linspace(0.5, 1.5, 64) * np.ones((64, 1))
    photons = np.random.default_rng(seed).poisson(np.broadcast_to(scene, (frames, 64, 64)))
    return black + gain * photons


def test_gain_black_level_and_photons_are_those_of_the_detector():
    found = look_at(_noise())
    assert found.gain == pytest.approx(3.0, rel=0.05)
    assert found.black == pytest.approx(100.0, abs=5)
    assert found.photons == pytest.approx(20.0, rel=0.1)


@pytest.mark.parametrize(("axis", "name"), [(1, "vertical"), (2, "horizontal")])
def test_correlated_noise_rules_out_n2v_and_names_the_axis(axis, name):
    sentences = " ".join(advice(look_at(uniform_filter1d(_noise(), 3, axis=axis))))
    assert "plain n2v is ruled out" in sentences
    assert f"struct_n2v_axes={name}" in sentences


def test_independent_noise_rules_nothing_out():
    assert "ruled out" not in " ".join(advice(look_at(_noise())))


def test_noise_that_frames_share_rules_out_pairs_of_frames():
    sentences = " ".join(advice(look_at(uniform_filter1d(_noise(), 3, axis=0))))
    assert "n2n and deepcad" in sentences


def test_two_planes_in_turn_are_told():
    movie = _noise()
    movie[::2] += 500 * np.eye(64)
    assert next(advice(look_at(movie))).startswith("Every other frame is of another plane")


@pytest.mark.slow
def test_few_grey_levels_are_told():
    movie = planted.movie("five grey levels", seed=5).raw
    assert "Only 5 grey levels" in " ".join(advice(look_at(movie)))


def test_motion_is_measured():
    scene = np.zeros((64, 64))
    scene[20:30, 30:36] = scene[40:46, 12:20] = 200
    movie = np.stack([np.roll(scene, 3 if t > 40 else 0, axis=1) for t in range(80)])
    found = look_at(movie + np.random.default_rng(0).normal(0, 5, movie.shape))
    assert found.shift_px == pytest.approx(3, abs=0.2)


def test_bleaching_and_repeated_frames_are_measured():
    fading = np.exp(-np.arange(80) / 80)[:, None, None]
    movie = np.random.default_rng(0).poisson(200 * fading * np.ones((80, 48, 48)))
    movie[50] = movie[49]
    found = look_at(movie)
    expected = 1 - fading[-8:].mean() / fading[:8].mean()
    assert found.bleached == pytest.approx(expected, abs=0.03)
    assert found.repeated_frames == 1


@pytest.mark.slow
def test_the_length_of_activity_is_that_of_the_indicator():
    """0.25 s at 15 Hz; the rise adds half a frame and the spikes of a cell cluster now and then."""
    assert look_at(planted.movie("two-photon with bleed", seed=5).raw).lasts_frames == pytest.approx(3.75, abs=0.8)


def test_inspect_says_it_on_the_command_line(calm, tmp_path):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, _noise().astype(np.uint16))
    said = calm("inspect", str(path)).stdout
    with open_stack(path) as stack:
        lines = raw_movie_text(look_at(tifffile.imread(path)), find_faults(stack, gaps=False))
    assert said.splitlines() == list(lines)
    assert "Detector: no faults found." in said


@pytest.mark.slow
def test_what_was_seen_beside_a_denoised_movie_is_what_is_seen_of_the_raw_one_alone():
    known = planted.movie("sCMOS", seed=5)
    assert look_at(known.raw, gather(known.raw, known.clean)) == look_at(known.raw)
