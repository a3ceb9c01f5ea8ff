"""What the README promises of `make run ALGO=hdn`, run for real on the demo, on few grey levels and on real pairs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from evaluation.metrics import si_psnr

GAIN_DB = 4.0  # the issue asks for 3 dB; measured: see benchmarks/results. The rest is for other processors
FEWER = ("--param", "mmse_count=4", "--param", "max_epochs=4")  # saves half of the time of preset quick
SMALL = (  # a smaller network, trained for 120 steps, which gains 8.4 dB on the widefield pairs
    *("--param", "max_epochs=3", "--param", "steps_per_epoch=40", "--param", "batch_size=4", "--param", "lr=0.01"),
    *("--param", "encoder_n_filters=8", "--param", "decoder_n_filters=8", "--param", "z_dim=8"),
    *("--param", "mmse_count=2"),
)
EXTRAS = ("--param", "save_sd=true", "--param", "save_samples=2")
SHORT_FIT = ("--param", "noise_batch_size=5000", "--param", "noise_epochs=200")


def _gain(folder, noisy, split):
    ours, theirs = (json.loads((run / "scores.json").read_text())["splits"][split] for run in (folder, noisy))
    return ours["si_psnr"]["mean"] - theirs["si_psnr"]["mean"]


@pytest.fixture(scope="module")
def demo(demo_calm):
    """Return the run folder of the quick preset on the demo."""
    done = demo_calm("run", "hdn", "--data", "demo", "--preset", "quick", "--engine", "venv")
    assert done.returncode == 0, done.stderr
    return demo_calm.run_folder("hdn-demo-quick")


@pytest.mark.parametrize("split", ["train", "val"])
def test_hdn_gains_at_least_4_db_over_noisy(demo, demo_calm, split):
    assert _gain(demo, demo_calm.run_folder("identity-demo-default"), split) >= GAIN_DB


def test_the_report_shows_the_noise_model_and_what_samples_are_worth(demo):
    page = (demo / "report.html").read_text()
    scored = [f"Samples averaged against SI-PSNR ({kind})" for kind in ("training movies", "validation movies")]
    for title in ("Variance against signal", "Noise around signal", *scored):
        assert title in page
    assert "intensity units per photo-electron; read noise" in page


def test_hdn_gains_at_least_3_db_on_few_grey_levels(shared_calm):
    """The situation of REFINED, where the study's HDN failed."""
    done = shared_calm("run", "hdn", "--data", "demo_fewlevels", "--preset", "quick", *FEWER, "--engine", "venv")
    assert done.returncode == 0, done.stderr
    folder = shared_calm.run_folder("hdn-demo_fewlevels-quick")
    noisy = shared_calm.run_folder("identity-demo_fewlevels-default")
    assert min(_gain(folder, noisy, split) for split in ("train", "val")) >= 3  # dB, of the issue


def test_hdn_gains_on_widefield_pairs(shared_calm, real_movie):
    noisy, target = (real_movie(f"w2s_test12_{name}.tif") for name in ("noisy_avg1", "gt_avg400"))
    options = (*SMALL, "--param", "differences=spatial")
    done = shared_calm("run", "hdn", "--input", noisy, "--preset", "quick", *options, "--engine", "venv")
    assert done.returncode == 0, done.stderr
    prediction = shared_calm.run_folder(f"hdn-{noisy.stem}-quick") / "predictions" / "train" / noisy.name
    truth, *others = (tifffile.imread(path) for path in (target, prediction, noisy))
    means = [np.mean([si_psnr(*pair) for pair in zip(truth, other, strict=True)]) for other in others]
    assert means[0] - means[1] >= 5  # dB; the issue asks for more than 0, the whole preset measured 10


@pytest.fixture
def run_real(shared_calm, short_movie):
    """Return a function that trains shortly on a real movie: the movie, the run folder and what the user was told."""

    def run(*options):
        path = short_movie("ca2p_neurofinder_test.tif")
        done = shared_calm("run", "hdn", "--input", path, "--preset", "smoke", *options, "--engine", "venv")
        assert done.returncode == 0, done.stderr
        return path, Path(done.stdout.split(": ", 1)[1].splitlines()[0]), done.stderr  # Finished: or Found:

    return run


def test_a_real_movie_gets_the_spread_and_single_samples_beside_its_prediction(run_real):
    path, folder, _ = run_real(*EXTRAS)
    extra = folder / "predictions" / "extra" / "train"
    mean, sd, *samples = (
        tifffile.imread(place / path.name)
        for place in (folder / "predictions" / "train", extra / "sd", extra / "sample_01", extra / "sample_02")
    )
    assert mean.shape == sd.shape == (64, 128, 128)
    assert {image.dtype for image in (mean, sd, *samples)} == {np.dtype(np.float32)}
    np.testing.assert_allclose(np.mean(samples, axis=0), mean, rtol=1e-5)  # preset smoke averages two samples
    np.testing.assert_allclose(np.abs(samples[0] - samples[1]) / np.sqrt(2), sd, rtol=1e-3, atol=0.01)


def test_a_noise_model_is_fitted_to_the_prediction_of_another_run(run_real):
    path, other, _ = run_real(*EXTRAS)
    prior = ("--earlier", other / "predictions" / "train" / path.name, "--param", "noise_model=gmm")
    _, folder, told = run_real(*prior, *SHORT_FIT)
    assert "mixture of 3 fitted to" in told
    assert (folder / "checkpoint" / "noise_model.npz").stat().st_size > 0


def test_the_noise_model_of_another_run_is_reused_as_it_is(run_real):
    model = run_real(*EXTRAS)[1] / "checkpoint" / "noise_model.npz"
    _, folder, told = run_real("--earlier", model)
    assert f"noise model read from {model}" in told
    assert (folder / "checkpoint" / "noise_model.npz").read_bytes() == model.read_bytes()
