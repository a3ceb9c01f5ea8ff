"""What tests of several runs share: finished runs on a movie with a target, written without running anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from run_records import JOB, file_of, write_run

from contract.files import sha256
from orchestrator.algorithms.folders import in_environment, load_algorithms, resolve_params
from orchestrator.paths import RunFolder
from orchestrator.reproduce.published import load_experiments

CONTAINERS = Path(__file__).parents[3] / "containers"
MOVIE = "movie.tif"


@pytest.fixture(scope="module")
def containers():
    return CONTAINERS


@pytest.fixture(scope="module")
def experiments():
    return load_experiments(CONTAINERS)


@pytest.fixture(scope="module")
def algorithms():
    return load_algorithms(CONTAINERS)


@pytest.fixture
def run_of(tmp_path, algorithms):
    """Return a function that writes a finished run on a movie whose target is ten times brighter."""
    generator = np.random.default_rng(0)
    scene = generator.random((16, 16)) * (1 + np.arange(12) % 4)[:, None, None]
    movies = {"noisy": tmp_path / "low.tif", "target": tmp_path / "high.tif"}
    tifffile.imwrite(movies["target"], (1000 * scene).astype(np.uint16))
    tifffile.imwrite(movies["noisy"], (100 * scene + 5 * generator.random(scene.shape)).astype(np.uint16))

    def write(name, key, params=None, environment="current", **more):
        """Write the run of an algorithm; `changed`, and `controls` by name, make their frames of its prediction."""
        algorithm = in_environment(algorithms[name], environment)
        folder = RunFolder(path=tmp_path / "outputs" / f"{name}-mouseneu_lp-default" / key)
        folder.predictions("val").mkdir(parents=True)
        prediction = (100 * scene + 1).astype(np.float32)
        tifffile.imwrite(folder.predictions("val") / MOVIE, more.pop("changed", np.copy)(prediction))
        for control, made in more.pop("controls", {}).items():
            path = folder.control(control, f"val/{MOVIE}")
            path.parent.mkdir(parents=True)
            tifffile.imwrite(path, made(prediction))
        below = folder.path / "predictions"
        files = [file_of(path, below) for path in sorted(below.rglob("*.tif"))]
        noisy = more.pop("noisy", movies["noisy"])
        movie = {**movies, "noisy": noisy, "truth": None, "shape": [12, 16, 16], "dtype": "uint16"}
        return write_run(
            folder.path,
            algorithm=name,
            environment=environment,
            experiment=folder.path.parent.name,
            frame_rate_hz=30.0,
            jobs={"train": JOB, "predict-val": {**JOB, "files": files}},
            movies={f"val/{MOVIE}": movie},
            params=resolve_params(algorithm, "default", {}) if params is None else params,
            **{"dataset": "mouseneu_lp", "inputs": {f"val/{MOVIE}": sha256(noisy)}, **more},
        )

    return write
