"""What the README promises of `make run ALGO=hdn`, run for real on the demo, on few grey levels and on real pairs."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from orchestrator.metrics import si_psnr

GAIN_DB = 4.0  # the issue asks for 3 dB; measured: see benchmarks/results. The rest is for other processors
FEWER = ("--param", "mmse_count=4", "--param", "max_epochs=4")  # saves half of the time of preset quick


def _gain(folder, noisy, split):
    ours, theirs = (json.loads((run / "scores.json").read_text())["splits"][split] for run in (folder, noisy))
    return ours["si_psnr"]["mean"] - theirs["si_psnr"]["mean"]


@pytest.fixture(scope="module")
def demo(shared_calm):
    """Return the run folder of the quick preset on the demo."""
    done = shared_calm("run", "hdn", "--data", "demo", "--preset", "quick", "--engine", "venv")
    assert done.returncode == 0, done.stderr
    return shared_calm.run_folder("hdn-demo-quick")


@pytest.mark.parametrize("split", ["train", "val"])
def test_hdn_gains_at_least_4_db_over_noisy(demo, shared_calm, split):
    assert _gain(demo, shared_calm.run_folder("identity-demo-default"), split) >= GAIN_DB


def test_the_report_shows_the_noise_model_and_what_samples_are_worth(demo):
    page = (demo / "report.html").read_text()
    for title in ("Variance against signal", "Noise around signal", "Samples averaged"):
        assert title in page


def test_hdn_gains_at_least_3_db_on_few_grey_levels(shared_calm):
    """The situation of REFINED, where the study's HDN failed."""
    done = shared_calm("run", "hdn", "--data", "demo_fewlevels", "--preset", "quick", *FEWER, "--engine", "venv")
    assert done.returncode == 0, done.stderr
    folder = shared_calm.run_folder("hdn-demo_fewlevels-quick")
    noisy = shared_calm.run_folder("identity-demo_fewlevels-default")
    assert min(_gain(folder, noisy, split) for split in ("train", "val")) >= 3  # dB, of the issue


def test_hdn_gains_on_widefield_pairs(shared_calm, real_movie):
    noisy, target = (real_movie(f"w2s_test12_{name}.tif") for name in ("noisy_avg1", "gt_avg400"))
    options = (*FEWER, "--param", "differences=spatial")
    done = shared_calm("run", "hdn", "--input", noisy, "--preset", "quick", *options, "--engine", "venv")
    assert done.returncode == 0, done.stderr
    prediction = shared_calm.run_folder(f"hdn-{noisy.stem}-quick") / "predictions" / "train" / noisy.name
    truth, *others = (tifffile.imread(path) for path in (target, prediction, noisy))
    means = [np.mean([si_psnr(*pair) for pair in zip(truth, other, strict=True)]) for other in others]
    assert means[0] - means[1] >= 5  # dB; the issue asks for more than 0, the whole preset measured 10
