"""A movie with known truth, and jobs by hand, for the tests of this folder."""

import json
import os
from pathlib import Path

import numpy as np
import tifffile
import yaml

from contract.files import write_json
from contract.job import Inputs, Job, to_document
from n2v.tests.forked import begin, ended

FOLDER = Path(__file__).parents[1]
SEED = int(os.environ.get("CALM_TEST_SEED", "1"))  # benchmarks/spread.py trains with others
ALGORITHM = yaml.safe_load((FOLDER / "algorithm.yaml").read_text())


def clean_movie(frames=48, size=64, seed=0):
    """Return cells with transients on an uneven background: float64 (T, Y, X), about 40 to 400."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    movie = np.repeat((60 + 20 * np.sin(y / 19) * np.cos(x / 23))[None], frames, axis=0)
    for _ in range(size * size // 400):
        centre, radius = rng.uniform(0, size, 2), rng.uniform(3, 6)
        weight = 1 / (1 + np.exp((np.hypot(y - centre[0], x - centre[1]) - radius) / 0.6))
        trace = np.convolve(rng.random(frames) < 0.02, np.exp(-np.arange(frames) / 10))[:frames]
        movie += 150 * (trace + rng.uniform(0.1, 0.6))[:, None, None] * weight
    return movie


def noisy_movie(clean, seed=1):
    """Return a movie of gain 2, read noise 8 and offset 100, uint16."""
    rng = np.random.default_rng(seed)
    grey = 2 * rng.poisson(clean / 2) + rng.normal(0, 8, clean.shape) + 100
    return np.clip(np.rint(grey), 0, 65535).astype(np.uint16)


def write_movie(path, movie):
    """Write a (T, Y, X) movie and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, movie, photometric="minisblack", metadata={"axes": "TYX"})
    return path


def si_psnr(clean, prediction):
    """Return the mean over frames of the scale-invariant PSNR as careamics defines it, dB."""
    values = []
    for truth, seen in zip(clean.astype(float), prediction.astype(float), strict=True):
        off, other = truth - truth.mean(), seen - seen.mean()
        error = off - (off * other).sum() / (other * other).sum() * other
        values.append(10 * np.log10((off.max() - off.min()) ** 2 / np.mean(error**2)))
    return float(np.mean(values))


def make_job(folder, command, preset, *, inputs, **overrides):
    """Write the job.json of one command; checkpoint and predictions lie in the folder's parent."""
    params = {name: param["default"] for name, param in ALGORITHM["params"].items()}
    folder.mkdir(parents=True, exist_ok=True)
    job = Job(
        folder=folder,
        job="test",
        command=command,
        axes="TYX",
        frame_rate_hz=None,
        inputs=Inputs(**{name: tuple(paths) for name, paths in inputs.items()}),
        checkpoint=folder.parent / "checkpoint",
        predictions=folder.parent / "predictions",
        params=params | ALGORITHM["presets"][preset] | overrides,
        seed=SEED,
        device="cpu",
        threads=1,
        precision="float32",
    )
    write_json(job.path, to_document(job))
    return job


def start(job, before=""):
    """Start a job as an image does, in a process of its own; `before` is Python to run first."""
    algorithm = job.folder.parent / "algorithm"
    algorithm.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.py"):  # what other folders share is on PYTHONPATH
        if not (algorithm / path.name).exists():
            (algorithm / path.name).symlink_to(path)
    write_json(algorithm / "algorithm.json", ALGORITHM)
    return begin(job.path, job.command, {"ALGORITHM_DIR": str(algorithm)}, before)


def run_job(job):
    """Run a job as an image does, and return its result.json."""
    ended(start(job))
    return json.loads((job.folder / "result.json").read_text())


def train_and_predict(folder, preset, path, **overrides):
    """Train on a movie and predict it; return the prediction."""
    for command, inputs in (("train", {"train": [path]}), ("predict", {"noisy": [path]})):
        result = run_job(make_job(folder / command, command, preset, inputs=inputs, **overrides))
        assert result["status"] == "ok", result["error"]
    return tifffile.imread(folder / "predictions" / path.name)


def messages(job_folder):
    """Return the messages of a job."""
    lines = (job_folder / "events.jsonl").read_text().splitlines()
    return [event["message"] for event in map(json.loads, lines) if "message" in event]
