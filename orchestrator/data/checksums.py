"""Checksums and checks of input files, remembered by path, size and time: so a finished run is found at once."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from contract.files import write_json
from orchestrator.hold import held

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


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

        def digest() -> str:
            with path.open("rb") as stream:
                return hashlib.file_digest(stream, algorithm).hexdigest()

        return self._once(path, "" if algorithm == "sha256" else algorithm, digest)

    def checked(self, path: Path, what: str, check: Callable[[], None]) -> None:
        """Run a check of a file's content, unless this state of the file has passed it; `what` names the check."""

        def passed() -> str:
            check()
            return "passed"

        self._once(path, what, passed)

    def _once(self, path: Path, what: str, find_out: Callable[[], str]) -> str:
        state = path.stat()
        # A file written again within the clock's resolution keeps its time, so the inode and change time count too.
        name = f"{path} {state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} {state.st_ino} {what}".rstrip()
        if name not in self._known:
            self._known[name] = find_out()
            self._remember()
        return self._known[name]

    def _remembered(self) -> dict[str, str]:
        try:
            known: dict[str, str] = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return known

    def _remember(self) -> None:
        with held(self._path.with_suffix(".lock")):
            self._known = self._remembered() | self._known
            write_json(self._path, self._known)
