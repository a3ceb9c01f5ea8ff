"""Files that a user asks for, at places of their own: nothing is overwritten that calm did not write there itself."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock

from contract.files import sha256, write_json
from orchestrator.documents import read_json
from orchestrator.errors import BadInput
from orchestrator.paths import check_writable, existing_parent, folder_for
from orchestrator.scratch import scratch, sweep

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_FOREIGN_HINT = "Choose another name, or move that file away."


def check_targets(targets: Sequence[Path], written: Path) -> None:
    """Refuse places that are no new file and no file that calm wrote there and nobody has changed since.

    Parameters
    ----------
    targets : sequence of Path
        Where files shall lie; a folder that does not exist is made later.
    written : Path
        The memory of what calm wrote.

    Raises
    ------
    BadInput
        With the first place that cannot be used.
    """
    known = _known(written)
    for index, target in enumerate(targets):
        if target in targets[:index]:
            message = f"{target}: expected one file for each movie, got the same name for two"
            raise BadInput(message, "Rename one of the movies, or give them to two commands.")
        _check(target, known)
    for folder in {existing_parent(target.parent) for target in targets}:
        check_writable(folder)


@contextmanager
def delivering(target: Path, written: Path) -> Iterator[Path]:
    """Give a temporary file to write to, then put it in its place and remember that it is calm's."""
    check_targets([target], written)
    with folder_for(target):
        sweep([target.parent])  # one that was killed before, in a folder that no other command knows
        with scratch(target.parent) as made:
            part = made / target.name
            yield part
            with part.open("rb") as stream:
                os.fsync(stream.fileno())
            digest = sha256(part)
            part.replace(target)
    with FileLock(written.with_suffix(".lock")):
        write_json(written, _known(written) | {str(target): digest})


def deliver(source: Path, target: Path, written: Path) -> None:
    """Copy a file of a run to a place of the user."""
    with delivering(target, written) as part:
        shutil.copyfile(source, part)


def _check(target: Path, known: dict[str, str]) -> None:
    blocked = next((one for one in target.parents if one.exists() and not one.is_dir()), None)
    if blocked is not None:
        message = f"{target}: expected a place in a folder, got the file {blocked} above it"
        raise BadInput(message, "Name a folder, or one that can be made.")
    if target.exists() and not target.is_file():
        message = f"{target}: expected the name of a file, got {'a folder' if target.is_dir() else 'a device'}"
        raise BadInput(message, "Name a file, which may not exist yet.")
    if target.is_symlink() or (target.exists() and known.get(str(target)) != sha256(target)):
        message = f"{target}: expected no file, or one as calm wrote it, got another one"
        raise BadInput(message, _FOREIGN_HINT)


def _known(written: Path) -> dict[str, str]:
    try:
        return read_json(written, dict[str, str])
    except BadInput:  # nothing is known to be calm's then, and nothing is overwritten
        return {}
