"""What the documents of a sweep hold: its file, its tasks, and the status that every task writes of itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, field

from orchestrator.documents import Count, Document, Name, Positive, Seconds
from orchestrator.domain import Device, OutputDtype, Precision
from orchestrator.records.record import Choice, ParamValue
from orchestrator.runs.settings import Settings

State = Literal[
    "waiting",  # not begun, or between two attempts
    "running",
    "finished",
    "walltime",  # ended by its time limit; goes on in another attempt
    "out of memory",  # ended by its memory limit; tried again with more
    "cancelled",
    "node lost",  # ended without a word of its own
    "did not converge",
    "failed",
]
OVER: frozenset[State] = frozenset({"finished", "cancelled", "did not converge", "failed"})
PROBE = "probe"

TaskName = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,200}$")]  # files are named after it
Seed = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Few = Annotated[int, Meta(ge=0, le=10**6)]
AtLeastOne = Annotated[int, Meta(ge=1, le=10**6)]


class Wishes(Document, frozen=True, kw_only=True):
    """Resources that a user states; None for what calm decides."""

    memory_gib: Positive | None = None
    minutes: AtLeastOne | None = None
    gpus: Few | None = None


class Part(Document, frozen=True, kw_only=True):
    """One part of a sweep: every algorithm on every movie with every seed, or experiments of the study.

    Parameters
    ----------
    threads : int
        Of every job that is no control; results depend on it, so nothing guesses it.
    experiments, algorithms, datasets : tuple of str
        Names, as the other commands take them.
    inputs : tuple of str
        Own movies, each on its own; paths begin at the folder of the file.
    reading : Choice
        How own movies are to be read.
    params : mapping
        Parameters; a list is one run for each of its values.
    """

    threads: AtLeastOne
    experiments: tuple[Name, ...] = ()
    algorithms: tuple[Name, ...] = ()
    datasets: tuple[Name, ...] = ()
    inputs: tuple[Name, ...] = ()
    reading: Choice = Choice()
    preset: Name | None = None
    params: dict[str, ParamValue | tuple[ParamValue, ...]] = field(default_factory=dict)
    seeds: Annotated[tuple[Seed, ...], Meta(min_length=1)] = (42,)
    device: Device = "cpu"
    precision: Precision = "float32"
    output_dtype: OutputDtype = "float32"
    resources: Wishes = Wishes()


class SweepFile(Document, frozen=True, kw_only=True):
    """sweep.yaml."""

    parts: Annotated[tuple[Part, ...], Meta(min_length=1)]


class PriorOf(Document, frozen=True, kw_only=True):
    """The task whose predictions another one needs, and of which splits."""

    task: TaskName
    splits: tuple[str, ...]


class Task(Document, frozen=True, kw_only=True):
    """One run of a sweep, as a compute node is told of it."""

    name: TaskName
    algorithm: Name
    dataset: str | None
    inputs: tuple[Path, ...]
    reading: Choice
    experiment: str | None
    prior: PriorOf | None
    preset: Name
    params: dict[str, ParamValue]
    seed: Seed
    threads: AtLeastOne
    device: Device
    precision: Precision
    output_dtype: OutputDtype
    wishes: Wishes

    def settings(self) -> Settings:
        """Return the settings of its run."""
        return Settings(
            preset=self.preset,
            overrides=self.params,
            seed=self.seed,
            threads=self.threads,
            device=self.device,
            precision=self.precision,
            output_dtype=self.output_dtype,
        )


class Resources(Document, frozen=True, kw_only=True):
    """What the scheduler is asked for."""

    cpus: AtLeastOne
    gpus: Few
    memory_mb: AtLeastOne
    minutes: AtLeastOne


class Place(Document, frozen=True, kw_only=True):
    """How the tasks of a sweep run: on which engine and executor, and where inputs are copied to, on each node."""

    engine: Name
    executor: Literal["local", "slurm"]
    scratch: Name | None = None

    @property
    def copies(self) -> Path | None:
        """The folder for copies of inputs on this node, whose variables are set there."""
        return None if self.scratch is None else Path(os.path.expandvars(self.scratch)).absolute()


class Entry(Document, frozen=True, kw_only=True):
    """A task among those of its sweep.

    Parameters
    ----------
    run : Path or None
        Its run folder; None where that depends on a prior that is not there yet.
    refused : str
        Why it cannot run, known before anything was started; empty where it can.
    """

    task: Task
    run: Path | None = None
    refused: str = ""


class Sweep(Document, frozen=True, kw_only=True):
    """sweep.json: the tasks of a sweep."""

    name: Name
    place: Place
    entries: tuple[Entry, ...]


class Attempt(Document, frozen=True, kw_only=True):
    """One start of a task, as the task tells of it; `job` is its number at the scheduler, `stage` the job at work."""

    state: State
    reason: str
    resources: Resources
    host: str
    process: Count
    job: str
    began_s: Seconds
    ended_s: Seconds | None = None
    stage: str = ""
    step: Count = 0
    run: Path | None = None


class Status(Document, frozen=True, kw_only=True):
    """status/TASK.json: every attempt so far, the last one being the present."""

    task: TaskName
    attempts: tuple[Attempt, ...]


class Round(Document, frozen=True, kw_only=True):
    """round.json: the tasks of one start of Snakemake, what each needs, and after which others it runs."""

    calm: str
    name: Name
    logs: Path
    tasks: dict[str, Resources]
    after: dict[str, tuple[str, ...]]
