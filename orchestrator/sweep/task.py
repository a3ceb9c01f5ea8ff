"""One task where it runs: its run made and scored, and its status written by itself however it ends."""

from __future__ import annotations

import os
import socket
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from contract.device import visible_gpus
from orchestrator import errors
from orchestrator.documents import read_json
from orchestrator.records.run import read_run
from orchestrator.sweep.executors import end_of_job_s
from orchestrator.sweep.guard import Guard
from orchestrator.sweep.probe import findings
from orchestrator.sweep.records import PROBE, Attempt, Sweep
from orchestrator.sweep.status import Statuses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from orchestrator.engines.progress import Progress
    from orchestrator.paths import SweepFolder
    from orchestrator.records.record import Event
    from orchestrator.records.run import Run
    from orchestrator.runs.session import Session
    from orchestrator.sweep.plan import Planner
    from orchestrator.sweep.records import Entry, Resources, State, Task

_JOB_NUMBERS = ("SLURM_JOB_ID", "LSB_JOBID", "PBS_JOBID", "JOB_ID")
_WORKFLOW_MB = 300  # of the two processes of Snakemake beside a task, which are none of its children
_WAIT_S = 1.0
_STATES: dict[type[errors.CalmError], State] = {
    errors.OutOfMemory: "out of memory",
    errors.DidNotConverge: "did not converge",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What a task works with.

    Parameters
    ----------
    folder : SweepFolder
        Its sweep.
    session : Session
        Runs jobs; its engine is that of the sweep.
    planner : Planner
        Plans the run.
    score : callable
        Scores and checks a finished run.
    """

    folder: SweepFolder
    session: Session
    planner: Planner
    score: Callable[[Run], object]


def read_sweep(folder: SweepFolder) -> Sweep:
    """Read what a sweep is.

    Raises
    ------
    BadInput
        When there is none of that name, or its record cannot be read.
    """
    if not folder.record.exists():
        message = f"{folder.path.name}: expected a sweep that was started here, got none"
        raise errors.BadInput(message, "`calm sweep FILE` starts one; `calm status` lists those that there are.")
    return read_json(folder.record, Sweep)


def _do(work: Work, sweep: Sweep, name: str, statuses: Statuses) -> None:
    if name == PROBE:
        _look(sweep, work.session)
    else:
        _make(work, _entry(work.folder, sweep, name).task, _Noted(work.session.progress, statuses, name))


def run_task(work: Work, name: str, resources: Resources) -> State:
    """Make the run of a task, score it, and write down how it ended; never raises what a task can end by.

    Raises
    ------
    BadInput
        When the sweep has no task of that name; nothing is written then.
    """
    sweep = read_sweep(work.folder)
    if name != PROBE:
        _entry(work.folder, sweep, name)
    statuses = Statuses(work.folder)
    job = next((os.environ[one] for one in _JOB_NUMBERS if one in os.environ), "")
    guard = Guard(_end_s(sweep, job, resources), (resources.memory_mb - _WORKFLOW_MB) * 2**20)
    statuses.add(name, _begun(job, resources))
    try:
        with guard.watching(), _gpus(work, sweep, resources):
            statuses.change(name, reason="")
            _do(work, sweep, name, statuses)
    except BaseException as error:
        state, reason = _ending(error, guard)
        statuses.change(name, state=state, reason=reason, ended_s=time.time())
        if not isinstance(error, errors.CalmError | KeyboardInterrupt):
            raise
        return state
    statuses.change(name, state="finished", ended_s=time.time(), stage="")
    return "finished"


def _entry(folder: SweepFolder, sweep: Sweep, name: str) -> Entry:
    found = next((one for one in sweep.entries if one.task.name == name), None)
    if found is None:
        message = f"{folder.record}: expected a task {name} in the sweep, got {len(sweep.entries)} others"
        raise errors.BadInput(message, "`calm status SWEEP` names the tasks; `calm sweep FILE` writes them down again.")
    return found


def _look(sweep: Sweep, session: Session) -> None:
    found = findings(sweep, session)
    if found:
        raise errors.BadInput("; ".join(found), "Mend that, or leave out the probe with --no-probe.")


def _begun(job: str, resources: Resources) -> Attempt:
    return Attempt(
        state="running",
        reason="waits for a GPU" if resources.gpus else "",
        resources=resources,
        host=socket.gethostname(),
        process=os.getpid(),
        job=job,
        began_s=time.time(),
    )


def _end_s(sweep: Sweep, job: str, resources: Resources) -> float | None:
    """Return when the scheduler ends this task: as it says itself, else by what it was asked for."""
    if sweep.place.executor == "local":
        return None
    found = end_of_job_s(job) if "SLURM_JOB_ID" in os.environ else None
    return found or time.time() + 60 * resources.minutes


def _make(work: Work, task: Task, noted: _Noted) -> None:
    """Plan, run, score and check."""
    prior = None if task.prior is None else _finished_run(work.folder, task.prior.task)
    plan = work.planner.plan(task, prior)
    noted.change(run=plan.folder.path)
    outcome = replace(work.session, progress=noted).run(plan)
    noted.change(stage="scores")
    work.score(outcome.run)


def _finished_run(folder: SweepFolder, name: str) -> Run:
    """Return the run of another task of the sweep."""
    entry = _entry(folder, read_sweep(folder), name)
    attempts = Statuses(folder).of(name)
    path = attempts[-1].run if attempts and attempts[-1].run else entry.run
    if path is None:
        message = f"{name}: expected its run, which another task needs, got none"
        raise errors.BadInput(message, "Start the sweep again; what is missing is made first.")
    return read_run(path)


def _ending(error: BaseException, guard: Guard) -> tuple[State, str]:
    """Name an end: what the guard or a scheduler stopped is told by the guard, whatever error came of it."""
    if guard.state is not None:
        return guard.state, guard.reason
    if isinstance(error, MemoryError):
        return "out of memory", "calm itself had too little memory"
    if isinstance(error, errors.Interrupted | KeyboardInterrupt):
        return "cancelled", "its job was stopped from outside"
    if isinstance(error, errors.CalmError):
        return _STATES.get(type(error), "failed"), f"{error.message}. {error.hint}"
    return "failed", f"{type(error).__name__}: {error}"


class _Noted:
    """A progress that also writes into the status which job is at work, and at the end how far it came."""

    def __init__(self, shown: Progress, statuses: Statuses, task: str) -> None:
        self._shown = shown
        self._statuses = statuses
        self._task = task
        self._step = 0

    def begin(self, title: str) -> None:
        """Write down the stage."""
        self._step = 0
        self.change(stage=title.rpartition(": ")[2], step=0)
        self._shown.begin(title)

    def event(self, event: Event) -> None:
        """Remember the step."""
        self._step = max(self._step, event.step)
        self._shown.event(event)

    def end(self) -> None:
        """Write down the last step."""
        self.change(step=self._step)
        self._shown.end()

    def change(self, **fields: object) -> None:
        """Change the status."""
        self._statuses.change(self._task, **fields)


def _gpus(work: Work, sweep: Sweep, resources: Resources) -> AbstractContextManager[None]:
    """Hold GPUs of this machine where no scheduler has given any."""
    local = sweep.place.executor == "local" and resources.gpus > 0
    return held_gpus(work.session.layout.gpus, resources.gpus) if local else nullcontext()


@contextmanager
def held_gpus(folder: Path, count: int) -> Iterator[None]:
    """Hold some of the GPUs of this machine against other tasks, and show jobs no others; wait where none is free."""
    folder.mkdir(parents=True, exist_ok=True)
    names = visible_gpus()
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    held: dict[str, FileLock] = {}
    try:
        while len(held) < count:
            for name in names:
                if name not in held and len(held) < count:
                    _try(FileLock(folder / f"{name}.lock", timeout=0), name, held)
            if len(held) < count:
                for lock in held.values():  # two tasks that each hold one and want two would wait for ever
                    lock.release()
                held.clear()
                time.sleep(_WAIT_S)
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(held)
        yield
    finally:
        for lock in held.values():
            lock.release()
        if before is None:
            os.environ.pop("CUDA_VISIBLE_DEVICES", None)
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


def _try(lock: FileLock, name: str, held: dict[str, FileLock]) -> None:
    try:
        lock.acquire()
    except Timeout:
        return
    held[name] = lock
