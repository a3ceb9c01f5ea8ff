"""Temporary folders: deleted by the command that made them, or, where that was killed, by the next one."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PREFIX = "calm-scratch-"


@contextmanager
def scratch(parent: Path | None = None) -> Iterator[Path]:
    """Give an empty folder until the block ends.

    Parameters
    ----------
    parent : Path, optional
        Where; by default the temporary folder of the system.

    Yields
    ------
    Path
        The folder. A lock beside it is held as long as its owner lives, and tells `sweep` that it is in use.
    """
    from filelock import FileLock  # noqa: PLC0415 - `calm --help` makes no folder

    folder = (parent or Path(tempfile.gettempdir())) / f"{_PREFIX}{os.urandom(6).hex()}"
    lock = folder.with_suffix(".lock")
    with FileLock(lock):
        try:
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            _delete(folder)
            lock.unlink(missing_ok=True)


def sweep(places: Iterable[Path]) -> None:
    """Delete the temporary folders in these places whose owners were killed; what cannot be deleted is left.

    So is what other users made: they may have put links there that lead elsewhere.
    """
    for place in {*places, Path(tempfile.gettempdir())}:
        for lock in [*place.glob(f"{_PREFIX}*.lock")]:
            with suppress(OSError):
                if lock.lstat().st_uid == os.getuid() and not lock.is_symlink():
                    _sweep_one(lock)


def _sweep_one(lock: Path) -> None:
    from filelock import FileLock, Timeout  # noqa: PLC0415 - hardly ever there is one

    with suppress(Timeout), FileLock(lock, timeout=0):
        _delete(lock.with_suffix(""))
        lock.unlink(missing_ok=True)


def _delete(folder: Path) -> None:
    """Delete a folder; what an image makes read-only is made writable first, for users who are not root."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.is_symlink() or not folder.exists():
        return
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o700)
    shutil.rmtree(folder, ignore_errors=True)
