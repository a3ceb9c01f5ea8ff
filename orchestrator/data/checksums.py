"""Checksums and checks of input files, remembered by path, size and time: so a finished run is found at once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from filelock import FileLock

from orchestrator.documents import Sealed, read_sealed, write_sealed
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


class Memory(Sealed, frozen=True, kw_only=True):
    """checksums.json: what was found out, by what it is of."""

    known: dict[str, str]


class Checksums:
    """What is known of files, found out once for each state of a file; several processes may use one memory.

    Parameters
    ----------
    path : Path
        JSON file to remember them in; may be missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = self._remembered()

    def of(self, path: Path, algorithm: str = "sha256") -> str:
        """Return the checksum of a file in hexadecimal digits; `algorithm` is sha256 or md5."""
        what = "" if algorithm == "sha256" else algorithm
        return self.found(_state(path, what), lambda: _digest(path, algorithm))

    def of_all(self, paths: Sequence[Path]) -> tuple[str, ...]:
        """Return the SHA-256 of many files, remembered in one go."""
        states = {path: _state(path, "") for path in paths}
        fresh = {name: _digest(path, "sha256") for path, name in states.items() if name not in self._known}
        if fresh:
            self._known |= fresh
            self._remember()
        return tuple(self._known[states[path]] for path in paths)

    def about(self, path: Path, what: str, find_out: Callable[[], str]) -> str:
        """Return what was found out of a file as it is now; find it out where it is not known."""
        return self.found(_state(path, what), find_out)

    def found(self, what: str, find_out: Callable[[], str]) -> str:
        """Return what was found out of a content, which `what` names by its hash; find it out where it is not known."""
        if what not in self._known:
            self._known[what] = find_out()
            self._remember()
        return self._known[what]

    def _remembered(self) -> dict[str, str]:
        try:
            return read_sealed(self._path, Memory).known
        except BadInput:  # what cannot be believed is found out again
            return {}

    def _remember(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._path.with_suffix(".lock")):
            self._known = self._remembered() | self._known
            write_sealed(self._path, Memory(known=self._known))


def _state(path: Path, what: str) -> str:
    """Name a state of a file, and what is known of it."""
    state = path.stat()
    # A file written again within the clock's resolution keeps its time, so the inode and change time count too.
    return f"{path} {state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} {state.st_ino} {what}".rstrip()


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()
