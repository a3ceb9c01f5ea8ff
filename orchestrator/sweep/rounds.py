"""Snakemake, started for the tasks that are missing, watched, and stopped where it does not see that all are over."""

from __future__ import annotations

import re
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.documents import write_record
from orchestrator.engines import process
from orchestrator.sweep.records import Round

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.paths import SweepFolder
    from orchestrator.sweep.records import Resources

# How Snakemake tells of a task that it could not submit: a message, perhaps the whole call, and what the task makes.
_REFUSAL = re.compile(
    r"^    message: (.*?)(?:\n    sbatch call:|For further error details).*?^    output: done/(\S+)$",
    re.DOTALL | re.MULTILINE,
)
_PATIENCE_S = 20.0  # after the last task is over; Snakemake asks a scheduler every 10 s at first, every 180 s later


@dataclass(kw_only=True, slots=True)
class Started:
    """One start of Snakemake.

    Parameters
    ----------
    tasks : frozenset of str
        What it is to bring to its end.
    """

    tasks: frozenset[str]
    _service: process.Service
    _stack: ExitStack
    _over_since_s: float | None = field(default=None)

    def is_at_work(self, *, tasks_over: bool) -> bool:
        """Say whether it still runs; one whose tasks have all been over for a while is stopped."""
        if not self._service.alive():
            self.stop()
            return False
        if not tasks_over:
            self._over_since_s = None
            return True
        self._over_since_s = self._over_since_s or time.monotonic()
        if time.monotonic() - self._over_since_s < _PATIENCE_S:
            return True
        self.stop()
        return False

    def stop(self) -> None:
        """Stop it; what it left to a scheduler goes on."""
        self._stack.close()

    def said(self) -> str:
        """Return the last that it printed."""
        return self._service.said()

    def refusals(self) -> dict[str, str]:
        """Return why tasks could not be submitted, by task, in its words."""
        printed = self._service.log.read_text(encoding="utf-8", errors="replace") if self._service.log.exists() else ""
        return {task: " ".join(words.split()) for words, task in _REFUSAL.findall(printed)}


def start(
    command: Sequence[str], folder: SweepFolder, tasks: Mapping[str, Resources], after: Mapping[str, Sequence[str]]
) -> Started:
    """Start Snakemake for some tasks, in a folder of its own, so that no start waits for the lock of another."""
    number = 1 + len(list(folder.rounds.glob("*")))
    place = folder.rounds / f"{number:04d}"
    place.mkdir(parents=True)
    folder.logs.mkdir(exist_ok=True)
    write_record(
        place / "round.json",
        Round(
            calm=str(Path(sys.executable).with_name("calm")),
            name=folder.path.name,
            logs=folder.logs,
            tasks=dict(tasks),
            after={task: tuple(after.get(task, ())) for task in tasks},
        ),
    )
    stack = ExitStack()
    service = stack.enter_context(process.served([*command, "--directory", str(place)], cwd=place))
    return Started(tasks=frozenset(tasks), _service=service, _stack=stack)
