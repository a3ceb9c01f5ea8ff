"""Progress of jobs for people: a bar with time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from orchestrator.records.record import Event

_BAR = 24
_PLAIN_EVERY_S = 10.0


class TerminalProgress:
    """Draws one line per job."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._title = ""
        self._first: tuple[float, int] | None = None
        self._plain_due_s = 0.0
        self._line = ""

    def begin(self, title: str) -> None:
        """Start the line of a job."""
        self._title, self._first, self._line = title, None, ""
        self._plain_due_s = time.monotonic()
        self._say(title)

    def event(self, event: Event) -> None:
        """Show a step, or print a message above the bar."""
        if event.message is not None:
            self._clear()
            self._stream.write(f"{self._title}: {event.message}\n")
            return
        self._first = self._first or (event.time_s, event.step)
        self._line = _line(self._title, event, _left_s(self._first, event))
        last = event.step == event.steps
        if self._terminal or last or time.monotonic() >= self._plain_due_s:
            self._plain_due_s = time.monotonic() + _PLAIN_EVERY_S
            self._say(self._line)

    def end(self) -> None:
        """Leave the last line standing."""
        if self._terminal:
            self._stream.write("\n")
        self._stream.flush()

    def _say(self, line: str) -> None:
        if self._terminal:
            self._stream.write(f"\r\x1b[2K{line}")
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def _clear(self) -> None:
        if self._terminal:
            self._stream.write("\r\x1b[2K")


def _left_s(first: tuple[float, int], event: Event) -> float | None:
    """Extrapolate the time left from the steps since the first event."""
    done = event.step - first[1]
    return (event.time_s - first[0]) / done * (event.steps - event.step) if done > 0 else None


def _line(title: str, event: Event, left_s: float | None) -> str:
    step, steps = event.step, event.steps
    share = step / steps if steps else 1.0
    bar = "#" * round(_BAR * share)
    line = f"{title} [{bar:<{_BAR}}] {share:4.0%} {step}/{steps}"
    if event.loss is not None:
        line += f" loss {event.loss:.4g}"
    if left_s is not None and step < steps:
        line += f" {int(left_s // 60)}:{int(left_s % 60):02d} left"
    return line
