"""Which runs the tasks of a sweep are, which of them are finished, and what the others will need."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from orchestrator.algorithms.folders import algorithm_named
from orchestrator.data.checksums import Checksums
from orchestrator.data.manifest import load_manifest
from orchestrator.data.movies import Source, dataset_source, input_source
from orchestrator.data.outline import Outline
from orchestrator.data.stacks import make_stacks
from orchestrator.data.verify import verify
from orchestrator.errors import BadInput, CalmError
from orchestrator.reproduce.forecast import DATA_MISSING, FINISHED, TO_RUN, Forecast, estimate_of, movies_here
from orchestrator.reproduce.reproduce import used
from orchestrator.runs.execute import finished, found
from orchestrator.runs.needs import check_disk, check_prior, check_writable
from orchestrator.runs.plan import make_plan, outlined_plan
from orchestrator.sweep.records import Entry
from orchestrator.sweep.resources import gpus_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from orchestrator.algorithms.experiments import Experiment
    from orchestrator.data.fetch import Progress
    from orchestrator.domain import Algorithm, Image
    from orchestrator.records.run import Run
    from orchestrator.reproduce.forecast import Estimate
    from orchestrator.runs.past import Past
    from orchestrator.runs.plan import Plan
    from orchestrator.runs.session import Session
    from orchestrator.sweep.records import PriorOf, Task

_HOUR_S = 3600


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A task and the run that it is.

    Parameters
    ----------
    task : Task
        As it was expanded.
    plan : Plan or None
        None for one that is refused.
    draft : bool
        Whether movies or a prior are not there yet, so that the folder of the run is not known.
    run : Run or None
        The finished run.
    refused : str
        Why it cannot run; empty where it can.
    """

    task: Task
    plan: Plan | None = None
    draft: bool = False
    run: Run | None = None
    refused: str = ""

    @property
    def missing(self) -> bool:
        """Whether it is still to be run."""
        return self.run is None and not self.refused

    @cached_property
    def entry(self) -> Entry:
        """What sweep.json says of it."""
        folder = None if self.plan is None or self.draft else self.plan.folder.path
        return Entry(task=self.task, run=folder, refused=self.refused)


class Planner:
    """Plans tasks; movies and images are described once for all of them.

    Parameters
    ----------
    session : Session
        Knows folders and images.
    experiments : mapping of str to Experiment
        All published ones.
    progress : Progress
        Told about every byte of movies that are made.
    make : bool
        Whether movies that can be made are made; where not, what needs them is planned by the manifest.
    """

    def __init__(
        self, session: Session, experiments: Mapping[str, Experiment], progress: Progress, *, make: bool
    ) -> None:
        self._session = session
        self._experiments = experiments
        self._progress = progress
        self._make = make
        self._checksums = Checksums(session.layout.checksums)
        self._movies: dict[object, Source | Outline | BadInput] = {}
        self._algorithms: dict[str, Algorithm] = {}
        self._images: dict[tuple[str, str], Image] = {}

    def all_of(self, tasks: Iterable[Task]) -> tuple[Planned, ...]:
        """Plan every task; one that cannot be used does not keep the others from work."""
        runs: dict[str, Run | None] = {}
        found = []
        for task in tasks:
            prior = None if task.prior is None else runs[task.prior.task]
            try:
                planned = self._one(task, prior)
            except CalmError as error:
                planned = Planned(task=task, refused=f"{error.message}. {error.hint}")
            runs[task.name] = planned.run
            found.append(planned)
        return tuple(found)

    def plan(self, task: Task, prior: Run | None) -> Plan:
        """Plan a task whose movies are here, and whose prior is finished where it needs one.

        Raises
        ------
        BadInput
            For whatever cannot be used.
        """
        movies = self._source(task)
        if not isinstance(movies, Source):
            message = f"{task.dataset}: expected its movies, got none: {', '.join(movies.missing)}"
            raise BadInput(message, f"`calm data fetch {task.dataset}` gets what can be had.")
        plan = make_plan(
            self._algorithm(task),
            self._image(task),
            source=movies,
            settings=task.settings(),
            layout=self._session.layout,
            checksums=self._checksums,
            prior=_prior_files(task.prior, prior),
        )
        check_prior(plan)
        return plan

    def outlines(self) -> tuple[Outline, ...]:
        """Return the datasets whose movies are not here."""
        return tuple(one for one in self._movies.values() if isinstance(one, Outline))

    def _one(self, task: Task, prior: Run | None) -> Planned:
        movies = self._source(task)
        if isinstance(movies, Source) and (task.prior is None or prior is not None):
            plan = self.plan(task, prior)
            outcome = found(plan) if self._make else finished(plan)
            return Planned(task=task, plan=plan, run=None if outcome is None else outcome.run)
        source, facts = (
            (movies, {stack: one.facts for stack, one in movies.recordings.items()})
            if isinstance(movies, Source)
            else (movies.source, movies.facts)
        )
        plan = outlined_plan(
            self._algorithm(task),
            self._image(task),
            source=source,
            facts=facts,
            settings=task.settings(),
            layout=self._session.layout,
        )
        return Planned(task=task, plan=plan, draft=True)

    def _source(self, task: Task) -> Source | Outline:
        place = task.dataset, task.inputs, task.reading
        if place not in self._movies:
            try:
                self._movies[place] = self._described(task)
            except BadInput as error:
                self._movies[place] = error
        found = self._movies[place]
        if isinstance(found, BadInput):
            raise found
        if isinstance(found, Source) and task.experiment is not None:
            return used(self._experiments[task.experiment], found)
        return found

    def _described(self, task: Task) -> Source | Outline:
        layout = self._session.layout
        if task.dataset is None:
            return input_source(task.inputs, task.reading, layout)
        if self._make:
            return dataset_source(task.dataset, layout, self._progress)
        return movies_here(task.dataset, layout, self._progress)

    def _image(self, task: Task) -> Image:
        name = task.algorithm, task.device
        if name not in self._images:
            self._images[name] = self._session.image(self._algorithm(task), task.device)
        return self._images[name]

    def _algorithm(self, task: Task) -> Algorithm:
        if task.algorithm not in self._algorithms:
            self._algorithms[task.algorithm] = algorithm_named(self._session.layout.containers, task.algorithm)
        return self._algorithms[task.algorithm]


