"""Every check turns the light it belongs to where its fault is planted, and leaves alone what docs/checks.md says."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode does not let tests import the helpers beside this
import planted

from evaluation.checks.battery import check_movie
from evaluation.checks.dropped import dropped_rows
from evaluation.checks.lights import Light, Topic

AMPLITUDE, TIME, INVENTED = Topic
BAD = {Light.DOUBT, Light.FAIL}
BRIGHT = ("two-photon with bleed", "sCMOS")  # scenes with fast transients and many grey levels
# Fault: the lights it must turn, and those it must leave alone; others may turn with it.
TOUCHES = {
    planted.clean: ((), (AMPLITUDE, TIME, INVENTED)),
    planted.identity: ((), (AMPLITUDE, TIME, INVENTED)),
    planted.offset: ((AMPLITUDE,), (TIME, INVENTED)),
    planted.loss: ((AMPLITUDE,), (TIME, INVENTED)),
    planted.flicker: ((AMPLITUDE,), (TIME, INVENTED)),
    planted.ramp: ((AMPLITUDE,), (INVENTED,)),
    planted.wrapped: ((AMPLITUDE,), ()),
    planted.bright_left_noisy: ((AMPLITUDE,), (TIME,)),
    planted.delay: ((TIME,), (AMPLITUDE, INVENTED)),
    planted.widened: ((TIME,), (INVENTED,)),
    planted.frames_lost: ((TIME,), (AMPLITUDE, INVENTED)),
    planted.raw_ends: ((TIME,), (AMPLITUDE, INVENTED)),
    planted.running_mean: ((AMPLITUDE, TIME), (INVENTED,)),
    planted.still: ((AMPLITUDE, TIME), (INVENTED,)),
    planted.hallucinated: ((INVENTED,), (AMPLITUDE, TIME)),
    planted.seam: ((INVENTED,), (AMPLITUDE, TIME)),
    planted.steps: ((INVENTED,), (AMPLITUDE, TIME)),
    planted.leaked: ((INVENTED,), (AMPLITUDE, TIME)),
    planted.raw_border: ((INVENTED,), (AMPLITUDE, TIME)),
}
EVERYWHERE = {
    planted.clean, planted.identity, planted.offset, planted.loss, planted.delay, planted.hallucinated, planted.still,
    planted.leaked, planted.wrapped, planted.seam, planted.steps, planted.frames_lost,
}  # fmt: skip


@cache
def known_movie(scene):
    return planted.movie(scene, seed=3)


@cache
def verdict_of(fault, scene):
    known = known_movie(scene)
    return check_movie(known.raw, fault(known))


def outcomes(verdict):
    return {check.name: (check.value, check.error, check.light.value) for check in verdict.checks}


def of_scene(scene, *values, name=""):
    """Return a case; that of any scene but the first is slow."""
    marks = () if scene == BRIGHT[0] else pytest.mark.slow
    return pytest.param(*values, scene, id=f"{name}{scene}", marks=marks)


CASES = [
    of_scene(scene, fault, name=f"{fault.__name__}-")
    for fault in TOUCHES
    for scene in planted.SCENES
    if scene in BRIGHT or fault in EVERYWHERE
]
SCENES = [of_scene(scene) for scene in planted.SCENES]


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "scene"), CASES)
def test_a_planted_fault_turns_its_lights_and_leaves_the_others(fault, scene):
    turned, left = TOUCHES[fault]
    verdict = verdict_of(fault, scene)
    assert all(verdict.light(topic) in BAD for topic in turned), outcomes(verdict)
    assert all(verdict.light(topic) is Light.PASS for topic in left), outcomes(verdict)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (planted.offset, "offset"),
        (planted.loss, "transient height"),
        (planted.flicker, "flicker"),
        (planted.ramp, "slow residual"),
        (planted.wrapped, "range"),
        (planted.bright_left_noisy, "noise by brightness"),
        (planted.delay, "delay"),
        (planted.running_mean, "width"),
        (planted.running_mean, "left behind"),
        (planted.still, "moves"),
        (planted.frames_lost, "repeated frames"),
        (planted.raw_ends, "ends"),
        (planted.hallucinated, "unsupported activity"),
        (planted.seam, "seams"),
        (planted.steps, "uneven brightness"),
        (planted.leaked, "correlated noise"),
        (planted.raw_border, "border"),
    ],
)
def test_each_check_fails_for_the_fault_that_it_is_made_for(fault, check):
    assert outcomes(verdict_of(fault, BRIGHT[0]))[check][2] == "fail"


@pytest.mark.parametrize("scene", SCENES)
def test_the_raw_movie_is_said_not_to_be_denoised(scene):
    (sentence,) = verdict_of(planted.identity, scene).plain
    assert sentence.startswith("It did not denoise")


@pytest.mark.parametrize("scene", SCENES)
def test_a_still_picture_is_called_one(scene):
    (sentence,) = verdict_of(planted.still, scene).plain
    assert sentence.startswith("It is a still picture")


def test_nothing_plain_is_said_of_the_clean_movie():
    assert verdict_of(planted.clean, BRIGHT[0]).plain == ()


def test_amplitudes_and_delays_come_out_as_planted():
    scene = BRIGHT[0]  # expected numbers: what was planted
    assert outcomes(verdict_of(planted.loss, scene))["transient height"][0] == pytest.approx(0.8, abs=0.02)
    assert outcomes(verdict_of(planted.clean, scene))["transient height"][0] == pytest.approx(1.0, abs=0.02)
    assert outcomes(verdict_of(planted.delay, scene))["delay"][0] == pytest.approx(1.0, abs=0.1)
    assert outcomes(verdict_of(planted.offset, scene))["offset"][0] == pytest.approx(
        1.0, abs=0.2
    )  # brighter is above 0


@pytest.mark.slow
def test_whole_grey_levels_of_a_movie_with_five_are_doubted():
    verdict = verdict_of(planted.rounded, "five grey levels")
    assert outcomes(verdict)["grey levels"][2] == "doubt"


def test_a_movie_without_activity_is_not_tested_rather_than_passed():
    rng = np.random.default_rng(5)
    light = np.broadcast_to(np.linspace(10.5, 30.5, 96, dtype=np.float32), (100, 96, 96))
    verdict = check_movie(rng.poisson(light).astype(np.uint16), light)
    assert verdict.light(AMPLITUDE) is Light.NOT_TESTED
    assert verdict.light(INVENTED) is Light.PASS


def test_invented_cells_are_seen_where_the_raw_movie_has_no_activity_at_all():
    rng = np.random.default_rng(6)
    raw = rng.poisson(20, (200, 96, 96)).astype(np.uint16)
    denoised = np.full(raw.shape, 20, np.float32)
    denoised[50:60, 40:50, 40:50] = denoised[120:130, 40:50, 40:50] = 40
    assert outcomes(check_movie(raw, denoised))["unsupported activity"][2] == "fail"


@pytest.mark.slow
@pytest.mark.parametrize("kept", [1.0, 0.5])  # of the noise, as in the raw movie and as a weak denoiser leaves it
@pytest.mark.parametrize(("invented", "light"), [(False, "pass"), (True, "fail")])
def test_noise_that_was_left_in_weak_activity_is_not_taken_for_invented_activity(kept, invented, light):
    """The raw movie failed this check where activity is weaker than noise."""
    rng = np.random.default_rng(7)
    truth = np.full((400, 96, 96), 20, np.float32)
    for number, (y, x) in enumerate([(10, 10), (10, 60), (40, 40), (70, 20), (70, 70)]):
        truth[:, y : y + 12, x : x + 12] += 0.9 * np.sin(np.arange(400) / 7 + number)[:, None, None]
    raw = rng.poisson(truth).astype(np.uint16)
    denoised = truth + kept * (raw - truth)
    if invented:
        denoised[:, 40:52, 70:82] += 2 * np.sin(np.arange(400) / 5)[:, None, None]
    assert outcomes(check_movie(raw, denoised))["unsupported activity"][2] == light


def test_lines_that_the_detector_dropped_and_a_denoiser_filled_are_not_compared():
    """They made every denoiser of a real movie too bright."""
    known = planted.movie(BRIGHT[0], seed=3, frames=128)
    raw = known.raw.copy()
    raw[np.random.default_rng(1).random(raw.shape[:2]) < 0.03] = 0
    whole, dropped = (outcomes(check_movie(movie, known.clean)) for movie in (known.raw, raw))
    # Less than its standard error, 0.11 %; lines that were compared moved it by 7.5 %.
    assert dropped["offset"][0] == pytest.approx(whole["offset"][0], abs=0.1)
    assert {name: light for name, (_, _, light) in dropped.items()} == {
        name: light for name, (_, _, light) in whole.items()
    }


def test_rows_without_a_photon_in_a_dim_movie_are_no_dropped_lines():
    dim = np.random.default_rng(0).poisson(0.1, (200, 40, 16)).astype(np.uint16)
    assert sum((frame.max(axis=1) == 0).sum() for frame in dim) > 1000
    assert not any(dropped_rows(frame).any() for frame in dim)


@pytest.mark.slow
def test_false_alarms_stay_below_one_in_twenty():
    lights = []
    for seed in range(20):
        known = planted.movie("two-photon with bleed", seed=200 + seed, frames=128)
        verdict = check_movie(known.raw, known.clean)
        lights += [verdict.light(topic) for topic in Topic]
    assert sum(light in BAD for light in lights) / len(lights) < 0.05


@pytest.mark.parametrize("shape", [(1, 40, 40), (2, 8, 9), (47, 64, 64), (60, 20, 300)])
def test_small_movies_are_checked_as_far_as_they_go(shape):
    raw = np.random.default_rng(1).poisson(5, shape).astype(np.uint8)
    if shape[0] == 1:
        with pytest.raises(ValueError, match="T > 1"):
            check_movie(raw, raw)
    else:
        assert len(check_movie(raw, raw).checks) == 18


def test_movies_of_different_shape_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        check_movie(np.zeros((5, 8, 8)), np.zeros((4, 8, 8)))
