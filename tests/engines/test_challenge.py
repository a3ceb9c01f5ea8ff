"""Images as challenges start them: no arguments, movies in /input, predictions in /output, nothing else to write to."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
import tifffile

from orchestrator.algorithms.folders import load_algorithm
from orchestrator.engines.containers import tag_of
from orchestrator.engines.image import image_of
from orchestrator.paths import layout

pytestmark = pytest.mark.engine("docker")
NOISY, DENOISED = "stacked-neuron-images-with-noise", "stacked-neuron-images-with-reduced-noise"
MOVIE = np.random.default_rng(3).poisson(40, (24, 64, 64)).astype(np.int16)


@pytest.fixture
def submitted(calm, tmp_path):
    """Return a function that runs an image as a challenge does and returns the process and the folder of outputs."""

    def run(name, *options, folder=NOISY):
        built = calm("build", name, "--engine", "docker")
        assert built.returncode == 0, built.stderr
        (tmp_path / "input" / "images" / folder).mkdir(parents=True)
        tifffile.imwrite(tmp_path / "input" / "images" / folder / "0a1b.tif", MOVIE)
        (tmp_path / "output").mkdir(mode=0o777)
        (tmp_path / "output").chmod(0o777)  # the image has a user of its own
        image = tag_of(image_of(load_algorithm(layout().containers / name), "cpu", layout()))
        limits = ["--network=none", "--read-only", "--memory=16g", "--tmpfs=/tmp", "--cap-drop=ALL"]
        mounts = [f"--volume={tmp_path}/input:/input:ro", f"--volume={tmp_path}/output:/output", *options]
        command = ["docker", "run", "--rm", *limits, *mounts, image]
        return subprocess.run(command, capture_output=True, text=True, check=False), tmp_path / "output"

    return run


def _files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_an_image_trains_on_the_movie_where_it_is_given_no_model(submitted):
    done, output = submitted("n2v")
    assert done.returncode == 0, done.stdout + done.stderr
    assert _files(output) == {f"images/{DENOISED}/0a1b.tif"}
    prediction = tifffile.imread(output / "images" / DENOISED / "0a1b.tif")
    assert prediction.shape == MOVIE.shape
    assert prediction.std() < MOVIE.std()


def test_the_model_of_an_image_is_a_finished_run(calm, submitted, tmp_path):
    movie = tmp_path / "movie.tif"
    tifffile.imwrite(movie, MOVIE)
    options = ["--preset", "smoke", "--engine", "docker", "--threads", 1]
    assert calm("run", "n2v", "--input", movie, *options).returncode == 0
    run = calm.run_folder("n2v-movie-smoke")
    done, output = submitted("n2v", f"--volume={run}:/opt/ml/model:ro", "--cpus=1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "train:" not in done.stdout
    (expected,) = (run / "predictions").glob("*/*.tif")
    found = tifffile.imread(output / "images" / DENOISED / "0a1b.tif")
    np.testing.assert_allclose(found, tifffile.imread(expected), atol=1e-2)


def test_another_folder_of_inputs_is_refused_with_those_that_are_known(submitted):
    done, output = submitted("identity", folder="videos")
    assert done.returncode == 2
    assert "stacked-neuron-images-with-noise" in done.stderr
    assert "got videos" in done.stderr
    assert not _files(output)
