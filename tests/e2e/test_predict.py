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


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_full_checks_train_with_other_seeds_and_on_halves(calm, tmp_path):
    light = np.full((100, 64, 64), 40.0)
    for number, (y, x) in enumerate((y, x) for y in range(8, 60, 20) for x in range(8, 60, 20)):
        for start in range(3 + 2 * number, 90, 30):
            light[start : start + 8, y : y + 8, x : x + 8] += 60
    tifffile.imwrite(tmp_path / "cells.tif", np.random.default_rng(3).poisson(light).astype(np.uint16))
    options = ("--preset", "smoke", "--engine", "venv", "--threads", 1, "--checks", "full")
    done = calm("run", "n2v", "--input", tmp_path / "cells.tif", *options)
    assert done.returncode == 0, done.stderr
    assert "3 predictions and 4 trainings more" in done.stderr
    run = calm.run_folder("n2v-cells-smoke")
    kept = json.loads((run / "checks-full.json").read_text())["movies"]["train/cells.tif"]
    names = [check["name"] for check in kept["checks"]]
    assert names[-3:] == ["events in noise", "seeds", "halves"]
    assert any("works on each frame by itself" in note for note in kept["notes"])  # n2v in 2D
    seeds = [json.loads(path.read_text())["seed"] for path in calm.outputs.glob("n2v-cells-smoke/*/run.json")]
    assert sorted(seeds) == [42, 43, 44]


def test_a_changed_checkpoint_is_refused(calm, run, movies, tmp_path):
    network = run / "checkpoint" / "network.pt"
    made = network.read_bytes()
    network.write_bytes(b"other")
    done = calm("predict", run, movies / "a.tif", "-o", tmp_path / "other.tif", "--engine", "venv")
    network.write_bytes(made)
    assert done.returncode == 2
    assert f"Error: {network}: expected " in done.stderr
    assert not (tmp_path / "other.tif").exists()
