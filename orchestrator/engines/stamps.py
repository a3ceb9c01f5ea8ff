"""Stamps: what files held when they were checked, so that a look at size, times and inode tells whether they still do.

A stamp saves time and proves nothing by itself: what files should hold is known from elsewhere, mostly a lock.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from contract.files import sha256
from orchestrator.documents import parse_json
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


class State(msgspec.Struct, frozen=True, array_like=True):
    """A file as it was when its content was read; the times are in ns. A link has its target in place of a sum."""

    sha256: str
    bytes: int
    mtime_ns: int
    ctime_ns: int  # changes with the content, and no program can set it
    inode: int


def files_below(folder: Path) -> dict[str, Path]:
    """Return every file and link below a folder by its name within it."""
    return {name: folder / name for name in sorted(_names_below(str(folder), ""))}


def _names_below(folder: str, before: str) -> Iterator[str]:
    """Yield the names of files and links; environments have tens of thousands, so none becomes a Path here."""
    with suppress(FileNotFoundError, PermissionError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _names_below(entry.path, f"{before}{entry.name}/")
            else:
                yield before + entry.name


def read_stamp(stamp: Path) -> dict[str, State] | None:
    """Return what a stamp holds; None where there is none, or one that cannot be read."""
    try:
        return parse_json(stamp.read_text(encoding="utf-8"), dict[str, State], stamp)
    except (OSError, UnicodeDecodeError, BadInput):
        return None


def write_stamp(stamp: Path, states: Mapping[str, State]) -> None:
    """Write a stamp; it appears complete or not at all, also where several processes write it at once."""
    stamp.parent.mkdir(parents=True, exist_ok=True)
    part = stamp.with_name(f".{stamp.name}.{os.getpid()}")
    try:
        part.write_bytes(msgspec.json.encode(dict(sorted(states.items()))))
        part.replace(stamp)
    finally:
        part.unlink(missing_ok=True)


def states_of(files: Mapping[str, Path], known: Mapping[str, State]) -> dict[str, State]:
    """Return the state of each file; content is read only where size, times or inode are not those that are known."""
    return {name: _state(path, known.get(name)) for name, path in files.items()}


def sums(stamp: Path, files: Mapping[str, Path]) -> dict[str, str]:
    """Return the SHA-256 of each file, remembered in a stamp."""
    known = read_stamp(stamp) or {}
    found = states_of(files, known)
    if found != known:
        write_stamp(stamp, found)
    return {name: state.sha256 for name, state in found.items()}


def changes(expected: Mapping[str, str], found: Mapping[str, str]) -> Iterator[str]:
    """Say in words of each file whose content is not as expected what is wrong with it, in the order of names."""
    for name in sorted({*expected, *found}):
        if name not in found:
            yield f"{name}: missing"
        elif name not in expected:
            yield f"{name}: extra"
        elif expected[name] != found[name]:
            yield f"{name}: altered; expected sha256 {expected[name][:12]}, got {found[name][:12]}"


def _state(path: Path, known: State | None) -> State:
    status = path.lstat()
    facts = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    if known is not None and facts == (known.bytes, known.mtime_ns, known.ctime_ns, known.inode):
        return known
    content = f"link to {path.readlink()}" if stat.S_ISLNK(status.st_mode) else sha256(path)
    return State(content, *facts)
