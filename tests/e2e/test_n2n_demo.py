"""What the README promises of `make run ALGO=n2n`, run for real on the demo."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

GAIN_DB = 4.0  # the issue asks for 3 dB; measured: see benchmarks/results. The rest is for other processors


@pytest.fixture(scope="module")
def demo(demo_calm):
    """Return the run folder of the quick preset on the demo."""
    done = demo_calm("run", "n2n", "--data", "demo", "--preset", "quick", "--engine", "venv")
    assert done.returncode == 0, done.stderr
    return demo_calm.run_folder("n2n-demo-quick")


def _scores(folder, split):
    return json.loads((folder / "scores.json").read_text())["splits"][split]


@pytest.mark.parametrize("split", ["train", "val"])
def test_n2n_gains_at_least_4_db_over_noisy(demo, demo_calm, split):
    noisy = _scores(demo_calm.run_folder("identity-demo-default"), split)
    assert _scores(demo, split)["si_psnr"]["mean"] - noisy["si_psnr"]["mean"] >= GAIN_DB


def test_n2n_keeps_the_mean_of_the_movie_it_was_trained_on(demo, demo_calm):
    (prediction,) = (demo / "predictions" / "train").glob("*.tif")
    noisy = demo_calm.run_folder("identity-demo-default") / "predictions" / "train" / prediction.name
    means = [np.mean(tifffile.imread(path), dtype=np.float64) for path in (prediction, noisy)]
    assert means[0] == pytest.approx(means[1], rel=0.02)


def test_n2n_runs_on_a_real_movie_and_says_how_still_it_holds(shared_calm, short_movie):
    path = short_movie("ca2p_neurofinder_test.tif")
    done = shared_calm("run", "n2n", "--input", path, "--preset", "smoke", "--engine", "venv")
    assert done.returncode == 0, done.stderr
    assert "between consecutive frames the signal changes by" in done.stderr
    assert "warning" not in done.stderr
    assert _scores(shared_calm.run_folder(f"n2n-{path.stem}-smoke"), "train")["residual_sd"]["mean"] > 0


def test_broken_rows_are_warned_of_and_ten_steps_on_a_clear_movie_end_as_not_converged(shared_calm, short_movie):
    """So little noise that the frame before is five times as good as a network of ten steps (2026-11-25)."""
    path = short_movie("ca1p_miniscope_wireless.tif")
    done = shared_calm("run", "n2n", "--input", path, "--preset", "smoke", "--engine", "venv")
    assert "warning: the change of the signal" in done.stderr
    assert done.returncode == 5, done.stderr  # did not converge, docs/contract.md
    assert "Error: the network predicts a frame no better than the noisy frame before it does: loss" in done.stderr
