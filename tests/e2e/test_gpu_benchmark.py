"""The script that measures a card, on the CPU with tiny sizes: every step is there, and none fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from folder_environment import CONTAINERS, python_of, search_path

from orchestrator.algorithms import load_algorithm
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
    outcomes = {one["name"]: one for one in json.loads(target.read_text())["outcomes"]}
    assert [(one["name"], one["note"]) for one in outcomes.values() if one["status"] == "failed"] == []
    assert outcomes["machine"]["status"] == "done"
    assert outcomes["out of memory"]["note"] == "needs cuda"
    assert {figure["note"] for figure in outcomes["agreement"]["figures"]} <= {"agrees"}
    assert [f"## {name}" in target.with_suffix(".md").read_text() for name in outcomes] == [True] * len(outcomes)


def test_a_cut_off_session_has_written_what_it_found_until_then(python, tmp_path):
    target = tmp_path / "found.json"
    options = ["--device", "cpu", "--minutes", "0.2", "--threads", "1", "--json", target]
    subprocess.run([python[0], SCRIPT, *options], env=python[1], capture_output=True, check=True)
    found = [(one["name"], one["status"]) for one in json.loads(target.read_text())["outcomes"]]
    assert found[0][0] == "machine"
    assert found[0][1] in {"done", "cut off"}
    assert found[-1][1] in {"not reached", "skipped"}


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
