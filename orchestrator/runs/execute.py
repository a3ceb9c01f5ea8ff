"""Run a plan: start its jobs in order, follow their events, and write the record last."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from filelock import FileLock, Timeout

from contract.files import sha256, write_json
from contract.job import to_document
from orchestrator import errors
from orchestrator.documents import parse_json, read_json, write_sealed
from orchestrator.domain import Launch
from orchestrator.engines.failures import NO_SPACE_HINT, Evidence, diagnose, diagnose_words
from orchestrator.paths import refusal_of
from orchestrator.records import Event, Result
from orchestrator.run import Run, read_run
from orchestrator.runs.near import near
from orchestrator.runs.record import record_of
from orchestrator.runs.training import equal_training

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from contract.job import Job
    from orchestrator.domain import Exit
    from orchestrator.engines import Engine
    from orchestrator.paths import RunFolder
    from orchestrator.runs.plan import Plan

    Start = Callable[[Launch, Callable[[], None]], Exit]  # runs a job to its end and calls back all the while

_MEMORY_SHARE = 0.9  # of the machine, where the user sets no limit: the machine itself must live on
_LOG_TAIL_CHARACTERS = 4000
_RESULT = "result.json"
# Classes of errors as result.json names them: that of a full disk, and those whose words alone tell the fault, as
# torch and CUDA raise them. Any other message may hold a path of the user, whatever words that is made of.
_DISK_FULL = "DiskFull"
_PLAIN_ERRORS = ("AssertionError", "AcceleratorError", "InternalError", "RuntimeError")
_PASSED_ON = (
    "ATEN_CPU_CAPABILITY",  # the instructions of the processor that torch may use, and those of oneDNN: what an older
    "ONEDNN_MAX_CPU_ISA",  # processor would compute
    "CUDA_VISIBLE_DEVICES",  # the scheduler's choice of GPU
)


class Progress(Protocol):
    """Who is told how a job goes; the command line draws bars with it."""

    def begin(self, title: str) -> None:
        """Tell that a job starts."""

    def event(self, event: Event) -> None:
        """Pass on one event of the job."""

    def end(self) -> None:
        """Tell that the job is over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """A finished run."""

    run: Run
    reused: bool

    def sentence(self) -> str:
        """Say where the run is and, where it was found, which engine made it: that need not be the one asked for."""
        engine = self.run.record.engine
        if not self.reused:
            return f"Finished: {self.run.folder.path}"
        return f"Found: {self.run.folder.path}\nIt was made by engine {engine.name} {engine.version}."


def finished(plan: Plan) -> Outcome | None:
    """Return the run of a plan if it was finished before, compared with its record.

    Raises
    ------
    BadInput
        When its files are not those that it made.
    """
    if not plan.folder.record.exists():
        return None
    run = read_run(plan.folder.path)
    if run.record.key != plan.key:
        message = f"{plan.folder.path}: expected the run {plan.key}, got the record of {run.record.key}"
        raise errors.BadInput(message, "Delete the folder; the same command makes the run again.")
    run.check()
    return Outcome(run=run, reused=True)


def execute(
    plan: Plan,
    engine: Engine,
    progress: Progress,
    memory_bytes: int | None = None,
    copies: Path | None = None,
) -> Outcome:
    """Run every job of a plan that has not ended well yet.

    Parameters
    ----------
    plan : Plan
        What to run. An unfinished run in its folder is resumed.
    engine : Engine
        Where; the image must be built.
    progress : Progress
        Who is told.
    memory_bytes : int, optional
        Memory limit; by default 90 % of the machine.
    copies : Path, optional
        Folder on a disk of this node; jobs read copies of their inputs there.

    Returns
    -------
    Outcome
        The finished run.

    Raises
    ------
    CalmError
        The class says how a job ended; everything written so far is kept, so the same command resumes.
    """
    began = time.time()
    limit = _limit(memory_bytes)
    with _at_work(plan, progress):
        there = finished(plan)
        if there is not None:  # another process made it while this one waited
            return there
        equal = equal_training(plan)
        taken = plan.trained or equal
        if taken is not None:
            _adopt(taken, plan.folder)
        results = {}
        for job in plan.jobs():
            results[job.folder.name] = _run_job(plan, job, engine.run, progress, limit, copies)
        record = record_of(
            plan,
            engine,
            results,
            began_s=began,
            memory_bytes=limit,
            training_of=None if equal is None else equal.folder.path,
        )
        record = write_sealed(plan.folder.record, record)
    return Outcome(run=Run(folder=plan.folder, record=record), reused=False)


def begin_training(
    plan: Plan, engine: Engine, progress: Progress, end: Callable[[], None], memory_bytes: int | None = None
) -> None:
    """Run the training of a plan until it ends or `end`, which is called all the time, raises.

    Raises
    ------
    CalmError
        As `execute`; everything written so far is kept.
    """

    def run(launch: Launch, watch: Callable[[], None]) -> Exit:
        def both() -> None:
            watch()
            end()

        return engine.run(launch, both)

    with _at_work(plan, progress):
        _run_job(plan, plan.job("train"), run, progress, _limit(memory_bytes), None)


