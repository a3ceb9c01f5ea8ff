"""What is known about the regions of a movie beside its target: where they are, and when something happens there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from contract.stacks import open_stack
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from contract.stacks import Stack

_BLOCK_FRAMES = 32


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Truth:
    """Regions of a movie."""

    labels: NDArray[np.integer]
    events: tuple[NDArray[np.int64], ...] | None


def read_truth(path: Path, shape: tuple[int, ...]) -> Truth:
    """Read the NPZ of a simulator, or a label image."""
    spikes = None
    if path.suffix == ".npz":
        with np.load(path) as truth:
            labels, spikes = truth["labels"], truth["spikes"]
    else:
        with open_stack(path, "YX") as stack:
            labels = stack.frames(0, 1)[0]
    if labels.shape != shape or labels.dtype.kind not in "iu" or not (labels > 0).any():
        message = (
            f"{path}: expected labels as whole numbers of shape {shape}, 0 being background, "
            f"got {labels.dtype} of shape {labels.shape}"
        )
        raise BadInput(message, "They must fit the movie they belong to.")
    numbers = np.unique(labels[labels > 0])
    fresh = np.where(labels > 0, np.searchsorted(numbers, labels) + 1, 0)
    events = None if spikes is None else tuple(np.flatnonzero(spikes[number - 1]) for number in numbers)
    return Truth(labels=fresh, events=events)


def activity_of(path: Path, target: Stack, prediction: Stack) -> dict[str, float]:
    """Score the traces and events of known regions."""
    from evaluation.metrics import RoiTraces, activity  # noqa: PLC0415 - a scored run needs no SciPy

    truth = read_truth(path, target.shape[1:])
    theirs, ours = RoiTraces(truth.labels), RoiTraces(truth.labels)
    for stack, regions in ((target, theirs), (prediction, ours)):
        for block in stack.blocks(_BLOCK_FRAMES):
            regions.feed(block)
    found = activity(theirs.traces(), ours.traces(), truth.events)
    return {
        "roi_correlation": found.correlation,
        "roi_slope": found.slope,
        "event_f1": found.event_f1,
        "event_peak": found.event_peak,
    }
