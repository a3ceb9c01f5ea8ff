"""The contract, for every algorithm folder there is: found by glob, no list to edit."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import mini
import numpy as np
import pytest
import tifffile
from folder_environment import CONTAINERS, FOR_TESTS, python_of, search_path
from promises import check_memory, check_resuming, check_same_bytes, environment_of

from orchestrator.algorithms.folders import load_algorithm
from orchestrator.engines.locks import read_lock
from orchestrator.paths import layout

FOLDERS = sorted(path.parent for path in CONTAINERS.glob("*/algorithm.yaml"))
NAMES = [folder.name for folder in FOLDERS]
IN_EVERY_FOLDER = ("algorithm.yaml", "Dockerfile", "requirements.in", "requirements-cpu.lock", "run.py", "README.md")


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_a_folder_has_every_file_of_the_layout(folder):
    algorithm = load_algorithm(folder)
    expected = [*IN_EVERY_FOLDER, *(f"requirements-{device}.lock" for device in algorithm.devices)]
    assert [name for name in expected if not (folder / name).exists()] == []


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_every_folder_has_the_same_dockerfile(folder):
    assert (folder / "Dockerfile").read_text() == (CONTAINERS / "identity" / "Dockerfile").read_text()


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_locks_pin_every_package_by_hash_and_cpu_locks_bring_no_cuda(folder):
    for device in load_algorithm(folder).devices:
        pins = read_lock(folder / f"requirements-{device}.lock")
        names = {pin.name for pin in pins}
        assert {"numpy", "tifffile", "imagecodecs"} <= names
        assert device == "cuda" or not [name for name in names if name.startswith("nvidia")]


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_neither_side_of_the_contract_imports_the_other(folder):
    code = "\n".join(path.read_text() for path in folder.glob("*.py"))
    assert "import orchestrator" not in code
    assert "from orchestrator" not in code


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Return the environment of a dataset with targets, tiny movies laid out as those of MOUSENEU_LP."""
    folder = tmp_path_factory.mktemp("pairs")
    mini.write_mouseneu_lp(folder)
    return {"CALM_DATA": str(folder), "CALM_MANIFEST": str(mini.write_manifest(folder / "manifest"))}


@pytest.fixture(scope="module")
def run(shared_calm, tiny_movie, pairs, name):
    """Return the smoke run of a folder on the movie, or on pairs where targets are needed."""
    supervised = load_algorithm(CONTAINERS / name).supervised
    given = ("--data", "mouseneu_lp") if supervised else ("--input", tiny_movie)
    options = ("--preset", "smoke", "--engine", "venv", "--threads", 1, "--seed", 7)
    done = shared_calm("run", name, *given, *options, **pairs if supervised else {})
    assert done.returncode == 0, done.stderr
    return shared_calm.run_folder(f"{name}-{given[1] if supervised else 'tiny'}-smoke", seed=7)


@pytest.mark.parametrize("name", NAMES, scope="module")
def test_a_smoke_run_keeps_every_promise_of_the_contract(run, name):
    (path,) = (run / "predictions" / "train").glob("*.tif")
    record = json.loads((run / "run.json").read_text())
    movie = Path(record["movies"][f"train/{path.name}"]["noisy"])
    assert hashlib.sha256(movie.read_bytes()).hexdigest() == record["inputs"][f"train/{path.name}"]  # as before the run
    noisy = tifffile.imread(movie)
    prediction = tifffile.imread(path)
    assert prediction.shape == noisy.shape
    assert prediction.dtype == np.float32
    assert np.isfinite(prediction).all()
    shift, supervised = prediction.mean() / noisy.mean() - 1, load_algorithm(CONTAINERS / name).supervised
    assert abs(shift) < (0.5 if supervised else 0.005)  # supervised: in the units of the targets, which are brighter

    for control in load_algorithm(CONTAINERS / name).controls:
        beside = tifffile.imread(run / "predictions" / "extra" / control / "train" / path.name)
        assert (beside.shape, beside.dtype) == (prediction.shape, prediction.dtype)
        assert np.isfinite(beside).all()

    for job in ("train", "predict-train"):
        result = json.loads((run / job / "result.json").read_text())
        assert result["status"] == "ok"
        assert result["error"] is None
        assert result["versions"]["numpy"]
        events = [json.loads(line) for line in (run / job / "events.jsonl").read_text().splitlines()]
        last = [event for event in events if "step" in event][-1]
        assert last["step"] == last["steps"]


