"""The verdict on a published number; the rule is in docs/verdicts.md."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from evaluation.metrics import Summary
from evaluation.study.verdict import exact_tolerance, judge, spread, trained_tolerance
from orchestrator.algorithms.experiments import PublishedValue
from orchestrator.reproduce.published import load_experiments

CONTAINERS = Path(__file__).parents[3] / "containers"
GAIN = PublishedValue(
    split="train",
    metric="si_psnr_gain",
    mean=3.227002,
    sd=1.755672,
    n=163,
    over="files",
    unit="dB",
    decimals=6,
    table="table 1",
)
SSIM = structs.replace(GAIN, metric="ssim", mean=0.484, sd=0.027, n=6500, over="frames", unit="1", decimals=3)


def _runs(*means, sd=1.7, n=163):
    return [Summary(mean=mean, sd=sd, n=n) for mean in means]


def test_an_exact_number_is_reproduced_when_mean_and_sd_round_to_the_printed_ones():
    ours = [Summary(mean=0.48449, sd=0.02651, n=6500)]  # print as 0.484 and 0.027
    assert judge(SSIM, ours, exact_tolerance(SSIM)).verdict == "reproduced"


@pytest.mark.parametrize(("mean", "sd"), [(0.4846, 0.027), (0.4834, 0.027), (0.484, 0.0276), (0.484, 0.0264)])
def test_an_exact_number_deviates_when_one_printed_digit_differs(mean, sd):
    ours = [Summary(mean=mean, sd=sd, n=6500)]
    assert judge(SSIM, ours, exact_tolerance(SSIM)).verdict == "deviates"


def test_three_seeds_do_not_soften_an_exact_number():
    ours = _runs(0.40, 0.48, 0.56, sd=0.027, n=6500)
    ours[0] = replace(ours[0], mean=0.41)
    assert judge(SSIM, ours, exact_tolerance(SSIM)).verdict == "deviates"


def test_a_trained_number_may_shift_by_a_tenth_of_the_published_sd():
    tolerance = trained_tolerance(GAIN, None)
    assert tolerance.value == pytest.approx(0.1755672)  # a tenth of 1.755672; half of the gain would be 1.6
    assert judge(GAIN, _runs(3.4025), tolerance).verdict == "reproduced"
    assert judge(GAIN, _runs(3.4027), tolerance).verdict == "deviates"


def test_the_tolerance_is_at_most_half_of_the_distance_to_the_noisy_movie():
    ours = structs.replace(SSIM, metric="si_psnr", mean=23.496, sd=0.538, unit="dB")
    noisy = structs.replace(ours, mean=23.490)
    assert trained_tolerance(ours, noisy).value == pytest.approx(0.003)  # half of 0.006


def test_the_tolerance_is_never_below_half_of_the_last_digit():
    assert trained_tolerance(SSIM, structs.replace(SSIM, mean=0.484)).value == pytest.approx(0.0005)


def test_the_noisy_movie_itself_passes_for_no_trained_number_of_the_study():
    """An algorithm that does nothing must not be called a reproduction, however small the published gain."""
    experiments = load_experiments(CONTAINERS)
    for experiment in experiments.values():
        noisy = next(one for one in experiments.values() if one.algorithm == "identity")
        if experiment.algorithm == "identity" or experiment.dataset != noisy.dataset:
            continue
        for value in experiment.published:
            base = noisy.value(value.split, value.metric)
            ours = [Summary(mean=base.mean, sd=base.sd, n=base.n)]
            assert judge(value, ours, trained_tolerance(value, base)).verdict == "deviates", (experiment.name, value)


def test_the_prediction_interval_of_three_runs_is_that_of_the_t_distribution():
    # Mean 3.0, sample sd 0.1, t(0.975, 2) = 4.302653 (any table): 4.302653 * 0.1 * sqrt(4/3) = 0.496828.
    low, high = spread(_runs(2.9, 3.0, 3.1))
    assert (low, high) == (pytest.approx(3.0 - 0.496828, abs=1e-6), pytest.approx(3.0 + 0.496828, abs=1e-6))


def test_a_number_outside_the_tolerance_but_inside_the_interval_is_within_seed_spread():
    found = judge(GAIN, _runs(2.9, 3.0, 3.1), trained_tolerance(GAIN, None))
    assert found.verdict == "within seed spread"
    assert "between 2.503 and 3.497" in found.reason


def test_a_number_outside_the_interval_of_three_runs_deviates():
    assert judge(GAIN, _runs(2.49, 2.5, 2.51), trained_tolerance(GAIN, None)).verdict == "deviates"


def test_two_runs_state_no_spread_and_the_reason_says_how_to_measure_it():
    found = judge(GAIN, _runs(2.0, 4.0), trained_tolerance(structs.replace(GAIN, mean=3.5), None))
    assert found.verdict == "deviates"
    assert "--seeds 3 measures it" in found.reason


def test_another_number_of_files_is_not_comparable():
    found = judge(GAIN, _runs(3.227002, n=131), trained_tolerance(GAIN, None))
    assert (found.verdict, found.reason) == ("not comparable", "the study has 163 files, ours has 131")


def test_a_score_that_is_not_a_number_deviates():
    found = judge(GAIN, _runs(math.nan), trained_tolerance(GAIN, None))
    assert (found.verdict, found.reason) == ("deviates", "our score is nan")
