"""Checks that need further predictions: what is planted into a movie, and which light each fault turns."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from scipy.ndimage import uniform_filter1d
from scipy.signal import lfilter

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode does not let tests import the helpers beside this
import planted

from evaluation.checks.injected import judge_injected
from evaluation.checks.lights import Light
from evaluation.checks.noise_alone import judge_noise
from evaluation.checks.planting import (
    EveryOther,
    Ground,
    Injection,
    ground_of,
    injected,
    injection_for,
    noise_only,
    order_of,
    shuffled,
)
from evaluation.checks.shuffled import temporal_context
from evaluation.checks.trained_again import judge_halves, judge_seeds

pytestmark = pytest.mark.slow
BAD = (Light.DOUBT, Light.FAIL)
SCENE = "two-photon with bleed"


class Trial(NamedTuple):
    """A movie, the same with transients added, and the truth of both."""

    known: planted.Movie
    ground: Ground
    injection: Injection
    raw: np.ndarray
    clean: np.ndarray


@cache
def trial(scene, seed=1, frames=planted.FRAMES):
    known = planted.movie(scene, seed, frames)
    ground = ground_of(known.raw)
    injection = injection_for(ground, frames, known.scene.frame_rate_hz)
    raw = np.stack(list(injected(known.raw, ground, injection)))
    return Trial(known, ground, injection, raw, known.clean + _expected(ground, injection, known.raw.shape))


def _expected(ground, injection, shape):
    light = np.zeros(shape, np.float32)
    side = len(injection.footprint)
    corners = (ground.places.quiet - ground.places.side // 2) * ground.places.factor
    for (y, x), course in zip(corners, injection.courses(0, shape[0]).T, strict=True):
        light[:, y : y + side, x : x + side] += course[:, None, None] * injection.footprint
    return light


def loss(movie):
    middle = movie.mean(axis=0)
    return middle + np.float32(0.8) * (movie - middle)


def late(movie):
    return np.concatenate([movie[:1], movie[:-1]])


def running_mean(movie):
    return uniform_filter1d(movie.astype(np.float32), 7, axis=0)


def still(movie):
    return np.broadcast_to(movie.mean(axis=0), movie.shape)


def outcomes(checks):
    return {check.name: (check.light.value, check.value, check.error) for check in checks}


def judged(fault, scene, *, of="clean"):
    one = trial(scene)
    before, after = (one.known.clean, one.clean) if of == "clean" else (one.known.raw, one.raw)
    return outcomes(judge_injected(fault(before), fault(after), one.ground, one.injection))


@pytest.mark.parametrize("scene", planted.SCENES)
@pytest.mark.parametrize("of", ["clean", "raw"])
def test_the_truth_and_the_raw_movie_keep_what_was_added(scene, of):
    assert {light for light, _, _ in judged(lambda movie: movie, scene, of=of).values()} == {"pass"}


@pytest.mark.parametrize("scene", planted.SCENES)
@pytest.mark.parametrize(
    ("fault", "turned", "left"),
    [
        (loss, ["injected height"], ["injected delay", "injected decay"]),
        (late, ["injected delay"], ["injected height", "injected decay"]),
        (still, ["injected height", "injected seen"], []),
    ],
)
def test_a_planted_fault_turns_the_check_it_is_made_for(scene, fault, turned, left):
    found = judged(fault, scene)
    assert all(found[name][0] in BAD for name in turned), found
    assert all(found[name][0] == "pass" for name in left), found


def test_a_running_mean_lowers_and_lengthens_what_is_short():
    found = judged(running_mean, "sCMOS")
    assert found["injected height"][0] in BAD
    assert found["injected decay"][0] in BAD


def test_decays_half_as_long_again_come_out_as_planted():
    one = trial("sCMOS")
    longer = _expected(one.ground, replace(one.injection, decays=1.5 * one.injection.decays), one.known.raw.shape)
    found = outcomes(judge_injected(one.known.clean, one.known.clean + longer, one.ground, one.injection))
    assert found["injected decay"][0] in BAD, found
    assert found["injected decay"][1] == pytest.approx(1.5, rel=0.02)


def test_a_height_comes_out_as_planted_at_every_size():
    one = trial(SCENE)
    height = judge_injected(loss(one.known.clean), loss(one.clean), one.ground, one.injection)[0]
    assert height.value == pytest.approx(0.8, abs=0.01)
    assert "0.80 at 1, 0.80 at 2, 0.80 at 4" in height.sentence


def test_transients_that_are_dropped_are_missed():
    one = trial(SCENE)
    found = outcomes(judge_injected(one.known.clean, one.known.clean, one.ground, one.injection))
    assert found["injected seen"][0] == "fail"


def test_what_is_added_has_the_mean_that_was_asked_for_and_the_noise_of_its_photons():
    one = trial(SCENE)
    added = one.raw - one.known.raw
    expected = one.clean - one.known.clean
    # 10,400 photons in 129,650 pixels: their mean is known to 1 %, and their variance to 1 % too.
    assert added.mean() == pytest.approx(expected.mean(), rel=0.02)
    assert (added - expected).var() == pytest.approx(one.ground.gain * expected.mean(), rel=0.05)
    assert (one.raw == np.rint(one.raw)).all()  # whole grey levels stay whole


def test_sizes_and_decays_are_three_and_two():
    injection = trial("sCMOS").injection
    assert set(injection.snrs) == {1, 2, 4}
    assert set(injection.decays) == {4, 12}  # 0.4 and 1.2 s at 10 frames a second


def test_a_movie_is_made_with_the_same_bytes_twice():
    one = trial(SCENE)
    for made in (
        lambda: injected(one.known.raw, one.ground, one.injection),
        lambda: noise_only(one.known.raw, one.ground),
    ):
        assert all((first == second).all() for first, second, _ in zip(made(), made(), range(8), strict=False))


@cache
def noise(scene=SCENE):
    one = trial(scene)
    return np.stack(list(noise_only(one.known.raw, one.ground))).astype(np.float32)


def test_noise_without_activity_has_the_mean_and_the_noise_of_the_movie_and_no_memory():
    one, made = trial(SCENE), noise()
    assert made.mean() == pytest.approx(one.known.raw.mean(), rel=0.01)
    jumps = np.diff(made, axis=0)
    # bleed of the simulated detector adds noise that no line on the mean knows; a fifth is allowed for it
    assert (jumps**2).mean() == pytest.approx((np.diff(one.known.raw.astype(float), axis=0) ** 2).mean(), rel=0.2)
    trace = made - made.mean(axis=0)
    assert abs((trace[1:] * trace[:-1]).mean() / trace.var()) < 0.01


@pytest.mark.parametrize("scene", planted.SCENES)
@pytest.mark.parametrize("smooth", [lambda movie: movie, running_mean, loss, still])
def test_smooth_noise_is_no_activity(scene, smooth):
    check = judge_noise(noise(scene), smooth(noise(scene)), trial(scene).ground.places)
    assert check.light is Light.PASS, check


@pytest.mark.parametrize("scene", planted.SCENES)
def test_a_cell_that_is_drawn_into_noise_is_seen(scene):
    drawn = running_mean(noise(scene)).copy()
    spikes = np.zeros(len(drawn))
    spikes[::40] = 1
    drawn[:, 60:66, 60:66] += (6 * drawn.std() * lfilter([1], [1, -0.8], spikes))[:, None, None]
    check = judge_noise(noise(scene), drawn, trial(scene).ground.places)
    assert check.light in BAD, check


def test_a_filter_in_time_leans_on_neighbours_and_one_in_space_does_not():
    one = trial(SCENE)
    unordered = np.stack(list(shuffled(one.known.raw))).astype(np.float32)
    places, raw = one.ground.places, one.known.raw.astype(np.float32)
    assert "leans on neighbouring frames" in temporal_context(running_mean(raw), running_mean(unordered), places)
    assert "works on each frame by itself" in temporal_context(raw, unordered, places)


def test_shuffled_frames_are_all_there():
    raw = trial(SCENE).known.raw
    assert (np.stack(list(shuffled(raw)))[np.argsort(order_of(len(raw)))] == raw).all()


def test_halves_share_no_frame_and_are_equally_long():
    raw = np.arange(7)[:, None, None] * np.ones((1, 2, 2))
    assert [frame[0, 0] for frame in EveryOther(raw, 0)] == [0, 2, 4]
    assert [frame[0, 0] for frame in EveryOther(raw, 1)] == [1, 3, 5]


def _other_times(movie, frames):
    """Return what moves in a movie, at the same places and at other times."""
    return np.roll(movie - movie.mean(axis=0), frames, axis=0)


def test_trainings_that_agree_pass_and_such_that_do_not_are_seen():
    clean, places = trial(SCENE).known.clean, trial(SCENE).ground.places
    assert judge_seeds([clean, clean, loss(clean)], places).light is Light.PASS
    drawn = judge_seeds([clean, clean, clean + _other_times(clean, 60)], places)
    assert drawn.light in BAD, drawn


def test_halves_of_the_truth_agree_and_invented_ones_do_not():
    one = trial(SCENE)
    raw, places = one.known.raw, one.ground.places
    even, odd = one.known.clean[::2], one.known.clean[1::2]
    assert judge_halves(raw, even, odd, places).light is Light.PASS
    found = judge_halves(raw, even + 2 * _other_times(even, 60), odd + 2 * _other_times(odd, 30), places)
    assert found.light in BAD, found


def test_nothing_is_added_where_the_detector_would_saturate():
    light = np.full((60, 48, 48), 20.0)
    light[:, :, 24:] = 240
    raw = np.minimum(np.random.default_rng(0).poisson(light), 255).astype(np.uint8)
    ground = ground_of(raw)
    injection = injection_for(ground, len(raw), None)
    right = ground.places.quiet[:, 1] > 24
    assert (injection.peaks[right] == 0).all()
    assert (injection.peaks[ground.places.quiet[:, 1] < 20] > 0).all()
    planted_raw = np.stack(list(injected(raw, ground, injection)))
    assert judge_injected(raw, planted_raw, ground, injection)[0].light is Light.PASS


def test_a_short_movie_is_no_ground():
    assert ground_of(np.ones((20, 40, 40), np.uint16)) is None


def test_a_still_movie_without_quiet_noise_is_not_tested():
    raw = np.full((60, 40, 40), 7, np.uint16)
    ground = ground_of(raw)
    injection = injection_for(ground, len(raw), None)
    made = np.stack(list(injected(raw, ground, injection)))
    assert (made == raw).all()
    assert {check.light for check in judge_injected(raw, made, ground, injection)} == {Light.NOT_TESTED}


@pytest.mark.slow
def test_false_alarms_stay_below_one_in_twenty():
    lights = []
    for seed in range(20):
        one = trial(SCENE, seed=300 + seed, frames=96)
        raw = one.known.raw.astype(np.float32)
        lights += [check.light for check in judge_injected(raw, one.raw, one.ground, one.injection)]
        made = np.stack(list(noise_only(one.known.raw, one.ground))).astype(np.float32)
        lights.append(judge_noise(made, made, one.ground.places).light)
    assert sum(light in BAD for light in lights) / len(lights) < 0.05
