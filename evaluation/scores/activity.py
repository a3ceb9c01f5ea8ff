"""Scores of the traces and events of known regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.records.truth import read_truth

if TYPE_CHECKING:
    from pathlib import Path

    from contract.stacks import Stack

_BLOCK_FRAMES = 32


def activity_of(path: Path, target: Stack, prediction: Stack) -> dict[str, float]:
    """Score the traces and events of known regions."""
    from evaluation.metrics import RoiTraces, activity  # noqa: PLC0415 - a scored run needs no SciPy

    truth = read_truth(path, target.shape)
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
