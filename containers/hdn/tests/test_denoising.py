"""Whole runs on small movies with known truth: they gain, and end the same however they got there."""

import json
import sys
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pytest
import tifffile
from hdn_jobs import clean_movie, make_job, noisy_movie, run_job, si_psnr, train_and_predict, write_movie

from contract.errors import JobRefused
from contract.events import Events
from noise_models import MixtureNoise, load_noise_model
from run import train

SMALL = {
    "max_epochs": 3, "steps_per_epoch": 40, "batch_size": 4, "encoder_n_filters": 8, "decoder_n_filters": 8,
    "z_dim": 8, "lr": 0.01,
}  # fmt: skip
CLEAN = clean_movie(48, 64)


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    noisy = noisy_movie(CLEAN, gain=2, read_noise=8, offset=100)
    return write_movie(tmp_path_factory.mktemp("movie") / "noisy.tif", noisy)


@pytest.fixture(scope="module")
def run(tmp_path_factory, movie):
    folder = tmp_path_factory.mktemp("run")
    train_and_predict(folder, "quick", movie, **SMALL, save_sd=True, save_samples=10)
    return folder


def _prediction(folder, movie):
    return tifffile.imread(folder / "predictions" / movie.name)


@pytest.mark.training
def test_a_movie_gains_at_least_three_db(run, movie, record_property):
    gain = si_psnr(CLEAN, _prediction(run, movie)) - si_psnr(CLEAN, tifffile.imread(movie))
    record_property("gain_db", gain)
    assert gain > 3


def test_the_prediction_has_the_intensities_of_the_input(run, movie):
    assert _prediction(run, movie).mean() == pytest.approx(tifffile.imread(movie).mean(), rel=0.02)
    slope = np.polyfit((CLEAN + 100).ravel(), _prediction(run, movie).ravel(), 1)[0]
    assert 0.7 < slope < 1.15  # 1 would be no shrinkage at all


def test_the_prediction_is_the_mean_of_the_samples_and_sd_their_spread(run, movie):
    extra = run / "extra" / "predictions"
    samples = np.stack([tifffile.imread(extra / f"sample_{number:02d}" / movie.name) for number in range(1, 11)])
    np.testing.assert_allclose(_prediction(run, movie), samples.mean(axis=0), rtol=1e-5)
    sd = tifffile.imread(extra / "sd" / movie.name)
    np.testing.assert_allclose(sd, samples.std(axis=0, ddof=1), rtol=1e-3, atol=1e-2)
    scores = [si_psnr(CLEAN, samples[:count].mean(axis=0)) for count in (1, 3, 10)]
    assert scores[0] < scores[1] < scores[2]  # averaging samples pays


def test_what_a_report_needs_is_there(run, movie):
    noise = json.loads((run / "extra" / "predictions" / "noise_model.json").read_text())
    assert noise["gain"] == pytest.approx(2, rel=0.1)  # of the simulation
    assert len(noise["densities"]) == 4
    for density in noise["densities"]:
        width = density["residual"][1] - density["residual"][0]
        assert sum(density["histogram"]) * width == pytest.approx(1, abs=0.02)
        assert sum(density["fitted"]) * width == pytest.approx(1, abs=0.02)
    settling = json.loads((run / "extra" / "predictions" / "settling" / f"{movie.name}.json").read_text())
    assert settling["samples"] == [1, 2, 4, 8, 10]
    assert settling["rms_to_mean_of_all"][-1] == 0
    figures = json.loads((run / "train" / "figures.json").read_text())
    assert [" ".join(one["title"].split()[:3]) for one in figures] == [
        "Variance against signal", *["Noise around signal"] * 4
    ]  # fmt: skip
    scored = json.loads((run / "predict" / "figures.json").read_text())[0]["scored"]
    means = np.load(run / "predict" / scored[0]["file"])
    assert means.shape == (5, 8, 64, 64)
    np.testing.assert_array_equal(means[-1], _prediction(run, movie)[scored[0]["frames"]])
    evidence = json.loads((run / "checkpoint" / "evidence.json").read_text())
    assert evidence["restored"] < evidence["identity"]


