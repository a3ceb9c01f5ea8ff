"""A look around on a compute node before a large sweep: engine, images, GPU, folders; the internet is not asked for."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.algorithms.folders import algorithm_named
from orchestrator.engines import engine_named
from orchestrator.engines.hardware import check_device
from orchestrator.engines.sif import sif_path
from orchestrator.errors import CalmError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.runs.session import Session
    from orchestrator.sweep.records import Sweep, Task

_READ_BYTES = 2**20


def findings(sweep: Sweep, session: Session) -> tuple[str, ...]:
    """Return what tasks of a sweep would fail for on this node, one sentence each."""
    tasks = {(one.task.algorithm, one.task.device): one.task for one in sweep.entries if not one.refused}
    return (*_folders(session, sweep), *(words for task in tasks.values() for words in _image(task, session)))


def _folders(session: Session, sweep: Sweep) -> Iterator[str]:
    copies = [] if sweep.place.copies is None else [sweep.place.copies]
    for folder in (session.layout.outputs, Path(tempfile.gettempdir()), *copies):
        try:
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".calm-probe-"):
                pass
        except OSError as error:
            yield f"{folder}: expected a folder that can be written to on {os.uname().nodename}, got {error.strerror}"


def _image(task: Task, session: Session) -> Iterator[str]:
    """Ask for the engine, the image, and where it is a file, for its beginning."""
    try:
        check_device(task.device)
        image = session.image(algorithm_named(session.layout.containers, task.algorithm), task.device)
        name = session.engine_name
        found = None if name == "auto" else engine_named(name, session.layout).find(image)
        if name != "auto" and found is None:
            yield f"{task.algorithm}: expected its image on engine {name} here, got none; is CALM_HOME shared?"
        if name == "apptainer" and found is not None:
            with sif_path(session.layout.sifs, image).open("rb") as stream:
                stream.read(_READ_BYTES)
    except CalmError as error:
        yield f"{task.algorithm}: {error.message}"
    except OSError as error:
        yield f"{task.algorithm}: expected a SIF that can be read, got {error}"
