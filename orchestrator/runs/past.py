"""What finished runs took, so that others can be forecast; every algorithm's runs are read once."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from orchestrator.records.run import runs_in

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.records.record import JobRecord, Record
    from orchestrator.runs.plan import Plan


class Past:
    """The finished runs among the outputs.

    Parameters
    ----------
    outputs : Path
        Folder of runs.
    """

    def __init__(self, outputs: Path) -> None:
        self._outputs = outputs
        self._known: dict[str, tuple[Record, ...]] = {}

    def seconds(self, plan: Plan, *, trains: bool = True) -> tuple[float, float] | None:
        """Take the times of finished runs with the same parameters and device, whatever the size of their movies.

        Prediction takes as long as there are pixels. Training does so where it counts epochs, and does not depend on
        them where it counts steps, so the two bound it.
        """
        pixels = sum(facts.pixels for facts in plan.facts.values())
        bounds = [_bounds(one.jobs, pixels / _pixels(one), trains=trains) for one in self._alike(plan)]
        if not bounds:
            return None
        return statistics.median(least for least, _ in bounds), statistics.median(most for _, most in bounds)

    def memory_bytes(self, plan: Plan) -> int | None:
        """Return the most memory that a job of such runs took, in proportion where the frames were smaller."""
        area = largest_frame(plan)
        peaks = [
            max(job.peak_memory_bytes for job in one.jobs.values()) * max(1.0, area / _area(one))
            for one in self._alike(plan)
        ]
        return int(max(peaks)) if peaks else None

    def _alike(self, plan: Plan) -> list[Record]:
        wanted = dict(plan.params), plan.algorithm.environment, plan.settings.device
        return [
            one
            for one in self._of(f"{plan.algorithm.folder_name}-*")
            if (one.params, one.environment, one.device.asked) == wanted
        ]

    def _of(self, pattern: str) -> tuple[Record, ...]:
        if pattern not in self._known:
            self._known[pattern] = tuple(run.record for run in runs_in(self._outputs, pattern))
        return self._known[pattern]


def largest_frame(plan: Plan) -> int:
    """Return the pixels of the largest frame of a plan."""
    return max(math.prod(facts.shape[1:]) for facts in plan.facts.values())


def _bounds(jobs: Mapping[str, JobRecord], ratio: float, *, trains: bool) -> tuple[float, float]:
    train = jobs["train"].seconds if trains else 0.0
    predict = ratio * math.fsum(job.seconds for name, job in jobs.items() if name != "train")
    return min(train, ratio * train) + predict, max(train, ratio * train) + predict


def _pixels(record: Record) -> int:
    return sum(math.prod(movie.shape) for movie in record.movies.values())


def _area(record: Record) -> int:
    return max(math.prod(movie.shape[1:]) for movie in record.movies.values())
