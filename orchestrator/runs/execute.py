"""Run a plan: start its jobs in order, follow their events, and write the record last."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from msgspec import structs

from contract.files import sha256
from orchestrator import errors
from orchestrator.documents import write_sealed
from orchestrator.records.run import Run, read_run
from orchestrator.runs.job import found_at, run_job
from orchestrator.runs.record import movies_of, record_of
from orchestrator.runs.training import equal_training

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from orchestrator.domain import Exit, Launch
    from orchestrator.engines import Engine
    from orchestrator.engines.progress import Progress
    from orchestrator.paths import RunFolder
    from orchestrator.runs.plan import Plan

_MEMORY_SHARE = 0.9  # of the machine, where the user sets no limit: the machine itself must live on


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


def found(plan: Plan) -> Outcome | None:
    """Return the run of a plan as `finished` does; its record names movies that were moved where they lie now.

    The key holds their content, so these are the movies that the run was made with, wherever they are.
    """
    outcome = finished(plan)
    if outcome is None:
        return None
    record, movies = outcome.run.record, movies_of(plan)
    if all(movies[name].places() == movie.places() for name, movie in record.movies.items()):
        return outcome
    moved = write_sealed(plan.folder.record, structs.replace(record, movies=movies))
    return replace(outcome, run=Run(folder=plan.folder, record=moved))


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
            results[job.folder.name] = run_job(plan, job, engine.run, progress, limit, copies)
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
        run_job(plan, plan.job("train"), run, progress, _limit(memory_bytes), None)


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
    for file in trained.record.training.files:
        path = theirs.path / file.path
        if not path.is_file() or sha256(path) != file.sha256:
            message = f"{path}: expected the checkpoint as its training left it, got {found_at(path)}"
            raise errors.BadInput(message, "Put the file back, or train again with `calm run`.")
    for source, target in ((theirs.checkpoint, folder.checkpoint), (theirs.job("train"), folder.job("train"))):
        if source.exists() and not target.exists():
            part = target.with_name(f"{target.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(source, part)
            part.replace(target)


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
