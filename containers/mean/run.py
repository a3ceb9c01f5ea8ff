"""Control: running mean over time, and on request those of several windows beside it, from one reading."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from contract.figures import Figure, Scored, write_figures
from contract.files import atomic
from contract.predictions import open_prediction, predictions_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.events import Events
    from contract.job import Job
    from contract.predictions import Prediction
    from contract.stacks import Stack

_FRAMES = 16  # frames predicted at a time; with the longest window, all that is in memory
_CURVE = (3, 7, 15, 31)  # frames
_DRAWN = 4  # frames of each movie, spread over it, that the curve is drawn from


def train(job: Job, events: Events) -> None:
    """Learn nothing; leave an empty checkpoint."""
    job.checkpoint.mkdir(parents=True, exist_ok=True)
    events.step(1, 1)


def predict(job: Job, events: Events) -> None:
    """Average the frames within half a window of each frame; fewer at the ends, none left out."""
    windows = _CURVE[: job.params["curve"]]
    drawn = []
    for stack, prediction in predictions_of(job, events):
        with ExitStack() as opened:
            beside = [opened.enter_context(_beside(job, stack, window)) for window in windows]
            outputs = dict(zip(windows, beside, strict=True))
            kept = _write(stack, prediction, job.params["window"], outputs)
        if windows:
            drawn.append(_scored(job, stack, windows, kept))
    if drawn:
        title, note = "Longer running means", "A method is worth its time where it lies above this curve."
        write_figures(job, [Figure(title=title, note=note, x="window (frames)", scored=drawn)])


def _write(stack: Stack, prediction: Prediction, window: int, outputs: dict[int, Prediction]) -> dict[int, np.ndarray]:
    """Write all running means of a movie and return some frames of those beside the prediction."""
    length, kept = stack.shape[0], {one: [] for one in outputs}
    chosen = set(_chosen(length).tolist())
    for start, first, frames in _blocks(stack, max(window, *outputs, 1)):
        numbers = range(start, min(start + _FRAMES, length))
        prediction.write(_means(frames, first, length, numbers, window))
        for one, output in outputs.items():
            means = _means(frames, first, length, numbers, one)
            output.write(means)
            kept[one] += [means[number - start].astype(np.float32) for number in numbers if number in chosen]
    return {one: np.stack(frames) for one, frames in kept.items()}


def _blocks(stack: Stack, window: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield the first frame to predict, the first frame read and the frames, with half a window on both sides."""
    length, half = stack.shape[0], window // 2
    for start in range(0, length, _FRAMES):
        first, last = max(0, start - half), min(length, start + _FRAMES + half)
        yield start, first, stack.frames(first, last).astype(np.float64)


def _means(frames: np.ndarray, first: int, length: int, numbers: range, window: int) -> np.ndarray:
    half = window // 2
    return np.stack(
        [frames[max(0, t - half) - first : min(length, t + half + 1) - first].mean(axis=0) for t in numbers]
    )


def _chosen(length: int) -> np.ndarray:
    return np.unique(np.linspace(0, length - 1, _DRAWN + 2)[1:-1].astype(int))


def _beside(job: Job, stack: Stack, window: int) -> Prediction:
    folder = job.predictions.parent / "extra" / f"mean_{window}" / job.predictions.name
    folder.mkdir(parents=True, exist_ok=True)
    return open_prediction(folder / stack.path.name, stack, job.output_dtype)


def _scored(job: Job, stack: Stack, windows: tuple[int, ...], kept: dict[int, np.ndarray]) -> Scored:
    """Write the chosen frames of all windows, (windows, n, Y, X), for calm to score against the target."""
    folder = job.predictions.parent / "extra" / "curve" / job.predictions.name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stack.path.name}.npy"
    with atomic(path) as part, part.open("wb") as stream:
        np.save(stream, np.stack([kept[window] for window in windows]))
    file = os.path.relpath(path, job.folder)
    return Scored(movie=stack.path.name, file=file, at=windows, frames=_chosen(stack.shape[0]).tolist())
