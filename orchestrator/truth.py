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
    """Regions of a movie.

    Parameters
    ----------
    labels : ndarray of shape (Y, X), integer
        0 is background, 1 to R are the regions.
    events : tuple of R ndarrays of shape (E,), int64, or None
        Frames in which each region spikes; None where nobody knows.
    """

    labels: NDArray[np.integer]
    events: tuple[NDArray[np.int64], ...] | None


def read_truth(path: Path, shape: tuple[int, ...]) -> Truth:
    """Read the NPZ of a simulator, or a label image.

    Parameters
    ----------
    path : Path
        NPZ with `labels` (Y, X) and `spikes` (cells, T), or a TIFF of shape (Y, X). Labels may have gaps.
    shape : tuple of int
        (Y, X) of the movie.

    Raises
    ------
    BadInput
        When it holds no labels of whole numbers, or those of another shape.
    """
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
    """Score the traces and events of known regions.

    Parameters
    ----------
    path : Path
        As for `read_truth`.
    target, prediction : Stack
        Open stacks of shape (T, Y, X).

    Returns
    -------
    dict of str to float
        roi_correlation, roi_slope, event_f1 and event_peak; NaN where one is not defined.
    """
    from orchestrator.metrics import RoiTraces, activity  # noqa: PLC0415 - a scored run needs no SciPy

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
