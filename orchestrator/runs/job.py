"""One job of a run: started on an engine where it has not ended well yet, and followed to its end."""

from __future__ import annotations

import os
import shlex
import time
from typing import TYPE_CHECKING

from contract.files import sha256, write_json
from contract.job import to_document
from orchestrator import errors
from orchestrator.documents import parse_json, read_json
from orchestrator.domain import Launch
from orchestrator.records.record import Event, Result
from orchestrator.runs.endings import ending_of
from orchestrator.runs.near import near

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from contract.job import Job
    from orchestrator.domain import Exit
    from orchestrator.engines.progress import Progress
    from orchestrator.runs.plan import Plan

    Start = Callable[[Launch, Callable[[], None]], Exit]  # runs a job to its end and calls back all the while

_RESULT = "result.json"
_PASSED_ON = (
    "ATEN_CPU_CAPABILITY",  # the instructions of the processor that torch may use, and those of oneDNN: what an older
    "ONEDNN_MAX_CPU_ISA",  # processor would compute
    "CUDA_VISIBLE_DEVICES",  # the scheduler's choice of GPU
)


def run_job(  # noqa: PLR0913, PLR0917 - what, where, who is told, within which bounds
    plan: Plan, job: Job, run: Start, progress: Progress, limit: int, copies: Path | None
) -> Result:
    """Return the result of a job that has ended well, now or before."""
    done = _result(job)
    if done is not None and done.status == "ok":
        _check_made(job, done)
        return done
    with near(job, copies) as given:
        return _started(plan, given, run, progress, limit)


def _started(plan: Plan, job: Job, run: Start, progress: Progress, limit: int) -> Result:
    job.folder.mkdir(parents=True, exist_ok=True)
    for name in (_RESULT, "events.jsonl"):
        (job.folder / name).unlink(missing_ok=True)
    write_json(job.path, to_document(job))
    tail = Tail(job.folder / "events.jsonl", progress)
    progress.begin(f"{plan.algorithm.name}: {job.folder.name}")
    try:
        ended = run(_launch(plan, job, limit), tail.read)
    except KeyboardInterrupt as error:
        message = f"{plan.folder.path}: stopped by the user"
        raise errors.Interrupted(message, "The same command goes on where this one stopped.") from error
    finally:
        progress.end()
    result = _written(job)
    if result is None or result.error is not None:
        raise ending_of(job, result, ended, limit)
    return result


def _check_made(job: Job, result: Result) -> None:
    """Refuse to go on from a finished job whose files were changed: its training or prediction cannot be believed.

    Raises
    ------
    BadInput
        With the first such file, and the command that mends it.
    """
    made = job.checkpoint if job.command == "train" else job.predictions
    for file in result.files:
        path = made.parent / file.path
        if not path.is_file() or path.stat().st_size != file.bytes or sha256(path) != file.sha256:
            message = f"{path}: expected the file as its job made it ({job.folder / _RESULT}), got {found_at(path)}"
            parts = shlex.join(str(one) for one in (job.folder, made))
            raise errors.BadInput(message, f"rm -r {parts} deletes that part; the same command makes it again.")


def _launch(plan: Plan, job: Job, limit: int) -> Launch:
    threads = str(job.threads)
    environment = {
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "LC_ALL": "C.UTF-8",
        "MKL_NUM_THREADS": threads,
        "OMP_NUM_THREADS": threads,
        "OMP_WAIT_POLICY": "PASSIVE",  # spinning threads slow each other down tenfold on a busy machine
        "OPENBLAS_NUM_THREADS": threads,
        "PYTHONHASHSEED": "0",
        "TZ": "UTC",
    }
    environment |= {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return Launch(
        image=plan.image,
        arguments=(job.command, str(job.path)),
        read_only=job.inputs.files,
        writable=plan.folder.path,
        environment=environment,
        device=job.device,
        memory_bytes=limit,
    )


def _result(job: Job) -> Result | None:
    """Return what a job wrote last; None where it has not ended."""
    path = job.folder / _RESULT
    hint = f"Delete {job.folder}; the same command makes that part of the run again."
    return read_json(path, Result, hint=hint) if path.exists() else None


def _written(job: Job) -> Result | None:
    """Return the result of a job that has just ended; one that cannot be read is a fault of its image."""
    try:
        return _result(job)
    except errors.BadInput as error:
        raise errors.AlgorithmFailed(error.message, f"The whole story is in {job.folder / 'log.txt'}.") from error


def found_at(path: Path) -> str:
    """Say what is found in the place of a file that should have other bytes."""
    return "other bytes" if path.exists() else "no such file"


class Tail:
    """Follows the events of a job from the first line on."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self._path = path
        self._progress = progress
        self._offset = 0

    def read(self) -> None:
        """Pass on every complete line written since the last call."""
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._offset)
                data = stream.read()
        except FileNotFoundError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            self._progress.event(self._event(line.decode(errors="replace")))

    def _event(self, line: str) -> Event:
        try:
            return parse_json(line, Event, self._path)
        except errors.BadInput as error:  # a line that cannot be shown is no reason to end a job
            return Event(message=error.message, time_s=time.time())
