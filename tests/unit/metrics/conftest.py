"""Movies with known truth, real data, and the scores of the reference libraries."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tifffile

_HERE = Path(__file__).parent
_DATA = Path(os.environ.get("CALM_TEST_DATA") or _HERE.parents[3] / "shared" / "data")


def _load(name):
    spec = importlib.util.spec_from_file_location(name, _HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _real_file(name):
    path = _DATA / name
    if not path.is_file():
        pytest.skip(f"real data: {path} is not there; set CALM_TEST_DATA to the folder with it")
    return path


@pytest.fixture
def real_movie():
    """Read one of the real movies as an array, or skip with the reason."""
    return lambda name: tifffile.imread(_real_file(name))


@pytest.fixture
def real_regions():
    """Read hand-labelled regions, or skip with the reason."""
    return lambda name: json.loads(_real_file(name).read_text())


@pytest.fixture
def published_csv():
    """Return the path of a CSV published with the study, or skip with the reason."""
    return lambda name: _real_file(f"published/{name}")


@pytest.fixture(scope="session")
def reference_python():
    """Python of the environment with the reference libraries; never skipped on CI."""
    try:
        return _load("reference_environment").reference_python()
    except subprocess.CalledProcessError as error:
        reason = f"the reference libraries cannot be installed: {error.stderr.strip()[-500:]}"
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture
def reference(reference_python, tmp_path):
    """Score movies with scikit-image, careamics and microssim."""

    def score(cases):
        source, destination = tmp_path / "cases.npz", tmp_path / "scores.json"
        np.savez(source, **{f"{name}/{key}": value for name, case in cases.items() for key, value in case.items()})
        command = [reference_python, _HERE / "reference_scores.py", source, destination]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(destination.read_text())

    return score


@pytest.fixture
def movies():
    """Simulate a target and a noisy movie of shape (T, Y, X), float64, on a camera offset, reproducible."""

    def simulate(frames=12, height=40, width=53, seed=3):
        generator = np.random.default_rng(seed)
        y, x = np.mgrid[:height, :width]
        scene = 200 * np.exp(-((y - height / 2) ** 2 + (x - width / 3) ** 2) / 90)
        activity = 1 + np.sin(np.arange(frames) / 3)[:, None, None]
        target = 500 + scene * activity + 20 * np.cos(x / 4)
        return target, target + generator.normal(0, 15, target.shape)

    return simulate
