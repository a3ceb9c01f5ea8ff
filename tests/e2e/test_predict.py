"""A finished training on another movie: the bytes that the run itself predicted, and no checkpoint of other bytes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile


@pytest.fixture(scope="module")
def movies(tmp_path_factory):
    """Return two small movies."""
    folder = tmp_path_factory.mktemp("movies")
    for seed, name in enumerate("ab"):
        frames = np.random.default_rng(seed).poisson(50, (24, 64, 64)).astype(np.uint16)
        tifffile.imwrite(folder / f"{name}.tif", frames)
    return folder


@pytest.mark.timeout(300)
def test_a_training_predicts_another_movie_as_its_own_run_did_and_a_changed_checkpoint_is_refused(calm, movies):
    a, b = (movies / "a.tif", movies / "b.tif")
    options = ("--preset", "smoke", "--engine", "venv", "--threads", 1)
    done = calm("run", "n2v", "--input", a, "--input", b, *options)
    assert done.returncode == 0, done.stderr
    run = calm.run_folder("n2v-a-smoke")
    target = calm.outputs / "denoised.tif"
    done = calm("predict", run, b, "-o", target, "--engine", "venv")
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == (run / "predictions" / "train" / "b.tif").read_bytes()
    predicted = json.loads((calm.run_folder("n2v-b-smoke") / "run.json").read_text())
    assert predicted["trained"] == str(run)
    (run / "checkpoint" / "network.pt").write_bytes(b"other")
    done = calm("predict", run, a, "-o", calm.outputs / "other.tif", "--engine", "venv")
    assert done.returncode == 2
    assert f"Error: {run / 'checkpoint' / 'network.pt'}: expected " in done.stderr
    assert not (calm.outputs / "other.tif").exists()


@pytest.mark.timeout(300)
def test_a_parameter_of_prediction_alone_takes_the_training_that_is_there(calm, movies):
    options = ("--input", movies / "a.tif", "--preset", "smoke", "--engine", "venv", "--threads", 1)
    assert calm("run", "n2v", *options).returncode == 0
    first = calm.run_folder("n2v-a-smoke")
    done = calm("run", "n2v", *options, "--param", "predict_tiling=study")
    assert done.returncode == 0, done.stderr
    (other,) = [path.parent for path in calm.outputs.glob("n2v-a-smoke/*/run.json") if path.parent != first]
    record = json.loads((other / "run.json").read_text())
    assert record["training_of"] == str(first)
    assert record["jobs"]["train"]["files"] == json.loads((first / "run.json").read_text())["jobs"]["train"]["files"]
    assert (other / "predictions/train/a.tif").read_bytes() != (first / "predictions/train/a.tif").read_bytes()
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
