"""Checksums of input files, remembered by path, size and time, so that a finished run is found at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from contract.files import sha256, write_json

if TYPE_CHECKING:
    from pathlib import Path


class Checksums:
    """SHA-256 of files, computed once for each state of a file.

    Parameters
    ----------
    path : Path
        JSON file to remember them in; may be missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._known: dict[str, str] = json.loads(path.read_text())
        except (OSError, ValueError):
            self._known = {}

    def of(self, path: Path) -> str:
        """Return the SHA-256 of a file as 64 hexadecimal digits."""
        state = path.stat()
        # A file written again within the clock's resolution keeps its time, so the inode and change time count too.
        name = f"{path} {state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} {state.st_ino}"
        if name not in self._known:
            self._known[name] = sha256(path)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._path, self._known)
        return self._known[name]
