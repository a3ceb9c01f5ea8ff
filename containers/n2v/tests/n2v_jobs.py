"""A small movie with known truth, and jobs on it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
import yaml

from contract.files import write_json
from contract.job import Inputs, Job, to_document
from n2v.tests.forked import begin

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

FOLDER = Path(__file__).parent.parent
ALGORITHM = yaml.safe_load((FOLDER / "algorithm.yaml").read_text())
THREADS = 2
SEED = int(os.environ.get("CALM_TEST_SEED", "7"))  # benchmarks/spread.py trains with others


def clean_movie(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Return discs that flash and decay on a smooth background, float32 grey levels of shape (T, Y, X)."""
    rng = np.random.default_rng(seed)
    frames, rows, columns = shape
    y, x = np.mgrid[:rows, :columns]
    movie = np.full(shape, 200.0) + 40 * np.sin(y / 23 + 1) * np.cos(x / 31)
    for _ in range(rows * columns // 300):
        disc = (y - rng.uniform(0, rows)) ** 2 + (x - rng.uniform(0, columns)) ** 2 < rng.uniform(3, 6) ** 2
        trace = np.convolve(rng.random(frames) < 0.04, np.exp(-np.arange(frames) / 12))[:frames]
        movie += (50 + 60 * trace)[:, None, None] * disc
    return movie.astype(np.float32)


def noisy_movie(clean: np.ndarray, seed: int = 1) -> np.ndarray:
    """Return a movie with Poisson noise of gain 20 and Gaussian noise of 30 grey levels, uint16."""
    rng = np.random.default_rng(seed)
    noisy = 20 * rng.poisson(clean / 20) + rng.normal(0, 30, clean.shape)
    return np.clip(np.rint(noisy), 0, 65535).astype(np.uint16)


def si_psnr_db(clean: np.ndarray, movie: np.ndarray) -> float:
    """Return the scale-invariant PSNR, dB, averaged over frames.

    As `scale_invariant_psnr` of careamics: the movie is shifted and scaled to fit the clean frame best.
    """
    scores = []
    for truth, frame in zip(clean.astype(np.float64), movie.astype(np.float64), strict=True):
        g, p = truth - truth.mean(), frame - frame.mean()
        residual = g - p * (g * p).sum() / (p * p).sum()
        scores.append(10 * np.log10((truth.max() - truth.min()) ** 2 / np.mean(residual**2)))
    return float(np.mean(scores))


def params(**changes: object) -> dict:
    """Return all params of the algorithm: defaults, and what a test changes."""
    defaults = {name: param["default"] for name, param in ALGORITHM["params"].items()}
    assert set(changes) <= set(defaults)
    return defaults | changes


def train_job(folder: Path, stacks: list[Path], val: tuple[Path, ...] = (), **changes: object) -> Job:
    """Return a train job in a folder of its own."""
    (folder / "train").mkdir(parents=True, exist_ok=True)
    return Job(
        folder=folder / "train",
        job="train",
        command="train",
        axes="TYX",
        frame_rate_hz=None,
        inputs=Inputs(train=tuple(stacks), val=val),
        checkpoint=folder / "train" / "checkpoint",
        predictions=folder / "predict" / "predictions",
        params=params(**changes),
        seed=SEED,
        device="cpu",
        threads=THREADS,
        precision="float32",
    )


def predict_job(trained: Job, stacks: list[Path], **changes: object) -> Job:
    """Return the predict job for the checkpoint of a train job."""
    folder = trained.folder.parent / "predict"
    folder.mkdir(exist_ok=True)
    return replace(
        trained,
        folder=folder,
        job="predict",
        command="predict",
        inputs=Inputs(noisy=tuple(stacks)),
        params=trained.params | changes,
    )


def write_stack(path: Path, movie: np.ndarray) -> Path:
    """Write a movie as a TIFF stack."""
    tifffile.imwrite(path, movie, metadata={"axes": "TYX"}, photometric="minisblack")
    return path


def start(job: Job, before: str = "") -> ForkServerProcess:
    """Start the command of an image on a job, in a process of its own; `before` is Python to run first."""
    folder = job.folder / "algorithm"
    folder.mkdir(exist_ok=True)
    write_json(folder / "algorithm.json", ALGORITHM)
    for module in FOLDER.glob("*.py"):
        (folder / module.name).unlink(missing_ok=True)
        (folder / module.name).symlink_to(module)
    write_json(job.path, to_document(job))
    return begin(job.path, job.command, {"ALGORITHM_DIR": str(folder)}, before)
