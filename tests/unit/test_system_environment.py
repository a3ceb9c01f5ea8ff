"""The Python of a machine as an environment: it runs, nothing takes it for a pinned one, and containers refuse it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.algorithms.folders import in_environment, load_algorithm
from orchestrator.domain import SYSTEM
from orchestrator.engines import system
from orchestrator.engines.image import image_of
from orchestrator.errors import BadInput
from orchestrator.paths import layout

MEAN = Path(__file__).parents[2] / "containers" / "mean"


@pytest.fixture(autouse=True)
def _this_python(monkeypatch):
    monkeypatch.setenv("CALM_SYSTEM_PYTHON", sys.executable)


def test_a_run_with_the_python_of_the_machine_is_marked_wherever_it_is_shown(calm, movie):
    done = calm("run", "mean@system", "--input", movie)
    assert done.returncode == 0, done.stderr
    assert "mean@system" in done.stdout
    folder = calm.run_folder("mean-system-movie-default")
    record = json.loads((folder / "run.json").read_text())
    assert record["environment"] == "system"
    assert record["engine"]["name"] == "venv"
    assert record["image"]["engine_identifier"] == sys.executable
    assert "click" in record["versions"], "the packages of that Python, not those of a lock"
    assert "not pinned" in (folder / "report.html").read_text()
    assert calm("run", "mean@system", "--input", movie).stdout.startswith("Found")


def test_a_container_engine_is_refused_with_what_works(calm, movie):
    done = calm("run", "mean@system", "--input", movie, "--engine", "docker")
    assert done.returncode == 2
    assert "mean@system: expected engine venv" in done.stderr


def test_other_packages_are_another_key(monkeypatch):
    algorithm = in_environment(load_algorithm(MEAN), SYSTEM)
    first = image_of(algorithm, "cuda", layout())
    monkeypatch.setattr("orchestrator.engines.image.packages", lambda _: "torch 2.99")
    other = image_of(algorithm, "cuda", layout())
    assert first.digest != other.digest
    assert first.context != other.context
    assert replace(first, digest=other.digest, context=other.context) == other


def test_a_machine_without_the_named_python_is_told_so(monkeypatch):
    monkeypatch.setenv("CALM_SYSTEM_PYTHON", "no-python-of-this-name")
    with pytest.raises(BadInput, match="expected a Python, got nothing at no-python-of-this-name"):
        system.system_python()
