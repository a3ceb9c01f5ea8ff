"""Control: truncated singular value decomposition in overlapping blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from contract.predictions import predictions_of
from low_rank import blocks_of, decompose

if TYPE_CHECKING:
    from contract.events import Events
    from contract.job import Job


def train(job: Job, events: Events) -> None:
    """Learn nothing; leave an empty checkpoint."""
    job.checkpoint.mkdir(parents=True, exist_ok=True)
    events.step(1, 1)


def predict(job: Job, events: Events) -> None:
    """Keep of every block of pixels what stands out of the noise over the whole movie."""
    for stack, prediction in predictions_of(job, events):
        low_rank = decompose(stack, stack.memmap(job.folder), job.params["block"])
        ranks = [block.directions.shape[1] for block in low_rank.blocks]
        events.message(f"{stack.path.name}: {np.median(ranks):.0f} components of a block kept, at most {max(ranks)}")
        for frames in blocks_of(stack):
            prediction.write(low_rank.denoised(frames))
