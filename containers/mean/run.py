"""Control: running mean over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from contract.predictions import predictions_of

if TYPE_CHECKING:
    from contract.events import Events
    from contract.job import Job

_FRAMES = 16  # frames predicted at a time; with the window, all that is in memory


def train(job: Job, events: Events) -> None:
    """Learn nothing; leave an empty checkpoint."""
    job.checkpoint.mkdir(parents=True, exist_ok=True)
    events.step(1, 1)


def predict(job: Job, events: Events) -> None:
    """Average the frames within half a window of each frame; fewer at the ends, none left out."""
    window = job.params["window"]
    half = window // 2
    for stack, prediction in predictions_of(job, events):
        length = stack.shape[0]
        for start in range(0, length, _FRAMES):
            stop = min(start + _FRAMES, length)
            first, last = max(0, start - half), min(length, stop + half)
            frames = stack.frames(first, last).astype(np.float64)
            means = [
                frames[max(0, t - half) - first : min(length, t + half + 1) - first].mean(axis=0)
                for t in range(start, stop)
            ]
            prediction.write(np.stack(means))
