"""Which noise model a job gets, and what the user is told about it; nothing is trained."""

import json
import sys
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pytest
import torch
from hdn_jobs import clean_movie, make_job, noisy_movie, write_movie

from contract.errors import JobRefused
from contract.events import Events
from contract.stacks import open_stack
from declared_figures import noise_figures
from noise_choice import choose_noise_model
from noise_models import AffineNoise, MixtureNoise, save_noise_model
from noise_report import noise_report

torch.set_num_threads(1)
DETECTOR = {"gain": 2, "read_noise": 8, "offset": 100}
CLEAN = clean_movie(32, 64)
SCENE = np.repeat(np.linspace(50, 400, 64 * 64).reshape(1, 64, 64), 40, axis=0)
MIXTURE = {"noise_model": "gmm", "noise_batch_size": 5000, "noise_epochs": 200, "random_perc": 1.0}


@pytest.fixture(scope="module")
def movies(tmp_path_factory):
    """Return a movie, its clean version and a calibration stack of the same detector."""
    folder = tmp_path_factory.mktemp("movies")
    return {
        "noisy": write_movie(folder / "noisy.tif", noisy_movie(CLEAN, **DETECTOR)),
        "prediction": write_movie(folder / "prediction" / "noisy.tif", (CLEAN + 100).astype(np.float32)),
        "calibration": write_movie(folder / "calibration.tif", noisy_movie(SCENE, **DETECTOR, seed=2)),
    }


@pytest.fixture
def choose(movies, tmp_path):
    """Return a function that makes the noise model of a job and returns it with what the user was told."""

    def make(*prior, **params):
        inputs = {"train": [movies["noisy"]], "prior": list(prior)}
        job = make_job(tmp_path / "train", "train", "smoke", inputs=inputs, camera_offset=100.0, **params)
        path = job.folder / "events.jsonl"
        with open_stack(movies["noisy"]) as stack, closing(Events(path)) as events:
            choice = choose_noise_model(job, [stack], events)
        told = [json.loads(line)["message"] for line in path.read_text().splitlines()] if path.exists() else []
        return choice, " ".join(told)

    return make


def _deviation(choice, signal=200.0):
    return float(np.sqrt(choice.noise_model.variance(np.array([100.0 + signal]))[0]))


TRUE = np.sqrt(64 + 2 * 200)  # read noise 8 and gain 2 at a signal of 200


def test_by_default_gain_and_read_noise_are_estimated_and_told_with_their_units(choose):
    choice, told = choose()
    assert _deviation(choice) == pytest.approx(TRUE, rel=0.05)
    assert f"gain {choice.noise_model.gain:.4g} +-" in told
    assert "intensity units per photo-electron, read noise" in told


@pytest.mark.parametrize("params", [{}, MIXTURE], ids=["affine", "gmm"])
def test_a_calibration_stack_stands_in_for_the_movie(choose, movies, params):
    choice, _ = choose(movies["calibration"], earlier_kind="calibration", **params)
    assert isinstance(choice.noise_model, MixtureNoise if params else AffineNoise)
    for signal in (100.0, 350.0):
        assert _deviation(choice, signal) == pytest.approx(np.sqrt(64 + 2 * signal), rel=0.05)


def test_a_prediction_of_another_run_is_the_signal_of_a_mixture(choose, movies):
    choice, told = choose(movies["prediction"], **MIXTURE)
    assert _deviation(choice) == pytest.approx(TRUE, rel=0.05)
    assert f"mixture of 3 fitted to {len(choice.pairs.signal)} pixels" in told


def test_a_mixture_that_ran_out_of_batches_is_told_as_not_converged(choose, movies):
    assert "NOT converged: raise noise_epochs" in choose(movies["prediction"], **MIXTURE | {"noise_epochs": 30})[1]


def test_one_standard_deviation_is_taken_as_given_or_estimated(choose):
    given, _ = choose(noise_model="gaussian", sigma=7.0)
    assert _deviation(given, 50.0) == _deviation(given, 300.0) == 7
    estimated, told = choose(noise_model="gaussian")
    assert _deviation(estimated) == pytest.approx(np.sqrt(64 + 2 * CLEAN.mean()), rel=0.05)
    assert f"standard deviation {_deviation(estimated):.4g}, estimated" in told


def test_the_noise_model_of_another_run_is_taken_as_it_is(choose, tmp_path):
    other = AffineNoise(variance_at_zero=1.5, gain=0.5, min_variance=0.25)
    save_noise_model(tmp_path / "noise_model.npz", other)
    choice, told = choose(tmp_path / "noise_model.npz")
    assert choice.noise_model == other
    assert f"noise model read from {tmp_path / 'noise_model.npz'}" in told


def test_predictions_are_refused_where_none_are_used(choose, movies):
    with pytest.raises(JobRefused, match="affine uses no predictions, got 1; set noise_model to gmm"):
        choose(movies["prediction"])


@pytest.mark.parametrize("params", [{}, MIXTURE], ids=["affine", "gmm"])
def test_the_plot_says_gain_and_read_noise_with_units(choose, movies, params):
    choice, _ = choose(movies["calibration"], earlier_kind="calibration", **params)
    figures = noise_figures(noise_report(choice, 100.0))
    note = figures[0].note
    gain, read_noise = (float(note.lower().split(word)[1].split()[0]) for word in ("gain ", "read noise "))
    assert gain == pytest.approx(2, rel=0.05)
    assert read_noise == pytest.approx(8, rel=0.2)
    assert "intensity units per photo-electron" in note
    assert figures[0].y == "variance (intensity units²)"
