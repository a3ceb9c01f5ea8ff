"""Summaries and bootstrap intervals."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest

from evaluation.metrics import block_bootstrap, summarise
from evaluation.metrics.summary import frames_interval


def test_sd_is_the_sample_sd():
    # 2, 4, 6: mean 4, sum of squares 8, ddof 1: sd 2.
    ours = summarise([2, 4, 6])
    assert (ours.mean, ours.sd, ours.n) == (4, 2, 3)


def test_nan_is_left_out_and_infinity_is_not():
    assert summarise([1, math.nan, 3]).n == 2
    ours = summarise([1, math.inf])
    assert ours.mean == math.inf
    assert math.isnan(ours.sd)


def test_one_value_has_no_sd_and_none_has_no_mean():
    assert math.isnan(summarise([5]).sd)
    nothing = summarise([math.nan])
    assert nothing.n == 0
    assert math.isnan(nothing.mean)


def test_the_published_table_is_reproduced_from_its_csv(published_csv):
    # README of the study, table 1, experiment 1: gain 3.227002 +- 1.755672 dB over 163 images.
    with published_csv("NIDDL_N2V_1.csv").open(newline="") as file:
        ours = summarise([float(row["PSNR_diff"]) for row in csv.DictReader(file)])
    assert (round(ours.mean, 6), round(ours.sd, 6), ours.n) == (3.227002, 1.755672, 163)


def test_the_interval_of_independent_values_is_that_of_theory():
    # Mean of 2000 values of sd 1: 95 % lies within 1.96 / sqrt(2000) = 0.0438.
    values = np.random.default_rng(1).normal(size=2000)
    ours = block_bootstrap(values, block=1, level=0.95, draws=4000, seed=0)
    assert (ours.high - ours.low) / 2 == pytest.approx(0.0438, rel=0.05)
    assert ours.low < values.mean() < ours.high


def test_correlated_values_get_a_wider_interval_with_blocks():
    # Every value repeated 25 times widens it by sqrt(25), less 4 % because blocks cut through repeats.
    values = np.repeat(np.random.default_rng(1).normal(size=2000), 25)
    narrow = block_bootstrap(values, block=1, level=0.95, draws=1000, seed=0)
    wide = block_bootstrap(values, block=100, level=0.95, draws=1000, seed=0)
    assert (wide.high - wide.low) / (narrow.high - narrow.low) == pytest.approx(4.8, rel=0.12)


def test_the_same_seed_gives_the_same_interval_and_a_constant_a_point():
    values = np.sin(np.arange(57.0))
    settings = {"block": 10, "level": 0.9, "draws": 200}
    assert block_bootstrap(values, seed=4, **settings) == block_bootstrap(values, seed=4, **settings)
    assert block_bootstrap(values, seed=4, **settings) != block_bootstrap(values, seed=5, **settings)
    point = block_bootstrap(np.full(57, 2.5), seed=4, **settings)
    assert (point.low, point.high) == (pytest.approx(2.5), pytest.approx(2.5))


@pytest.mark.parametrize("values", [[], [math.nan], [1.0, math.inf]])
def test_an_interval_without_finite_values_is_nan(values):
    ours = block_bootstrap(values, block=5, level=0.95, draws=10, seed=0)
    assert math.isnan(ours.low)
    assert math.isnan(ours.high)


@pytest.mark.parametrize("wrong", [{"block": 0}, {"draws": 0}, {"level": 1.0}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="block_bootstrap: expected"):
        block_bootstrap([1.0], **{"block": 1, "level": 0.95, "draws": 1, "seed": 0} | wrong)


def test_the_interval_of_a_short_movie_takes_blocks_of_ten_frames():
    # The root of 49 frames is 7, below the shortest block of ten that its documentation promises.
    values = np.cumsum(np.random.default_rng(3).normal(size=49))
    of_ten, of_nine = (block_bootstrap(values, block=block, level=0.95, draws=1000, seed=0) for block in (10, 9))
    assert frames_interval(values, 1) == of_ten != of_nine
