"""Movies with known truth, and jobs by hand, for the tests of this folder."""

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


def clean_movie(frames=64, size=64, seed=0):
    """Return cells with fast transients on an uneven background: float64 (T, Y, X), about 36 to 400."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    background = 60 * (1 - 0.8 * ((y - size / 2) ** 2 + (x - size / 2) ** 2) / size**2)
    movie = np.repeat(background[None], frames, axis=0)
    for _ in range(size * size // 400):
        centre, radius = rng.uniform(0, size, 2), rng.uniform(3, 6)
        weight = 1 / (1 + np.exp((np.hypot(y - centre[0], x - centre[1]) - radius) / 0.6))
        spikes = (rng.random(frames) < 0.03) * rng.uniform(0.5, 1.5, frames)
        trace = np.convolve(spikes, np.exp(-np.arange(frames) / 6))[:frames] + rng.uniform(0.1, 0.6)
        movie += 150 * trace[:, None, None] * weight
    return movie


def noisy_movie(clean, *, gain, read_noise, offset=0.0, seed=1):
    """Return what a camera sees: `clean` / gain photo-electrons, Gaussian read noise, rounded and clipped."""
    rng = np.random.default_rng(seed)
    grey = gain * rng.poisson(clean / gain) + rng.normal(0, read_noise, clean.shape) + offset
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


def make_job(folder, command, preset, *, inputs, seed=SEED, **overrides):
    """Write the job.json of one command; checkpoint and predictions lie in the folder's parent."""
    document = yaml.safe_load((FOLDER / "algorithm.yaml").read_text())
    params = {name: param["default"] for name, param in document["params"].items()}
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
        params=params | document["presets"][preset] | overrides,
        seed=seed,
        device="cpu",
        threads=1,
        precision="float32",
    )
    write_json(job.path, to_document(job))
    return job


def run_job(job):
    """Run a job as an image does, in a process of its own, and return its result.json."""
    algorithm = job.folder.parent / "algorithm"
    algorithm.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.py"):  # what other folders share is on PYTHONPATH
        if not (algorithm / path.name).exists():
            (algorithm / path.name).symlink_to(path)
    write_json(algorithm / "algorithm.json", yaml.safe_load((FOLDER / "algorithm.yaml").read_text()))
    ended(begin(job.path, job.command, {"ALGORITHM_DIR": str(algorithm)}))
    return json.loads((job.folder / "result.json").read_text())


def train_and_predict(folder, preset, path, **overrides):
    """Train on a movie and predict it; return both results."""
    trained = run_job(make_job(folder / "train", "train", preset, inputs={"train": [path]}, **overrides))
    assert trained["status"] == "ok", trained["error"]
    predicted = run_job(make_job(folder / "predict", "predict", preset, inputs={"noisy": [path]}, **overrides))
    assert predicted["status"] == "ok", predicted["error"]
    return trained, predicted
