"""The command `algorithm describe | train JOB | predict JOB`, the same in every image.

The folder in ALGORITHM_DIR holds `algorithm.json` and `run.py` with `train(job, events)` and `predict(job, events)`.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import platform
import signal
import sys
import traceback
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from contract import CONTRACT_VERSION
from contract.challenge import Places, denoise, is_challenge
from contract.device import tell_idle_gpus
from contract.errors import DiskFull, Interrupted, JobError, JobRefused, OutOfMemory
from contract.events import Events
from contract.job import Job, read_job
from contract.params import check, declared
from contract.repair import without_faults
from contract.result import Ending, write_result
from contract.seeding import seed_everything

if TYPE_CHECKING:
    from types import ModuleType

_USAGE = "usage: algorithm describe | algorithm train JOB | algorithm predict JOB"
_HELP = f"""{{title}}: {{summary}}

{_USAGE}

describe   what this image is, its parameters and its packages, as JSON
train      learn from the movies that a job.json names
predict    denoise the movies that it names

calm writes job.json and starts this command: `calm run {{name}} --input movie.tif`.
Without arguments, movies in /input/images are denoised into /output/images, as challenges have it."""


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    match arguments:
        case ["describe"]:
            print(json.dumps(describe(), indent=2, sort_keys=True))  # noqa: T201 - this command's output
            return 0
        case ["train" | "predict" as command, path]:
            return _run(command, Path(path))
        case [] if is_challenge():
            return _challenge()
        case [] | ["help" | "--help" | "-h"]:
            print(_HELP.format(**_algorithm()))  # noqa: T201 - this command's output
            return 0
        case _:
            sys.stderr.write(_USAGE + "\n")
            return JobRefused.exit_code


def _challenge() -> int:
    """Denoise the movies of a challenge; what goes wrong is one sentence."""
    command = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv[1:])]
    try:
        denoise(Places(), _algorithm(), packages(), command)
    except JobRefused as error:
        sys.stderr.write(f"Error: {error}\n")
        return JobRefused.exit_code
    return 0


def describe() -> dict[str, Any]:
    """Return what this image is: its algorithm.json, the contract version, Python and every package."""
    return _algorithm() | {
        "contract": CONTRACT_VERSION,
        "python": platform.python_version(),
        "packages": packages(),
    }


def packages() -> dict[str, str]:
    """Return name and version of every installed package, sorted by name."""
    found = {dist.metadata["Name"].lower(): dist.version for dist in metadata.distributions()}
    return dict(sorted(found.items()))


def _run(command: str, path: Path) -> int:
    _log_to(path.parent / "log.txt")
    signal.signal(signal.SIGTERM, _interrupt)
    events = Events(path.parent / "events.jsonl")
    job: Job | None = None
    ending = Ending(status="ok")
    try:
        job = read_job(path)
        if job.command != command:
            message = f"{path}: expected a {command} job, got a {job.command} job"
            raise JobRefused(message)
        check(job.params, declared(_algorithm()["params"]))
        seed_everything(job.seed, job.threads)
        tell_idle_gpus(job, events)
        with without_faults(job, events) as given:
            getattr(_load_run(), command)(given, events)
    except BaseException as error:  # noqa: BLE001 - the outermost frame: every ending becomes a result
        traceback.print_exc()
        ending = _ending_of(error)
    write_result(path.parent, job, ending, events, upstream=_algorithm().get("upstream"), versions=packages())
    events.close()
    return ending.exit_code


def _ending_of(error: BaseException) -> Ending:
    message = str(error) or type(error).__name__
    if isinstance(error, JobError):
        return Ending(status=error.status, exit_code=error.exit_code, kind=type(error).__name__, message=message)
    if isinstance(error, KeyboardInterrupt):
        return _ending_of(Interrupted("stopped from outside"))
    if isinstance(error, MemoryError) or _is_out_of_memory(error):
        return _ending_of(OutOfMemory(message))
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return _ending_of(DiskFull(message))
    return Ending(status="failed", exit_code=1, kind=type(error).__name__, message=f"{type(error).__name__}: {message}")


def _is_out_of_memory(error: BaseException) -> bool:
    """Know the errors of torch and of TensorFlow."""
    return type(error).__name__ in {"OutOfMemoryError", "ResourceExhaustedError"} or "can't allocate memory" in str(
        error
    )


def _interrupt(*_: object) -> NoReturn:
    message = "stopped by SIGTERM"
    raise Interrupted(message)


def _log_to(log: Path) -> None:
    """Send stdout and stderr of this process, compiled code included, to a file."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _algorithm_folder() -> Path:
    return Path(os.environ["ALGORITHM_DIR"])


def _algorithm() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((_algorithm_folder() / "algorithm.json").read_text(encoding="utf-8"))
    return document


def _load_run() -> ModuleType:
    folder = _algorithm_folder()
    sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location("run", folder / "run.py")
    if spec is None or spec.loader is None:
        message = f"{folder}: expected a run.py"
        raise JobRefused(message)
    module = importlib.util.module_from_spec(spec)
    sys.modules["run"] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
