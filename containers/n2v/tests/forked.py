"""Jobs in processes of their own, as an image runs them, which need not import torch or TensorFlow again.

They are children of a process that has imported the code of the folder under test, and computed nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from typing import TYPE_CHECKING

from contract.__main__ import main

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess
    from pathlib import Path

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["run", "careamics_unet", "torch._dynamo"])  # those that there are


def begin(job: Path, command: str, environment: dict[str, str], before: str = "") -> ForkServerProcess:
    """Start the command of an image on a job.json with more variables; `before` is Python to run first."""
    process = _SERVER.Process(target=_do, args=(str(job), command, environment, before))
    process.start()
    return process


def ended(process: ForkServerProcess) -> int:
    """Wait for a job and return its exit code."""
    process.join()
    return process.exitcode


def _do(job: str, command: str, environment: dict[str, str], before: str) -> None:
    os.environ.update(environment)
    exec(before)  # noqa: S102 - of the tests
    sys.exit(main([command, job]))
