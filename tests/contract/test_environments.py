"""Other pinned environments of an algorithm folder: the same contract, other software, another key."""

from __future__ import annotations

import hashlib
import json
import subprocess

import numpy as np
import pytest
import tifffile
from folder_environment import CONTAINERS, FOR_TESTS, python_of, search_path

from orchestrator.algorithms.folders import in_environment, load_algorithm, load_algorithms
from orchestrator.engines.image import image_of
from orchestrator.engines.locks import read_lock
from orchestrator.errors import BadInput
from orchestrator.paths import layout

ALGORITHMS = load_algorithms(CONTAINERS).values()
OTHERS = [in_environment(one, name) for one in ALGORITHMS for name in one.environments]
NAMES = [one.full_name for one in OTHERS]
PARAMETERS = {"current": 333_729, "study": 509_217}  # of the 2D networks of careamics 0.3.5 and 0.0.5


def _run(calm, name, movie, engine="venv"):
    done = calm("run", name, "--input", movie, "--preset", "smoke", "--engine", engine, "--threads", 1, "--seed", 7)
    assert done.returncode == 0, done.stderr
    return calm.run_folder(f"{name.replace('@', '-')}-tiny-smoke", seed=7)


def _sha256(folder):
    return hashlib.sha256((folder / "predictions" / "train" / "tiny.tif").read_bytes()).hexdigest()


@pytest.mark.parametrize("algorithm", OTHERS, ids=NAMES)
def test_the_lock_of_an_environment_pins_every_package_and_its_upstream_by_hash(algorithm):
    for device in algorithm.devices:
        pins = {pin.name: pin.version for pin in read_lock(algorithm.lock(device))}
        assert pins[algorithm.upstream.name] == algorithm.upstream.version
        assert pins["torch"].partition("+")[0] == "2.13.0"  # of the base image, as in every environment
        assert device == "cuda" or not [name for name in pins if name.startswith("nvidia")]


@pytest.mark.parametrize("algorithm", OTHERS, ids=NAMES)
def test_another_environment_is_another_image_with_the_same_code(algorithm):
    plain = load_algorithm(algorithm.folder)
    one, other = (image_of(which, "cpu", layout()) for which in (plain, algorithm))
    assert one.digest != other.digest
    assert one.wheelhouse != other.wheelhouse
    assert one.context != other.context


def test_an_environment_that_there_is_not_is_refused_with_those_there_are(calm):
    with pytest.raises(BadInput, match="expected an environment of current, study, got old"):
        in_environment(load_algorithm(CONTAINERS / "n2v"), "old")
    done = calm("run", "n2v@old")
    assert done.returncode == 2
    assert "current, study" in done.stderr


@pytest.mark.parametrize("algorithm", OTHERS, ids=NAMES)
def test_a_run_in_each_environment_differs_in_network_and_version_and_diff_says_so(shared_calm, tiny_movie, algorithm):
    theirs = _run(shared_calm, algorithm.full_name, tiny_movie)
    ours = _run(shared_calm, algorithm.name, tiny_movie)
    for folder, environment in ((theirs, algorithm.environment), (ours, "current")):
        record = json.loads((folder / "run.json").read_text())
        assert record["environment"] == environment
        assert record["network_parameters"] == PARAMETERS[environment]
        assert record["versions"]["careamics"] == record["upstream"]["version"]
    prediction = tifffile.imread(theirs / "predictions" / "train" / "tiny.tif")
    assert prediction.shape == (48, 64, 66)
    assert prediction.dtype == np.float32
    assert abs(prediction.mean() - tifffile.imread(tiny_movie).mean()) < 40  # intensity units of the input
    said = shared_calm("diff", ours, theirs).stdout
    assert "network_parameters: 333729 | 509217" in said
    assert "upstream.version: 0.3.5 | 0.0.5" in said
    assert "environment: current | study" in said


@pytest.mark.engine("docker")
def test_the_same_dockerfile_builds_the_environment_of_the_study_with_the_same_bytes(shared_calm, calm, tiny_movie):
    assert _sha256(_run(shared_calm, "n2v@study", tiny_movie)) == _sha256(_run(calm, "n2v@study", tiny_movie, "docker"))


@pytest.mark.parametrize("algorithm", OTHERS, ids=NAMES)
def test_the_tests_of_an_environment_pass_in_it(shared_calm, tmp_path, algorithm):
    """They are those of the folder whose name ends in that of the environment."""
    tests = sorted((algorithm.folder / "tests").glob(f"test_*_{algorithm.environment}.py"))
    if not tests:
        pytest.skip(f"{algorithm.name} has no tests of its own for {algorithm.environment}")
    built = shared_calm("build", algorithm.full_name, "--engine", "venv")
    assert built.returncode == 0, built.stderr
    python = python_of(built.stdout)
    environment = shared_calm.environment(PYTHONPATH=search_path(algorithm.name, python), **FOR_TESTS)
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        capture_output=True, text=True, check=False, cwd=tmp_path, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
