"""What the system says when a disk refuses calm itself: from an `OSError` to one sentence and the next thing to do."""

from __future__ import annotations

import errno
import os
import re
import shutil
from typing import TYPE_CHECKING

from orchestrator.errors import BadInput, CalmError
from orchestrator.paths import existing_parent, free_bytes_at

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_FULL = {errno.ENOSPC: "no space is left on its disk", errno.EDQUOT: "the disk quota of this user is used up"}
_REFUSED = {
    errno.EROFS: "expected a disk that can be written to, got a read-only file system",
    errno.EACCES: "expected the permission to use it, got none",
    errno.EPERM: "expected the permission to use it, got none",
}
_ELSEWHERE = "choose another place with CALM_OUTPUTS, CALM_HOME, CALM_DATA or TMPDIR"
_NO_TEMPORARY = "No usable temporary directory"  # of Python's tempfile, which tries to write to every candidate
_NUMBER = re.compile(r"\[Errno (\d+)\]")  # shutil.copytree gives the errors of its files as text


def disk_error(error: OSError, places: Sequence[Path]) -> CalmError | None:
    """Return the error to show in place of one of the system."""
    number, path = _facts(error)
    if number in _FULL:
        where = f"{path}: {_FULL[number]}" if path else _fullest(_FULL[number], places)
        return CalmError(where, f"Free some, or {_ELSEWHERE}; then give the same command again.")
    if number in _REFUSED and path:
        return BadInput(f"{path}: {_REFUSED[number]}", f"Change it (ls -l, findmnt), or {_ELSEWHERE}.")
    if _NO_TEMPORARY in str(error):
        message = f"{error.strerror}: expected a temporary folder that can be written to, got none"
        return CalmError(message, "Free some space there, or name a folder on another disk with TMPDIR.")
    if path:  # moved, deleted or damaged while the command was at work, or of a kind that was not expected
        message = f"{path}: expected a file or folder that can be used, got: {error.strerror or error}"
        return BadInput(message, "Look at it (ls -l); give the same command again once it is as it should be.")
    return None


def _facts(error: OSError) -> tuple[int | None, str | None]:
    """Return number and path; of the two paths of a copy or a move the one that was written."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        _, target, why = error.args[0][0]
        found = _NUMBER.search(str(why))
        return (int(found.group(1)) if found else None), str(target)
    path = error.filename2 or error.filename
    return error.errno, None if path is None else os.fsdecode(path)


def _fullest(what: str, places: Sequence[Path]) -> str:
    free = {folder: free_bytes_at(folder) for folder in sorted({existing_parent(place) for place in places})}
    folder = min(free, key=lambda one: free[one])
    return f"{folder}: {what}, {free[folder] / 1e6:.1f} MB are free; the least of all places that calm writes to here"
