"""Inputs of a job on a disk of the node that it runs on, where many nodes would read one shared disk."""

from __future__ import annotations

import errno
import shutil
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from contract.job import Inputs
from orchestrator.errors import BadInput
from orchestrator.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from contract.job import Job


@contextmanager
def near(job: Job, folder: Path | None) -> Iterator[Job]:
    """Give a job that reads copies of its inputs below a folder, deleted with the block; without a folder, the job.

    Raises
    ------
    BadInput
        When the copies cannot be made there.
    """
    if folder is None:
        yield job
        return
    with ExitStack() as held:
        try:
            if not folder.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, "no such folder")
            inputs = _copied(job.inputs, held.enter_context(scratch(folder)))
        except OSError as error:
            why = "no space for them" if error.errno == errno.ENOSPC else error.strerror
            message = f"{folder}: expected a disk of this node for copies of the inputs, got {why}"
            raise BadInput(message, "Name another folder with --scratch, or leave it out.") from error
        yield replace(job, inputs=inputs)


def _copied(inputs: Inputs, folder: Path) -> Inputs:
    """Copy every file once, each into a folder of its own, as two may have one name; they sort as the originals do."""
    copies: dict[Path, Path] = {}
    for number, file in enumerate(inputs.files):
        copies[file] = folder / f"{number:06d}" / file.name
        copies[file].parent.mkdir()
        shutil.copyfile(file, copies[file])
    roles = {role: tuple(copies[file] for file in getattr(inputs, role)) for role in Inputs.__dataclass_fields__}
    return Inputs(**roles)
