"""What ends a task before its scheduler does, so that it can say why: its time limit, its memory limit, a signal."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from orchestrator.sweep.records import State

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_EVERY_S = 0.3
_GRACE_SHARE = 0.2  # of the time limit that is left, for a job to save what it has
_GRACE_S = 120.0  # and no more than this
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Guard:
    """Watches a task from a thread beside it.

    Parameters
    ----------
    end_s : float or None
        When the scheduler will end the task, seconds since 1970.
    memory_bytes : int
        What its processes may take together.
    """

    def __init__(self, end_s: float | None, memory_bytes: int) -> None:
        self.state: State | None = None
        self.reason = ""
        self._stop_s = None if end_s is None else end_s - min(_GRACE_S, _GRACE_SHARE * (end_s - time.time()))
        self._memory_bytes = memory_bytes
        self._over = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Interrupt the block once, as Ctrl-C does: at a limit, or at the first signal of a scheduler."""
        before = {number: signal.signal(number, self._interrupt) for number in _SIGNALS}
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _watch(self) -> None:
        while not self._over.wait(_EVERY_S):
            taken = tree_bytes(os.getpid())
            if taken > self._memory_bytes:
                self.state = "out of memory"
                self.reason = f"it took {taken / 2**20:.0f} MiB of {self._memory_bytes / 2**20:.0f} MiB"
            elif self._stop_s is not None and time.time() > self._stop_s:
                self.state, self.reason = "walltime", "stopped shortly before its time limit; it goes on where it was"
            if self.state is not None:
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def _interrupt(self, number: int, _: FrameType | None) -> None:
        for one in _SIGNALS:
            signal.signal(one, signal.SIG_IGN)
        if self.state is None:
            self.state, self.reason = "cancelled", f"stopped by {signal.Signals(number).name}"
        raise KeyboardInterrupt


def tree_bytes(process: int) -> int:
    """Return the resident memory of a process and all that it started."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
        children = [path.read_text(encoding="ascii") for path in Path(f"/proc/{process}/task").glob("*/children")]
    except (OSError, IndexError):  # it ended just now
        return 0
    return pages * _PAGE_BYTES + sum(tree_bytes(int(one)) for text in children for one in text.split())
