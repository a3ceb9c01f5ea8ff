"""Control: the prediction is the input. Copy this folder to add an algorithm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contract.predictions import predictions_of

if TYPE_CHECKING:
    from contract.events import Events
    from contract.job import Job

_FRAMES = 16  # frames in memory at a time


def train(job: Job, events: Events) -> None:
    """Learn nothing; leave an empty checkpoint."""
    job.checkpoint.mkdir(parents=True, exist_ok=True)
    events.step(1, 1)


def predict(job: Job, events: Events) -> None:
    """Write every frame as it was read."""
    for stack, prediction in predictions_of(job, events):
        for frames in stack.blocks(_FRAMES):
            prediction.write(frames)
