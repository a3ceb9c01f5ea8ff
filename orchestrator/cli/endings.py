"""How a command ends that is stopped, by Ctrl-C or by a scheduler: one sentence, a hint and exit code 130, anywhere."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

_STOPS = (signal.SIGINT, signal.SIGTERM)
_CODE = 130
_WORDS = "Error: stopped from outside, by Ctrl-C or SIGTERM\nHint: The same command goes on where this one stopped.\n"


@contextmanager
def stopped_at_once() -> Iterator[None]:
    """End this process on a stop, while modules are loaded: nothing has begun that would have to be ended."""
    before = {number: signal.signal(number, _end) for number in _STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_raises() -> None:
    """Let a stop from now on raise KeyboardInterrupt, so that whatever runs is ended on the way out.

    Python puts the default back while it ends, which would kill a command whose work is done.
    """
    for number in _STOPS:
        signal.signal(number, signal.default_int_handler)
    atexit.unregister(_ignore_stops)
    atexit.register(_ignore_stops)


def say_stopped() -> NoReturn:
    """Say that the command was stopped, and exit; a further stop can no longer disturb that."""
    _ignore_stops()
    sys.stderr.write(f"\n{_WORDS}" if sys.stderr.isatty() else _WORDS)
    sys.exit(_CODE)


def _ignore_stops() -> None:
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)


def _end(*_: object) -> NoReturn:
    os.write(sys.stderr.fileno(), _WORDS.encode())
    os._exit(_CODE)