def _limit(memory_bytes: int | None) -> int:
    return memory_bytes or int(_MEMORY_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


@contextmanager
def _at_work(plan: Plan, progress: Progress) -> Iterator[None]:
    """Hold the folder of a run; where the run is refused, nothing is left that was not there before."""
    fresh = [folder for folder in (plan.folder.path, *plan.folder.path.parents) if not folder.exists()]
    with _nothing_left_when_refused(fresh), _held(plan, progress):
        try:
            yield
        except errors.BadInput:
            if fresh:
                shutil.rmtree(plan.folder.path)
            raise


def _adopt(trained: Run, folder: RunFolder) -> None:
    """Put the checkpoint and the finished train job of another run into a run folder, in place of a training.

    Raises
    ------
    BadInput
        When a file of that checkpoint is missing or has other bytes than when it was made.
    """
    theirs = trained.folder
    for file in trained.record.jobs["train"].files:
        path = theirs.path / file.path
        if not path.is_file() or sha256(path) != file.sha256:
            message = f"{path}: expected the checkpoint as its training left it, got {_other(path)}"
            raise errors.BadInput(message, "Put the file back, or train again with `calm run`.")
    for source, target in ((theirs.checkpoint, folder.checkpoint), (theirs.job("train"), folder.job("train"))):
        if source.exists() and not target.exists():
            part = target.with_name(f"{target.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(source, part)
            part.replace(target)


def _other(path: Path) -> str:
    return "other bytes" if path.exists() else "no such file"


def _run_job(  # noqa: PLR0913, PLR0917 - what, where, who is told, within which bounds
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
        raise _ending(job, result, ended, limit)
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
            message = f"{path}: expected the file as its job made it ({job.folder / _RESULT}), got {_other(path)}"
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


def _ending(job: Job, result: Result | None, ended: Exit, limit: int) -> errors.CalmError:
    """Turn how a job ended into an error with a hint."""
    log = job.folder / "log.txt"
    if result is None or result.error is None:
        return _crash(job, ended, limit, log)
    message = result.error.message
    kinds: dict[str, tuple[type[errors.CalmError], str]] = {
        "refused": (errors.BadInput, "Change the movie or the parameter that the message names."),
        "out of memory": (errors.OutOfMemory, "Raise --memory, or lower the batch or block size of the algorithm."),
        "device missing": (errors.DeviceMissing, "`calm doctor` checks the GPU; or use --device cpu."),
        "did not converge": (
            errors.DidNotConverge,
            f"The evidence is in {_evidence(job)}; try another preset or seed.",
        ),
        "interrupted": (errors.Interrupted, "The same command goes on where this one stopped."),
    }
    if result.error.kind == _DISK_FULL:
        return errors.AlgorithmFailed(f"{job.job}: {message}: no space left on a disk it wrote to", NO_SPACE_HINT)
    failure = diagnose_words(message) if result.error.kind in _PLAIN_ERRORS else None
    if failure is not None:  # libraries raise plain errors for a missing GPU or an old driver
        return failure.error(failure.sentence, f"{failure.hint} The log is {log}.")
    kind, hint = kinds.get(result.status, (errors.AlgorithmFailed, f"The whole story is in {log}."))
    return kind(message, hint)


def _evidence(job: Job) -> Path:
    """Return the figures that an algorithm judged its network by; its log where it wrote none."""
    figures = job.checkpoint / "evidence.json"
    return figures if figures.exists() else job.folder / "log.txt"


def _crash(job: Job, ended: Exit, limit: int, log: Path) -> errors.CalmError:
    refused = refusal_of(job.folder)
    if refused is not None:  # whatever else is seen may come of it
        message = f"{job.job}: ended without a result, and {job.folder} cannot be written to: {refused}"
        return errors.AlgorithmFailed(
            message, "Free some space there; the same command goes on where this one stopped."
        )
    tail = log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL_CHARACTERS:] if log.exists() else ""
    failure = diagnose(
        Evidence(
            job=job.job,
            code=ended.code,
            memory_limit_hit=ended.out_of_memory,
            host_out_of_memory=ended.host_out_of_memory,
            words=ended.output,
            log=tail,
            memory_bytes=limit,
        )
    )
    return failure.error(failure.sentence, f"{failure.hint} The log is {log}.")


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


@contextmanager
def _nothing_left_when_refused(fresh: Sequence[Path]) -> Iterator[None]:
    """Delete the folders that were made for a refused run, the innermost first; others may use them by now."""
    try:
        yield
    except errors.BadInput:
        for folder in fresh:
            with suppress(OSError):
                folder.rmdir()
        raise


def _acquire(lock: FileLock, plan: Plan, progress: Progress) -> None:
    try:
        lock.acquire()
    except Timeout:
        if plan.algorithm.kind != "control":
            raise
        progress.begin(f"{plan.algorithm.name}: waiting for another process that runs it on the same movies")
        lock.acquire(timeout=-1)
        progress.end()


@contextmanager
def _held(plan: Plan, progress: Progress) -> Iterator[None]:
    """Hold a run folder against other processes; the hold dies with its owner. A control takes seconds: it waits."""
    folder = plan.folder
    lock = FileLock(folder.lock, timeout=0)
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        _acquire(lock, plan, progress)
        folder.path.mkdir(parents=True, exist_ok=True)  # its last owner may have been refused, and have deleted it
    except Timeout as error:
        message = f"{folder.path}: expected a free run folder, got one in use by another process"
        raise errors.BadInput(message, "Wait for that run to end; the same command will then reuse it.") from error
    except OSError as error:
        message = f"{folder.path}: expected a folder that can be written to, got {error.strerror}"
        raise errors.BadInput(message, "Choose another folder with CALM_OUTPUTS.") from error
    try:
        yield
    finally:
        folder.lock.unlink(missing_ok=True)
        lock.release()
