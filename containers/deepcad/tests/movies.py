"""A small noisy movie with known truth, and jobs on movies."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

import run
from contract.events import Events
from contract.job import Inputs, Job

if TYPE_CHECKING:
    from pathlib import Path

SEED = int(os.environ.get("CALM_TEST_SEED", "3"))  # benchmarks/spread.py trains with others
PARAMS: dict[str, Any] = {
    "mode": "exact", "patch_t": 8, "patch_y": 8, "patch_x": 8, "overlap_factor": 0.25, "test_overlap_factor": 0.6,
    "train_datasets_size": 40, "select_img_num": 1000, "n_epochs": 2, "batch_size": 1, "fmap": 4, "lr": 1e-3,
    "b1": 0.5, "b2": 0.999, "memory_gib": 1.0,
    "detector": "named", "detector_gaps": "refuse", "detector_back": "predicted",
}  # fmt: skip


def clean_movie(shape: tuple[int, int, int], seed: int = 7) -> np.ndarray:
    """Return round cells that flash and decay within few frames on a dim background, float32, photons."""
    rng = np.random.default_rng(seed)
    frames, height, width = shape
    y, x = np.mgrid[:height, :width]
    movie = np.full(shape, 2.0)
    for _ in range(max(2, height * width // 220)):
        distance = np.hypot(y - rng.uniform(0, height), x - rng.uniform(0, width))
        spikes = rng.random(frames) < 0.05
        trace = np.convolve(spikes, np.exp(-np.arange(frames) / 6.0))[:frames]
        movie += (1 + 8 * trace)[:, None, None] * np.clip(4.5 - distance, 0, 1)
    return movie.astype(np.float32)


def noisy_movie(clean: np.ndarray, seed: int = 8) -> np.ndarray:
    """Return Poisson noise of the photons, 10 grey levels each, on an offset of 100 with read noise 5; uint16."""
    rng = np.random.default_rng(seed)
    grey = 100 + 10 * rng.poisson(clean) + rng.normal(0, 5, clean.shape)
    return np.clip(np.rint(grey), 0, 65535).astype(np.uint16)


def expected_grey(clean: np.ndarray) -> np.ndarray:
    """Return the mean of `noisy_movie` over all noise."""
    return 100 + 10 * clean


def psnr_db(truth: np.ndarray, image: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio with the range of the truth as peak."""
    error = np.mean((truth.astype(np.float64) - image) ** 2)
    return float(10 * np.log10(np.ptp(truth).astype(np.float64) ** 2 / error))


def make_job(
    folder: Path, command: str, movies: list[Path], params: dict[str, Any] | None = None, **fields: Any
) -> Job:
    """Return a job that trains on or predicts some movies; its checkpoint is shared by all jobs beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    fields = {"axes": "TYX", "seed": SEED, "device": "cpu", "threads": 1, "precision": "float32"} | fields
    inputs = {"train": tuple(movies)} if command == "train" else {"noisy": tuple(movies)}
    return Job(
        folder=folder, job=folder.name, command=command, frame_rate_hz=None,
        inputs=fields.pop("inputs", Inputs(**inputs)),
        checkpoint=fields.pop("checkpoint", folder.parent / "checkpoint"),
        predictions=folder / "predictions", params=PARAMS | (params or {}), **fields,
    )  # fmt: skip


def do(job: Job) -> None:
    """Run a job in this process, as the contract's command would in its own."""
    with closing(Events(job.folder / "events.jsonl")) as events:
        getattr(run, job.command)(job, events)


def write(path: Path, movie: np.ndarray) -> Path:
    """Write a movie as TIFF and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, movie, photometric="minisblack", metadata={"axes": "TYX"})
    return path
