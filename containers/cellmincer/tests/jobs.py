"""Jobs run in this process, for tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import tifffile

import run
from contract.events import Events
from contract.job import Inputs, Job
from contract.seeding import seed_everything

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

THREADS = 1
SEED = int(os.environ.get("CALM_TEST_SEED", "1"))  # benchmarks/spread.py trains with others


def job_of(folder: Path, command: str, settings: dict[str, object], **inputs: tuple[Path, ...]) -> Job:
    """Return a job whose checkpoint lies beside its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return Job(
        folder=folder, job="test", command=command, axes="TYX", frame_rate_hz=30.0, inputs=Inputs(**inputs),
        checkpoint=folder.parent / "checkpoint", predictions=folder / "predictions", params=settings, seed=SEED,
        device="cpu", threads=THREADS, precision="float32",
    )  # fmt: skip


def run_here(job: Job) -> list[str]:
    """Run a job and return the lines of its events."""
    path = job.folder / "events.jsonl"
    events = Events(path)
    seed_everything(job.seed, job.threads)
    try:
        getattr(run, job.command)(job, events)
    finally:
        events.close()
    return path.read_text().splitlines()


def train_and_predict(
    folder: Path, movie: np.ndarray, settings: dict[str, object]
) -> tuple[np.ndarray, np.ndarray, str]:
    """Return prediction, trend-only control and all events of a movie."""
    path = folder / "movie.tif"
    tifffile.imwrite(path, movie, metadata={"axes": "TYX"})
    events = run_here(job_of(folder / "train", "train", settings, train=(path,)))
    predict = job_of(folder / "predict", "predict", settings, noisy=(path,))
    events += run_here(predict)
    control = folder / "predict" / "extra" / "trend_only" / "predictions" / "movie.tif"
    return tifffile.imread(predict.predictions / "movie.tif"), tifffile.imread(control), "\n".join(events)
