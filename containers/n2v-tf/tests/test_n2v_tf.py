"""Whole runs on a small movie with known truth, and what both folders on TensorFlow share."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "care" / "tests"))

import numpy as np
import pytest
import tifffile
import yaml
from care_jobs import clean_movie, declaration, make_job, noisy_movie, run_job, si_psnr, train_and_predict, write_movie

from csbdeep_unet import build_unet
from run import shape_of
from tensorflow_start import keras

FOLDER = Path(__file__).parents[1]
CONTAINERS = FOLDER.parent
SMALL = {"patch_size": 32, "num_epochs": 3, "num_steps": 40, "batch_size": 8, "lr": 0.003, "n_val_patches": 8}
CLEAN = clean_movie()


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    return write_movie(tmp_path_factory.mktemp("movie") / "noisy.tif", noisy_movie(CLEAN))


def _run(folder, movie, **options):
    prediction = train_and_predict(folder, "quick", {"train": [movie]}, algorithm=FOLDER, **SMALL | options)
    return prediction, si_psnr(CLEAN, prediction) - si_psnr(CLEAN, tifffile.imread(movie))


@pytest.mark.training
def test_a_movie_gains_in_the_units_of_the_input(movie, tmp_path, record_property):
    prediction, gain_db = _run(tmp_path, movie)
    record_property("gain_db", gain_db)
    assert gain_db > 2
    assert prediction.mean() == pytest.approx(tifffile.imread(movie).mean(), rel=0.1)


def test_a_3d_network_trains_and_predicts(movie, tmp_path):
    prediction, _ = _run(tmp_path, movie, patch_size=16, patch_size_z=8, num_epochs=1, num_steps=2, batch_size=2)
    assert prediction.shape == CLEAN.shape


def test_two_trainings_give_the_same_bits(movie, tmp_path):
    short = {"num_epochs": 1, "num_steps": 3}
    states = []
    for name in ("one", "two"):
        job = make_job(
            tmp_path / name / "train", "train", "quick", inputs={"train": [movie]}, algorithm=FOLDER, **SMALL | short
        )
        assert run_job(job, FOLDER)["status"] == "ok"
        states.append((job.checkpoint / "network.keras").read_bytes())
    assert states[0] == states[1]


@pytest.mark.parametrize("patch_size_z", [None, 16])
def test_first_weights_are_as_large_as_those_of_torch(patch_size_z):
    """Those of its convolutions lie evenly within 1 / sqrt(inputs of an output): their sd is 1 / sqrt(3 inputs)."""
    keras.utils.set_random_seed(1)
    weights = build_unet(shape_of({"patch_size_z": patch_size_z})).get_weights()
    kernels = [one for one in weights if one.ndim > 1]
    assert len(kernels) == 11  # two for each of five levels, and the last
    for kernel in kernels:
        inputs = kernel[..., 0].size
        assert np.abs(kernel).max() <= inputs**-0.5
        assert kernel.std() == pytest.approx((3 * inputs) ** -0.5, rel=0.25)
    alike = [one for one in kernels if one.shape == kernels[1].shape]
    assert len(alike) == len({one.tobytes() for one in alike}) > 1


def test_the_network_learns_as_many_numbers_as_that_of_n2v():
    network = build_unet(shape_of({"patch_size_z": None}))
    assert sum(np.prod(one.shape) for one in network.trainable_variables) == 333_729  # tests/contract has it of n2v


@pytest.mark.parametrize("name", ["requirements-cpu.lock", "requirements-cuda.lock"])
def test_the_lock_is_that_of_care_so_that_both_are_one_environment(name):
    assert (FOLDER / name).read_bytes() == (CONTAINERS / "care" / name).read_bytes()


def test_params_are_those_of_n2v_where_they_mean_the_same():
    ours, theirs = (declaration(CONTAINERS / name) for name in ("n2v-tf", "n2v"))
    same = ("type", "default", "range", "unit", "form", "choices", "nullable")
    for name, param in ours["params"].items():
        assert {field: param.get(field) for field in same} == {
            field: theirs["params"][name].get(field) for field in same
        }
    for preset, values in ours["presets"].items():
        assert values == {name: value for name, value in theirs["presets"][preset].items() if name in ours["params"]}


def test_every_file_it_shares_is_there():
    document = yaml.safe_load((FOLDER / "algorithm.yaml").read_text())
    assert all((FOLDER / share).is_file() for share in document["shares"])