def test_a_prediction_that_goes_on_plots_the_movies_it_had_finished_before(run, movie, tmp_path):
    other = write_movie(tmp_path / "other.tif", tifffile.imread(movie)[:9])
    (tmp_path / "checkpoint").symlink_to(run / "checkpoint")
    job = make_job(tmp_path / "predict", "predict", "quick", inputs={"noisy": [movie, other]}, mmse_count=2)
    assert run_job(job)["status"] == "ok"
    figures = job.folder / "figures.json"
    whole = json.loads(figures.read_text())
    assert [one["movie"] for one in whole[0]["scored"]] == [movie.name, other.name]
    figures.unlink()
    (tmp_path / "predictions" / other.name).unlink()  # as if killed within the second movie
    assert run_job(job)["status"] == "ok"
    assert json.loads(figures.read_text()) == whole


@pytest.mark.training
def test_few_grey_levels_gain_at_least_three_db(tmp_path):
    """The situation of REFINED: about 20 grey levels, where the study's noise model had a floor 20 times too high."""
    clean = 0.03 * CLEAN
    path = write_movie(tmp_path / "few.tif", noisy_movie(clean, gain=0.3, read_noise=1.33, offset=100))
    assert len(np.unique(tifffile.imread(path))) < 30
    train_and_predict(tmp_path, "quick", path, **SMALL)
    gain = si_psnr(clean, _prediction(tmp_path, path)) - si_psnr(clean, tifffile.imread(path))
    assert gain > 3


def test_a_mixture_fitted_to_another_prediction_trains_and_can_be_handed_on(run, movie, tmp_path):
    prior = run / "predictions" / movie.name
    options = SMALL | {"noise_model": "gmm", "noise_batch_size": 5000, "random_perc": 0.2}
    inputs = {"train": [movie], "prior": [prior]}
    trained = run_job(make_job(tmp_path / "train", "train", "quick", inputs=inputs, **options))
    assert trained["status"] == "ok", trained["error"]
    made = load_noise_model(tmp_path / "checkpoint" / "noise_model.npz")
    assert isinstance(made, MixtureNoise)
    # variance of the simulation at a signal of 100: read noise 8 and gain 2; the prior's own errors add to it
    assert 64 + 200 < made.variance(np.array([200.0]))[0] < 1.6 * (64 + 200)
    assert run_job(make_job(tmp_path / "predict", "predict", "quick", inputs={"noisy": [movie]}, **options))
    gain = si_psnr(CLEAN, _prediction(tmp_path, movie)) - si_psnr(CLEAN, tifffile.imread(movie))
    assert gain > 3
    inputs = {"train": [movie], "prior": [tmp_path / "checkpoint" / "noise_model.npz"]}
    assert run_job(make_job(tmp_path / "other" / "train", "train", "smoke", inputs=inputs))["status"] == "ok"
    one, two = (folder / "checkpoint" / "noise_model.npz" for folder in (tmp_path, tmp_path / "other"))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"noise_model": "gmm"}, "affine needs none"),
        ({"differences": "temporal", "patch_size": 128}, "at least 128 x 128"),
        ({"patch_size": 62}, "multiple of 4"),
        ({"save_samples": 3}, "at most mmse_count 2, got 3"),
        ({"save_sd": True, "mmse_count": 1}, "one sample has no spread"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_sentence(movie, tmp_path, options, expected):
    job = make_job(tmp_path / "train", "train", "smoke", inputs={"train": [movie]}, **options)
    with closing(Events(job.folder / "events.jsonl")) as events, pytest.raises(JobRefused, match=expected):
        train(job, events)


def test_training_that_diverges_ends_as_not_converged(movie, tmp_path):
    job = make_job(tmp_path / "train", "train", "smoke", inputs={"train": [movie]}, lr=0.9, max_grad_norm=1e9)
    result = run_job(job)
    assert result["status"] == "did not converge", result["error"]
    assert "nats per pixel" in result["error"]["message"]


def test_a_network_whose_latents_say_nothing_ends_as_not_converged(tmp_path):
    """A noise model 50 times too wide leaves nothing to explain; a constant beats neighbours in so much noise."""
    path = write_movie(tmp_path / "noisy.tif", noisy_movie(CLEAN, gain=2, read_noise=60, offset=300))
    wide = {"noise_model": "gaussian", "sigma": 3000.0, "kl_warmup": 0.0}
    result = run_job(make_job(tmp_path / "train", "train", "smoke", inputs={"train": [path]}, **wide))
    assert result["status"] == "did not converge", result["error"]
    assert "posterior collapse" in result["error"]["message"]
    evidence = json.loads((tmp_path / "checkpoint" / "evidence.json").read_text())
    assert evidence["restored"] < evidence["identity"]  # so no other check would have found it
