"""The head of a sweep: it brings what is missing to an executor and repeats what ended too early."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from orchestrator import errors
from orchestrator.sweep.records import OVER, Attempt, Resources
from orchestrator.sweep.resources import next_resources
from orchestrator.sweep.rounds import Started, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from orchestrator.paths import Layout, SweepFolder
    from orchestrator.sweep.executors import Ending, Executor
    from orchestrator.sweep.resources import Node
    from orchestrator.sweep.status import Statuses

_TICK_S = 2.0
_PATIENCE_S = 10.0  # until a task that is not there any more is believed to have left no word: shared disks are slow
_NO_WORD: Final[Ending] = ("node lost", "it is not there any more, and it left no word")
_SHOWN = 400  # characters of what Snakemake said last


@dataclass(kw_only=True, slots=True)
class Conductor:
    """Sees tasks to their end.

    Parameters
    ----------
    folder : SweepFolder
        Their sweep.
    layout : Layout
        Where the workflow is.
    executor : Executor
        Where they run.
    snakemake : Path
        The program.
    statuses : Statuses
        What tasks tell of themselves.
    tick : callable
        Called every two seconds, to show how it goes.
    """

    folder: SweepFolder
    layout: Layout
    executor: Executor
    snakemake: Path
    statuses: Statuses
    tick: Callable[[], None]
    _open: dict[str, Resources] = field(default_factory=dict)
    _after: Mapping[str, str] = field(default_factory=dict)
    _first: dict[str, int] = field(default_factory=dict)  # attempts before this call
    _before: dict[str, int] = field(default_factory=dict)  # attempts before the task was brought last
    _started: list[Started] = field(default_factory=list)
    _brought: set[str] = field(default_factory=set)
    _alive: set[str] = field(default_factory=set)
    _gone_s: dict[str, float] = field(default_factory=dict)
    _said: str = ""
    _refused: dict[str, str] = field(default_factory=dict)  # what Snakemake could not submit, and why

    def bring(self, tasks: Mapping[str, Resources], after: Mapping[str, str]) -> None:
        """Bring tasks to their end: finished, or ended by something that another attempt would not mend.

        Parameters
        ----------
        tasks : mapping of str to Resources
            What is missing, with what the first attempt is given.
        after : mapping of str to str
            The task that another one needs the prediction of.

        Raises
        ------
        BadInput
            When another process brings the tasks of this sweep.
        Interrupted
            When the user stops it; jobs of a scheduler are cancelled, and the same command goes on.
        """
        node = self.executor.node()
        self._open, self._after = dict(tasks), after
        with self._held():
            self._adopt()
            try:
                while self._open:
                    self._turn(node)
                    self.tick()
                    time.sleep(_TICK_S)
            except KeyboardInterrupt as error:
                self._stop()
                self.executor.cancel()
                message = f"{self.folder.path.name}: stopped by the user, and its tasks with it"
                raise errors.Interrupted(message, "The same command goes on where this one stopped.") from error
            finally:
                self._stop()

    def _adopt(self) -> None:
        """Take over what an earlier head, which was killed, left alive."""
        self._alive = self.executor.alive(self.statuses.last(self._open))
        self._brought = self._alive & self._open.keys()
        self._first = {task: len(self.statuses.of(task)) for task in self._open}
        for task in self._brought & self.statuses.last(self._open).keys():
            self._first[task] -= 1
        self._before = dict(self._first)
        self.executor.forget(self._open.keys() - self._brought)

    def _turn(self, node: Node) -> None:
        """See what is over, decide on it, and start what is ready."""
        self._alive = self.executor.alive(self.statuses.last(self._open))
        self._started = [one for one in self._started if self._is_at_work(one)]
        for task in sorted(self._brought):
            if not self._is_under_way(task):
                self._brought.discard(task)
                self._settle(task, node)
        ready = {task: resources for task, resources in self._open.items() if self._is_ready(task)}
        if ready and len(self._started) < self.executor.rounds:
            after = {task: (self._after[task],) for task in ready if self._after.get(task) in ready}
            self._before |= {task: len(self.statuses.of(task)) for task in ready}
            self.executor.forget(ready)
            self._started.append(start(self._command(node), self.folder, ready, after))
            self._brought |= ready.keys()

    def _command(self, node: Node) -> tuple[str, ...]:
        snakefile = str(self.layout.workflow / "Snakefile")
        return str(self.snakemake), "--snakefile", snakefile, *self.executor.options(node)

    def _is_at_work(self, started: Started) -> bool:
        over = not any(task in self._open and self._is_under_way(task) for task in started.tasks)
        if started.is_at_work(tasks_over=over):
            return True
        self._said = started.said()
        self._refused |= started.refusals()
        return False

    def _is_under_way(self, task: str) -> bool:
        """Say whether a task that was brought is alive, or may still begin, or may still be seen to have ended."""
        attempts = self.statuses.of(task)[self._before[task] :]
        if attempts and attempts[-1].ended_s is not None:
            return False
        submitted = any(task in one.tasks for one in self._started) and self.executor.word(task, None) is None
        if task in self._alive or (submitted and not attempts):
            self._gone_s.pop(task, None)
            return True
        return time.monotonic() - self._gone_s.setdefault(task, time.monotonic()) < _PATIENCE_S

    def _settle(self, task: str, node: Node) -> None:
        """Decide on a task whose attempt is over: it is at its end, or repeated with the same or with more."""
        self._gone_s.pop(task, None)
        new = self.statuses.of(task)[self._before[task] :]
        if not new and self._after.get(task) in self._open:
            return  # what it waits for is repeated itself
        if not new or new[-1].ended_s is None:
            self._tell(task, new[-1] if new else None)
        attempts = self.statuses.of(task)[self._first[task] :]
        following = "" if attempts[-1].state in OVER else next_resources(attempts, node)
        if isinstance(following, Resources):
            self._open[task] = following
            return
        if following:
            self.statuses.change(task, reason=f"{attempts[-1].reason}; not repeated: {following}")
        del self._open[task]

    def _tell(self, task: str, attempt: Attempt | None) -> None:
        """Write down the end of an attempt that left no word, or of one that never began."""
        state, reason = self.executor.word(task, attempt) or _NO_WORD
        now = time.time()
        if attempt is not None:
            self.statuses.change(task, state=state, reason=reason, ended_s=now)
            return
        if (state, reason) == _NO_WORD:
            state, reason = (
                "failed",
                f"it never began; Snakemake said: {self._refused.get(task) or self._said[-_SHOWN:]}",
            )
        resources = self._open[task]
        self.statuses.add(
            task,
            Attempt(
                state=state, reason=reason, resources=resources, host="", process=0, job="", began_s=now, ended_s=now
            ),
        )

    def _is_ready(self, task: str) -> bool:
        if task in self._brought or task in self._alive:
            return False
        return self._after.get(task) not in self._brought  # what it waits for is not there, or begins with it

    def _stop(self) -> None:
        for one in self._started:
            one.stop()
        self._started.clear()

    @contextmanager
    def _held(self) -> Iterator[None]:
        self.folder.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder.lock, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            message = f"{self.folder.path.name}: expected a sweep that no other process brings on, got one at work"
            raise errors.BadInput(message, f"`calm status {self.folder.path.name}` shows how it goes.") from error
        try:
            yield
        finally:
            lock.release()
