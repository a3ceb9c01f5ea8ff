"""How far something is that takes a while, told to whoever draws bars of it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from orchestrator.records.record import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_EVERY_S = 0.5  # counting files takes a while itself


class Progress(Protocol):
    """Who is told how jobs, downloads and installs go; the command line draws bars with it."""

    def begin(self, title: str) -> None:
        """Tell that something starts."""

    def event(self, event: Event) -> None:
        """Pass on one event of it."""

    def end(self) -> None:
        """Tell that it is over."""


class Silent:
    """A progress that nobody looks at."""

    def begin(self, title: str) -> None:
        """Say nothing."""

    def event(self, event: Event) -> None:
        """Say nothing."""

    def end(self) -> None:
        """Say nothing."""


SILENT = Silent()


@contextmanager
def counted(progress: Progress, title: str, steps: int) -> Iterator[Callable[[Callable[[], int]], None]]:
    """Draw a bar of so many steps while a block runs.

    Yields
    ------
    callable
        To be called as often as one likes with what counts the steps that are done; it is asked now and then.
    """
    due_s, done = time.monotonic(), 0

    def look(count: Callable[[], int]) -> None:
        nonlocal due_s, done
        if time.monotonic() >= due_s:
            due_s = time.monotonic() + _EVERY_S
            done = max(done, min(count(), steps))  # files that were counted may be moved on
            progress.event(Event(step=done, steps=steps, time_s=time.time()))

    progress.begin(title)
    try:
        yield look
        progress.event(Event(step=steps, steps=steps, time_s=time.time()))
    finally:
        progress.end()