@pytest.fixture(scope="module")
def environment(name):
    """Return the environment of a folder at work."""
    with environment_of(load_algorithm(CONTAINERS / name)) as environment:
        yield environment


@pytest.mark.parametrize("name", NAMES, scope="module")
def test_two_smoke_runs_give_the_same_bytes(environment, run, tmp_path):
    check_same_bytes(environment, run, tmp_path)


@pytest.mark.parametrize("name", NAMES, scope="module")
def test_a_training_killed_half_way_resumes_to_the_same_bytes(environment, run, tmp_path):
    check_resuming(environment, run, tmp_path)


@pytest.mark.parametrize("name", NAMES, scope="module")
def test_memory_of_predict_does_not_grow_with_the_number_of_frames(environment, run, tmp_path, name):
    check_memory(environment, load_algorithm(CONTAINERS / name), run, tmp_path)


@pytest.mark.engine("docker")  # on all engines for three of the folders: tests/engines/test_same_bytes.py
@pytest.mark.parametrize("name", NAMES, scope="module")
def test_venv_and_docker_give_the_same_bytes(shared_calm, run):
    """Make a run again from its record; every prediction must have the same bytes."""
    done = shared_calm("verify", run, "--engines", "docker")
    assert done.returncode == 0, done.stdout + done.stderr
    (prediction,) = (run / "predictions" / "train").glob("*.tif")
    digest = hashlib.sha256(prediction.read_bytes()).hexdigest()[:12]
    assert "\ndocker: the same predictions, byte for byte: " in done.stdout
    assert f"train/{prediction.name} sha256 {digest}" in done.stdout


@pytest.mark.timeout(2400)  # a folder trains on purpose, on whatever machine this is
@pytest.mark.parametrize("name", [folder.name for folder in FOLDERS if (folder / "tests").is_dir()])
def test_the_tests_of_a_folder_pass_in_its_own_environment(shared_calm, tmp_path, name):
    """The environment of the image runs them; what only tests need lies beside it, not in it.

    What trainings reach is left to `make test-training`, and to the demos of tests/e2e.
    """
    built = shared_calm("build", name, "--engine", "venv")
    assert built.returncode == 0, built.stderr
    python = python_of(built.stdout)
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not training", CONTAINERS / name / "tests"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=shared_calm.environment(PYTHONPATH=search_path(name, python), **FOR_TESTS),
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_a_copied_folder_is_found_built_tested_and_run_with_no_other_file_changed(calm, tmp_path, tiny_movie):
    checkout = tmp_path / "checkout"
    root = CONTAINERS.parent
    for name in ("orchestrator", "containers", "data"):
        shutil.copytree(root / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__", "files"))
    shutil.copytree(checkout / "containers" / "identity", checkout / "containers" / "new")
    yaml = checkout / "containers" / "new" / "algorithm.yaml"
    yaml.write_text(yaml.read_text().replace("name: identity", "name: new").replace("kind: control", "kind: algorithm"))
    environment = calm.environment(
        PYTHONPATH=f"{checkout}:{checkout / 'containers'}", CALM_HOME=str(layout().home), PYTHONSAFEPATH="1"
    )

    def new(*arguments):
        return subprocess.run(
            [sys.executable, "-c", "from orchestrator.cli import main; main()", *map(str, arguments)],
            capture_output=True, text=True, check=False, env=environment, cwd=tmp_path,
        )  # fmt: skip

    assert "new " in new("list").stdout
    done = new("run", "new", "--input", tiny_movie, "--engine", "venv")
    assert done.returncode == 0, done.stderr
    folder = calm.run_folder("new-tiny-default")
    expected = tifffile.imread(tiny_movie).astype(np.float32)
    assert np.array_equal(tifffile.imread(folder / "predictions" / "train" / "tiny.tif"), expected)
