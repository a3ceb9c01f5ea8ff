"""The one module that starts programs."""

from __future__ import annotations

import ctypes
import logging
import math
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import AlgorithmFailed, BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_log = logging.getLogger(__name__)
_POLL_S = 0.1
_SHORTEST_S = 0.001
_GRACE_S = 10.0  # time a program gets to write its result after SIGTERM
_TAIL_CHARACTERS = 2000
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None)
# Reads the number of a session, then waits for a second line: where the end of the pipe comes first, its owner is gone.
_GUARD = 'read -r session && { read -r _ || kill -s KILL -- "-$session"; }'


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    watch: Callable[[], None] | None = None,
) -> str:
    """Run a program to its end; whatever it started ends with it, and with this process."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with _started(command, environment=environment, cwd=cwd, **pipes) as process:
        printed, complaints = _communicated(process, watch)
    if process.returncode != 0:
        said = (complaints or printed)[-_TAIL_CHARACTERS:].strip()
        message = f"{' '.join(command[:4])} ...: exit code {process.returncode}: {said}"
        raise AlgorithmFailed(message, "Read the message above; run again with --debug for the whole command.")
    return str(printed)


def _communicated(process: subprocess.Popen[str], watch: Callable[[], None] | None) -> tuple[str, str]:
    while watch is not None:
        try:
            return process.communicate(timeout=_POLL_S)
        except subprocess.TimeoutExpired:
            watch()
    return process.communicate()


def run_watched(
    command: Sequence[str], *, environment: Mapping[str, str], cwd: Path, watch: Callable[[], None]
) -> tuple[int, str]:
    """Run a program in a session of its own, call `watch` while it runs, and leave nothing behind."""
    output = cwd / "launch.log"
    with output.open("wb") as stream:
        pipes = {"stdout": stream, "stderr": subprocess.STDOUT}
        with _started(command, environment=environment, cwd=cwd, **pipes) as process:
            code = _wait(process, watch)
    said = output.read_text(encoding="utf-8", errors="replace")[-_TAIL_CHARACTERS:]
    output.unlink()
    return code, said


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A program that runs beside this one."""

    process: subprocess.Popen[bytes]
    log: Path

    def alive(self) -> bool:
        """Return whether it still runs."""
        return self.process.poll() is None

    def said(self) -> str:
        """Return the tail of what it printed."""
        return (
            self.log.read_text(encoding="utf-8", errors="replace")[-_TAIL_CHARACTERS:].strip()
            if self.log.exists()
            else ""
        )


@contextmanager
def served(command: Sequence[str], *, cwd: Path) -> Iterator[Service]:
    """Run a program in a session of its own, out of reach of Ctrl-C, until the block ends."""
    log = cwd / "service.log"
    with log.open("wb") as stream:
        pipes = {"stdout": stream, "stderr": subprocess.STDOUT}
        with _started(command, environment=None, cwd=cwd, **pipes) as process:
            yield Service(process=process, log=log)


def end_leftovers(arguments: Sequence[str]) -> None:
    """Kill the processes whose command line ends in these arguments, and wait until they are gone."""
    ends = "".join(f"{argument}\0" for argument in arguments)
    while found := [path.parent.name for path in Path("/proc").glob("[0-9]*/cmdline") if _text(path).endswith(ends)]:
        for identifier in found:
            with suppress(ProcessLookupError):
                os.kill(int(identifier), signal.SIGKILL)
        time.sleep(_POLL_S)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # it ended just now
        return ""


@contextmanager
def _started(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None,
    cwd: Path | None,
    **pipes: Any,  # noqa: ANN401 - as subprocess.Popen takes them
) -> Iterator[subprocess.Popen[Any]]:
    """Run a program in a session of its own until the block ends, and end everything that it started.

    A guard outlives this process: should that be killed, the guard reads the end of its pipe and kills the session.
    """
    _log.debug("running %s", " ".join(command))
    with _guard() as guard:
        try:
            process = subprocess.Popen(  # noqa: S603 - a list of arguments, never a shell
                list(command),
                env=None if environment is None else dict(environment),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call, loaded before
                **pipes,
            )
        except FileNotFoundError as error:
            message = f"{error.filename}: expected an installed program, got nothing of that name"
            raise BadInput(message, f"Install {error.filename}, or choose another engine with --engine.") from error
        with process:
            try:
                os.write(guard, f"{process.pid}\n".encode())
                yield process
            finally:
                _stop(process)


@contextmanager
def _guard() -> Iterator[int]:
    """Start a guard and give the end of its pipe to write the number of a session to."""
    with subprocess.Popen(  # noqa: S603 - a list of arguments, and a text of ours
        ["/bin/sh", "-c", _GUARD],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # out of reach of Ctrl-C
        cwd="/",
    ) as guard:
        if guard.stdin is None:
            message = "a process that was started with a pipe has none"
            raise RuntimeError(message)
        yield guard.stdin.fileno()
        os.write(guard.stdin.fileno(), b"done\n")


def _end_with_parent() -> None:
    """Ask Linux to kill this process when the one that started it is killed, see prctl(2); macOS cannot be asked.

    A program with more rights than its caller, as Apptainer's starter, is not killed: see `end_leftovers`.
    """
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait(process: subprocess.Popen[bytes], watch: Callable[[], None]) -> int:
    while not _ended(process, _POLL_S):
        watch()
    watch()
    return process.returncode


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process group: ask, wait, then kill."""
    for number, patience_s in ((signal.SIGTERM, _GRACE_S), (signal.SIGKILL, math.inf)):
        with suppress(ProcessLookupError, PermissionError):  # all gone; not ours
            os.killpg(process.pid, number)
        _ended(process, patience_s)


def _ended(process: subprocess.Popen[bytes], patience_s: float) -> bool:
    """Wait for a program, and return whether it has ended.

    `Popen.wait` takes a lock, and a stop that comes just then leaves it taken: every later wait lasts for ever. A stop
    of calm was seen to hang so on a busy machine.
    """
    deadline_s, pause_s = time.monotonic() + patience_s, _SHORTEST_S
    while process.returncode is None:
        try:
            found, status = os.waitpid(process.pid, os.WNOHANG)
        except ChildProcessError:  # a stop came between its end and the next line
            process.returncode = -signal.SIGTERM
            break
        if found:
            process.returncode = os.waitstatus_to_exitcode(status)
        elif time.monotonic() >= deadline_s:
            return False
        else:
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _POLL_S)
    return True
