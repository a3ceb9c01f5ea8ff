"""The script that measures a card, on the CPU with tiny sizes: every step is there, and none fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from folder_environment import CONTAINERS, python_of, search_path

from orchestrator.algorithms.folders import load_algorithm
from orchestrator.engines.hardware import gpus
from orchestrator.engines.image import image_of
from orchestrator.paths import layout

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
PAGE = Path(__file__).parents[2] / "docs" / "gpu.md"


@pytest.fixture(scope="module")
def python(shared_calm):
    """Return a Python with torch and careamics, and the environment in which it finds pyyaml."""
    built = {name: shared_calm("build", name, "--engine", "venv") for name in ("n2v", "deepcad")}
    found = python_of(built["n2v"].stdout)
    return found, os.environ | {"PYTHONPATH": search_path("n2v", found), "OMP_NUM_THREADS": "1"}


def test_two_minutes_on_a_cpu_fail_at_nothing_and_leave_a_page_and_a_document(python, tmp_path):
    wheels = image_of(load_algorithm(CONTAINERS / "deepcad"), "cpu", layout()).wheelhouse
    target = tmp_path / "found.json"
    options = ["--device", "cpu", "--minutes", "2", "--threads", "1", "--wheels", wheels, "--json", target]
    done = subprocess.run([python[0], SCRIPT, *options], env=python[1], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    outcomes = read(target)
    assert [(one["name"], one["note"]) for one in outcomes.values() if one["status"] == "failed"] == []
    assert outcomes["machine"]["status"] == "done"
    assert outcomes["out of memory"]["note"] == "needs cuda"
    verdicts = [one["value"] for one in outcomes["agreement"]["figures"] if one["name"] == "verdict"]
    assert verdicts == ["agrees"]
    assert [f"## {name}" in target.with_suffix(".md").read_text() for name in outcomes] == [True] * len(outcomes)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_session_that_is_stopped_has_written_what_it_found_until_then(python, tmp_path, how):
    """A figure of the second step is on disk while the step is under way."""
    target = tmp_path / "found.json"
    options = ["--device", "cpu", "--threads", "1", "--json", target, "--scratch", tmp_path]
    with subprocess.Popen([python[0], SCRIPT, *options], env=python[1], stdout=subprocess.DEVNULL) as begun:
        while not target.exists() or not read(target)["agreement"]["figures"]:
            assert begun.poll() is None
            time.sleep(0.05)
        begun.send_signal(how)
    found = read(target)
    assert found["machine"]["status"] == "done"
    assert found["agreement"]["figures"]
    assert found["roofline"]["status"] == "not reached"
    assert "| machine | torch |" in target.with_suffix(".md").read_text()
    if how == signal.SIGTERM:
        assert begun.returncode == 128 + signal.SIGTERM
        assert list(tmp_path.glob("calm-gpu-*")) == [], "its movies are gone"


def read(target):
    return {one["name"]: one for one in json.loads(target.read_text())["outcomes"]}


def test_the_page_for_users_shows_what_would_be_measured(python):
    done = subprocess.run([python[0], SCRIPT, "--dry-run"], env=python[1], capture_output=True, text=True, check=True)
    assert done.stdout in PAGE.read_text()


def test_the_wheels_for_another_python_are_those_of_the_locks():
    listed = subprocess.run(
        [sys.executable, SCRIPT.parent / "gpu" / "wheels.py", "--list"], capture_output=True, text=True, check=True
    ).stdout.split()
    locks = "".join(
        (CONTAINERS / name / "requirements-cpu.lock").read_text() for name in ("n2v", "deepcad", "cellmincer")
    )
    assert [pin for pin in listed if pin.replace("_", "-") not in locks.replace("_", "-")] == []


def test_the_wheels_for_another_python_are_downloaded_and_small(tmp_path):
    """For a Python that is not this one; deepcad comes as its source archive."""
    other = "3.13" if sys.version_info.minor != 13 else "3.12"
    done = subprocess.run(
        [sys.executable, SCRIPT.parent / "gpu" / "wheels.py", "--python", other, "--to", tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    names = [path.name for path in tmp_path.iterdir()]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 50 * 2**20
    assert any(f"cp{other.replace('.', '')}" in name for name in names), "compiled for the other Python"
    assert "deepcad-1.2.0.tar.gz" in names


def test_a_whole_run_with_the_python_of_the_machine_is_trained_predicted_scored_and_marked(python, calm, movie):
    done = calm("run", "n2v@system", "--preset", "smoke", "--input", movie, CALM_SYSTEM_PYTHON=str(python[0]))
    assert done.returncode == 0, done.stderr
    folder = calm.run_folder("n2v-system-movie-smoke")
    record = json.loads((folder / "run.json").read_text())
    assert record["environment"] == "system"
    assert "torch" in record["versions"]
    assert (folder / "predictions" / "train" / "movie.tif").exists()
    assert "not pinned" in (folder / "report.html").read_text()


def test_a_gpu_that_is_not_there_is_told_before_anything_starts(python, calm, movie):
    if gpus():
        pytest.skip("this machine has a GPU")
    arguments = ("run", "n2v@system", "--device", "cuda", "--preset", "smoke", "--input", movie)
    done = calm(*arguments, CALM_SYSTEM_PYTHON=str(python[0]))
    assert done.returncode == 4
    assert "device cuda was asked for" in done.stderr
