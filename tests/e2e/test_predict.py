"""A finished training on another movie: the bytes that the run itself predicted, and no checkpoint of other bytes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from command import Calm

OPTIONS = ("--preset", "smoke", "--engine", "venv", "--threads", 1)


@pytest.fixture(scope="module")
def movies(tmp_path_factory):
    """Return two small movies."""
    folder = tmp_path_factory.mktemp("movies")
    for seed, name in enumerate("ab"):
        frames = np.random.default_rng(seed).poisson(50, (24, 64, 64)).astype(np.uint16)
        tifffile.imwrite(folder / f"{name}.tif", frames)
    return folder


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """Return the command with outputs of its own."""
    folder = tmp_path_factory.mktemp("calm")
    return Calm(outputs=folder / "outputs", data=folder / "data")


@pytest.fixture(scope="module")
def run(calm, movies):
    """Return a finished run on both movies."""
    done = calm("run", "n2v", "--input", movies / "a.tif", "--input", movies / "b.tif", *OPTIONS)
    assert done.returncode == 0, done.stderr
    return calm.run_folder("n2v-a-smoke")


def test_a_training_predicts_another_movie_as_its_own_run_did(calm, run, movies):
    target = calm.outputs / "denoised.tif"
    done = calm("predict", run, movies / "b.tif", "-o", target, "--engine", "venv")
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == (run / "predictions" / "train" / "b.tif").read_bytes()
    predicted = json.loads((calm.run_folder("n2v-b-smoke") / "run.json").read_text())
    assert predicted["trained"] == str(run)


def test_a_parameter_of_prediction_alone_takes_the_training_that_is_there(calm, run, movies):
    tiles = ("--param", "predict_tiling=study", "--param", "tile_overlap=0.25")
    done = calm("run", "n2v", "--input", movies / "a.tif", "--input", movies / "b.tif", *OPTIONS, *tiles)
    assert done.returncode == 0, done.stderr
    (other,) = [path.parent for path in calm.outputs.glob("n2v-a-smoke/*/run.json") if path.parent != run]
    record = json.loads((other / "run.json").read_text())
    assert record["training_of"] == str(run)
    assert record["jobs"]["train"]["files"] == json.loads((run / "run.json").read_text())["jobs"]["train"]["files"]
    assert (other / "predictions/train/a.tif").read_bytes() != (run / "predictions/train/a.tif").read_bytes()
    verified = calm("verify", other, "--engines", "venv")  # trains anew, and must come to the same bytes
    assert (verified.returncode, "the same predictions, byte for byte" in verified.stdout) == (0, True), verified.stderr


def test_a_changed_checkpoint_is_refused(calm, run, movies, tmp_path):
    network = run / "checkpoint" / "network.pt"
    made = network.read_bytes()
    network.write_bytes(b"other")
    done = calm("predict", run, movies / "a.tif", "-o", tmp_path / "other.tif", "--engine", "venv")
    network.write_bytes(made)
    assert done.returncode == 2
    assert f"Error: {network}: expected " in done.stderr
    assert not (tmp_path / "other.tif").exists()
