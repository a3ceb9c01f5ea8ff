"""How long a training takes: it is begun, timed over its first steps and stopped, and goes on from there later."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.runs.execute import begin_training

if TYPE_CHECKING:
    from orchestrator.engines import Engine
    from orchestrator.records.record import Event
    from orchestrator.runs.plan import Plan

_ENOUGH_S = 5.0  # of steps, after the first that is told of
_LEAST_STEPS = 2
_PATIENCE_S = 120.0  # until there are that many; data may have to be prepared first


class _Enough(Exception):
    """The training was watched long enough."""


@dataclass(kw_only=True, slots=True)
class _Watch:
    """Listens to a training, and ends it when its pace is known or is not to be known soon."""

    deadline_s: float
    steps: list[Event] = field(default_factory=list)

    def begin(self, title: str) -> None:
        """Say nothing: the table that follows tells."""

    def event(self, event: Event) -> None:
        """Keep the steps."""
        if event.message is None:
            self.steps.append(event)

    def end(self) -> None:
        """Say nothing."""

    def end_if_enough(self) -> None:
        """End the training; those of a few steps end by themselves before."""
        if time.monotonic() >= self.deadline_s or (self.steps and self._timed_s() >= _ENOUGH_S and self.done()):
            raise _Enough

    def done(self) -> int:
        """Return the steps that were timed."""
        return self.steps[-1].step - self.steps[0].step if self.steps else 0

    def seconds(self) -> float | None:
        """Return how long all steps take; None where too few were seen."""
        if self.done() < _LEAST_STEPS:
            return None
        return self._timed_s() / self.done() * self.steps[-1].steps

    def _timed_s(self) -> float:
        return self.steps[-1].time_s - self.steps[0].time_s


def training_seconds(plan: Plan, engine: Engine, memory_bytes: int | None = None) -> float | None:
    """Time the first steps of the training of a plan; what it did is kept, and the run goes on from there.

    Returns
    -------
    float or None
        Seconds of the whole training; None where it showed too few steps in two minutes.

    Raises
    ------
    CalmError
        When it cannot be started, or ends otherwise than well.
    """
    watch = _Watch(deadline_s=time.monotonic() + _PATIENCE_S)
    with suppress(_Enough):
        begin_training(plan, engine, watch, watch.end_if_enough, memory_bytes)
    return watch.seconds()