def prepare(planned: Sequence[Planned], session: Session, progress: Progress) -> None:
    """Do once, here, what no task is to do: check data and disk, make stacks, build environments.

    Raises
    ------
    CalmError
        For data that are not as the manifest says, a disk that is too small, or an environment that cannot be made.
    """
    missing = [one for one in planned if one.missing]
    plans = [one.plan for one in missing if one.plan is not None]
    check_writable(session.layout.outputs)
    check_disk(plans, session.layout.outputs)
    for name in sorted({one.task.dataset for one in missing if one.task.dataset is not None}):
        findings = verify(load_manifest(session.layout.manifest).named(name), session.layout.data, progress)
        if findings:
            message = f"{name}: {findings[0]}; {len(findings)} findings in all"
            raise BadInput(message, f"`calm data verify {name}` lists them; docs/data.md says what belongs.")
    for plan in {id(plan.source): plan for plan in plans}.values():
        make_stacks(plan.source.recordings.values(), session.say)
    for plan in {plan.image.digest: plan for plan in plans}.values():
        session.build(plan.algorithm, plan.image)


def forecast_of(planned: Sequence[Planned], planner: Planner, past: Past) -> Forecast:
    """Say what a sweep will need, as `calm reproduce --plan` does."""
    runs = tuple(_estimate(one, one.plan, past) for one in planned if one.plan is not None)
    refused = tuple(f"{one.task.name} cannot run: {one.refused}" for one in planned if one.refused)
    return Forecast(runs=runs, outlines=planner.outlines(), warnings=refused)


def gpu_hours_of(planned: Sequence[Planned], forecast: Forecast) -> tuple[float, int]:
    """Return the most hours of GPUs that runs of a forecast will take, and for how many of them that is not known."""
    gpus = {one.task.name: gpus_of(one.task) for one in planned}
    runs = [run for run in forecast.runs if run.jobs and gpus[run.experiment]]
    hours = [gpus[run.experiment] * run.seconds[1] / _HOUR_S for run in runs if run.seconds is not None]
    return math.fsum(hours), len(runs) - len(hours)


def _estimate(planned: Planned, plan: Plan, past: Past) -> Estimate:
    sized = all(facts.pixels > 0 for facts in plan.facts.values())
    state = FINISHED if planned.run is not None else TO_RUN
    found = estimate_of(planned.task.name, plan, past, state)
    return found if sized else replace(found, seconds=None, disk_bytes=None, state=DATA_MISSING)


def _prior_files(prior: PriorOf | None, run: Run | None) -> tuple[Path, ...]:
    if prior is None or run is None:
        return ()
    return tuple(path for split in prior.splits for path in sorted(run.folder.predictions(split).glob("*.tif*")))
