"""What the README promises of `make run ALGO=n2n`, run for real on the demo."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

GAIN_DB = 4.0  # the issue asks for 3 dB; measured: see benchmarks/results. The rest is for other processors


@pytest.fixture(scope="module")
def demo(shared_calm):
    """Return the run folder of the quick preset on the demo."""
    done = shared_calm("run", "n2n", "--data", "demo", "--preset", "quick", "--engine", "venv")
    assert done.returncode == 0, done.stderr
    return shared_calm.run_folder("n2n-demo-quick")


def _scores(folder, split):
    return json.loads((folder / "scores.json").read_text())["splits"][split]


@pytest.mark.parametrize("split", ["train", "val"])
def test_n2n_gains_at_least_4_db_over_noisy(demo, shared_calm, split):
    noisy = _scores(shared_calm.run_folder("identity-demo-default"), split)
    assert _scores(demo, split)["si_psnr"]["mean"] - noisy["si_psnr"]["mean"] >= GAIN_DB


def test_n2n_keeps_the_mean_of_the_movie_it_was_trained_on(demo, shared_calm):
    (prediction,) = (demo / "predictions" / "train").glob("*.tif")
    noisy = shared_calm.run_folder("identity-demo-default") / "predictions" / "train" / prediction.name
    means = [np.mean(tifffile.imread(path), dtype=np.float64) for path in (prediction, noisy)]
    assert means[0] == pytest.approx(means[1], rel=0.02)


@pytest.mark.parametrize(
    ("name", "warned"), [("ca2p_neurofinder_test.tif", False), ("ca1p_miniscope_wireless.tif", True)]
)
def test_n2n_runs_on_real_movies_and_warns_of_broken_rows_that_no_frame_shares(shared_calm, real_movie, name, warned):
    path = real_movie(name)
    done = shared_calm("run", "n2n", "--input", path, "--preset", "smoke", "--engine", "venv")
    assert done.returncode == 0, done.stderr
    assert "between consecutive frames the signal changes by" in done.stderr
    assert ("warning: the change of the signal" in done.stderr) == warned
    assert _scores(shared_calm.run_folder(f"n2n-{path.stem}-smoke"), "train")["residual_sd"]["mean"] > 0
