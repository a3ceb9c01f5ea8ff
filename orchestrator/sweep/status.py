"""The statuses of tasks: read from the small files that they write, with the progress of what is at work."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import structs

from orchestrator.documents import parse_json, read_json, write_record
from orchestrator.errors import BadInput
from orchestrator.paths import RunFolder
from orchestrator.records.record import Event
from orchestrator.sweep.records import Attempt, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from orchestrator.paths import SweepFolder
    from orchestrator.sweep.records import Entry, State, Sweep

_TAIL_BYTES = 4096  # of events.jsonl, which hold its last lines


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """What the table of a sweep says of a task."""

    task: str
    state: State
    reason: str
    progress: str
    left_s: float | None
    attempts: int
    run: Path | None


class Statuses:
    """The statuses of a sweep; a file is read again only where it has changed."""

    def __init__(self, folder: SweepFolder) -> None:
        self._folder = folder
        self._known: dict[str, tuple[int, Status]] = {}

    def of(self, task: str) -> tuple[Attempt, ...]:
        """Return every attempt of a task, oldest first."""
        path = self._folder.status(task)
        try:
            changed = path.stat().st_mtime_ns
        except FileNotFoundError:
            return ()
        if task not in self._known or self._known[task][0] != changed:
            self._known[task] = changed, read_json(path, Status)
        return self._known[task][1].attempts

    def last(self, tasks: Iterable[str]) -> dict[str, Attempt]:
        """Return the last attempt of each task that has begun."""
        found = ((task, self.of(task)) for task in tasks)
        return {task: attempts[-1] for task, attempts in found if attempts}

    def add(self, task: str, attempt: Attempt) -> None:
        """Write down another attempt."""
        write_record(self._folder.status(task), Status(task=task, attempts=(*self.of(task), attempt)))

    def change(self, task: str, **fields: object) -> Attempt:
        """Change the last attempt."""
        *before, last = self.of(task)
        changed = structs.replace(last, **fields)
        write_record(self._folder.status(task), Status(task=task, attempts=(*before, changed)))
        return changed


def lines_of(sweep: Sweep, statuses: Statuses) -> tuple[Line, ...]:
    """Return a line for each task, in the order of the sweep."""
    return tuple(_line(entry, statuses.of(entry.task.name)) for entry in sweep.entries)


def counts_of(lines: Sequence[Line]) -> str:
    """Say in a line how many tasks are in which state, and when the last one at work may be over."""
    counts = Counter(line.state for line in lines)
    text = ", ".join(f"{count} {state}" for state, count in counts.items())
    left = [line.left_s for line in lines if line.left_s is not None]
    return f"{len(lines)} tasks: {text}" + (f"; those running need {time_text(max(left))} more" if left else "")


def time_text(seconds: float) -> str:
    """Write a time as hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"  # noqa: PLR2004


def _line(entry: Entry, attempts: tuple[Attempt, ...]) -> Line:
    name, last = entry.task.name, attempts[-1] if attempts else None
    run = last.run if last is not None and last.run is not None else entry.run
    state: State = "waiting" if last is None else last.state
    reason = "" if last is None else last.reason
    if run is not None and RunFolder(path=run).record.exists():
        state, reason = "finished", ""
    elif entry.refused:
        state, reason = "failed", entry.refused
    progress, left_s = _progress(last) if state == "running" and last is not None else ("", None)
    return Line(
        task=name,
        state=state,
        reason=reason,
        progress=progress,
        left_s=left_s,
        attempts=len(attempts),
        run=run,
    )


def _progress(attempt: Attempt) -> tuple[str, float | None]:
    """Say how far the job at work is, and extrapolate the time it has left from its first and last step."""
    if attempt.run is None or not attempt.stage:
        return attempt.stage, None
    steps = [event for event in _ends(RunFolder(path=attempt.run).job(attempt.stage) / "events.jsonl") if event.steps]
    if not steps:
        return attempt.stage, None
    first, last = steps[0], steps[-1]
    done = last.step - first.step
    left = (last.time_s - first.time_s) / done * (last.steps - last.step) if done > 0 else None
    late = time.time() - last.time_s
    return f"{attempt.stage} {last.step}/{last.steps}", None if left is None else max(0.0, left - late)


def _ends(path: Path) -> list[Event]:
    """Return the first and the last events of a job."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_TAIL_BYTES)
            stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            tail = stream.read(_TAIL_BYTES)
    except OSError:
        return []
    lines = [*head.splitlines()[:2], *tail.splitlines()[-2:]]
    return [event for line in lines if (event := _event(line, path)) is not None]


def _event(line: bytes, path: Path) -> Event | None:
    try:
        return parse_json(line.decode(errors="replace"), Event, path)
    except BadInput:  # half a line
        return None
