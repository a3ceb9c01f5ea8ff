"""What reproducing experiments will need, before anything runs or is downloaded: jobs, time, memory and disk."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.algorithms.experiments import Attempt
from orchestrator.data.checksums import Checksums
from orchestrator.data.manifest import load_manifest
from orchestrator.data.movies import Source, dataset_source
from orchestrator.data.outline import outline_of
from orchestrator.data.prepare import is_prepared
from orchestrator.engines.hardware import check_device
from orchestrator.errors import CalmError
from orchestrator.reproduce.attempts import prior_files
from orchestrator.reproduce.reproduce import used
from orchestrator.runs.execute import finished
from orchestrator.runs.needs import check_writable
from orchestrator.runs.past import Past
from orchestrator.runs.plan import outlined_plan
from orchestrator.runs.training import equal_training

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from orchestrator.algorithms.experiments import Experiment
    from orchestrator.data.fetch import Progress
    from orchestrator.data.outline import Outline
    from orchestrator.paths import Layout
    from orchestrator.records.run import Run
    from orchestrator.reproduce.reproduce import Reproduction
    from orchestrator.runs.plan import Plan

TO_RUN, FINISHED, DATA_MISSING = "to run", "finished", "data missing"


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What one run will need.

    Parameters
    ----------
    experiment : str
        Name.
    algorithm : str
        Name of the folder, with the environment where that is another than the current one.
    seed : int
        Its seed.
    jobs : tuple of str
        Jobs in order; empty for a run that is finished.
    state : str
        "to run", "finished", or "data missing".
    seconds : tuple of float or None
        Least and most, from runs of these settings that were finished here before; None where nothing was timed.
    training_s : float or None
        Of training alone, where `seconds` is not known: from its first steps on this machine; 0 where nothing is
        trained.
    memory_bytes : int
        Of one job, as such runs took here, else as algorithm.yaml states for a few hundred frames.
    disk_bytes : int or None
        Of predictions, logs and checkpoints; 0 for a finished run, None where the size of its movies is not known.
    """

    experiment: str
    algorithm: str
    seed: int
    jobs: tuple[str, ...]
    state: str
    seconds: tuple[float, float] | None = None
    training_s: float | None = None
    memory_bytes: int = 0
    disk_bytes: int | None = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What a command will need.

    Parameters
    ----------
    runs : tuple of Estimate
        Every run, those of the controls included.
    outlines : tuple of Outline
        Datasets that are not here, or not prepared, in the order of their first experiment.
    warnings : tuple of str
        What would stop the command on this machine, beside disk and data.
    """

    runs: tuple[Estimate, ...]
    outlines: tuple[Outline, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    """What times are taken from, and the folders of the runs that were estimated already."""

    past: Past
    seen: set[Path] = field(default_factory=set)


def forecast(work: Reproduction, experiments: Sequence[Experiment]) -> Forecast:
    """Estimate every run, those of the controls included; nothing is started and nothing is written but checksums.

    Parameters
    ----------
    work : Reproduction
        What would run them.
    experiments : sequence of Experiment
        In the order of running.

    Raises
    ------
    BadInput
        When a movie that is here, or a parameter, cannot be used.
    """
    found: list[Estimate] = []
    outlines: dict[str, Outline] = {}
    done: dict[str, Attempt] = {}
    known = _Known(past=Past(work.session.layout.outputs))
    for experiment in experiments:
        movies = _movies(work, experiment)
        if not isinstance(movies, Source):
            outlines.setdefault(movies.dataset.name, movies)
            found += _outlined(work, experiment, movies, known)
            done[experiment.name] = Attempt(experiment=experiment, reason="it has not run yet")
            continue
        own, attempt = _runs(work, experiment, movies, done, known)
        found += own
        done[experiment.name] = attempt
    return Forecast(runs=tuple(found), outlines=tuple(outlines.values()), warnings=_warnings(work))


def _movies(work: Reproduction, experiment: Experiment) -> Source | Outline:
    found = movies_here(experiment.dataset, work.session.layout, work.progress)
    return used(experiment, found) if isinstance(found, Source) else found


def movies_here(name: str, layout: Layout, progress: Progress) -> Source | Outline:
    """Return the movies of a dataset; nothing is made for it, so those not prepared are an outline too."""
    dataset = load_manifest(layout.manifest).named(name)
    outline = outline_of(dataset, layout.data)
    sha256 = Checksums(layout.checksums).of
    if outline.missing or not is_prepared(dataset, layout.data, cache=layout.prepared, sha256=sha256):
        return outline
    return dataset_source(name, layout, progress)


def _outlined(work: Reproduction, experiment: Experiment, outline: Outline, known: _Known) -> list[Estimate]:
    """Estimate the runs of an experiment whose movies are not here, and of the controls on them."""
    session, algorithm = work.session, work.algorithm(experiment)
    state = DATA_MISSING if outline.missing else TO_RUN
    found = []
    for index, seed in enumerate(work.request.seeds_of(algorithm)):
        first, *controls = session.with_controls(algorithm, work.request.settings(experiment, algorithm, seed))
        for one, settings in (*(controls if index == 0 else ()), first):
            plan = outlined_plan(
                one,
                session.image(one, settings.device),
                source=used(experiment, outline.source),
                facts=outline.facts,
                settings=settings,
                layout=session.layout,
            )
            if plan.folder.path not in known.seen:
                known.seen.add(plan.folder.path)
                estimate = estimate_of(experiment.name, plan, known.past, state)
                found.append(estimate if outline.is_sized else replace(estimate, seconds=None, disk_bytes=None))
    return found


def _warnings(work: Reproduction) -> tuple[str, ...]:
    """Return what `Session.plans` would refuse on this machine."""
    found = []
    outputs = work.session.layout.outputs
    for check in (partial(check_device, work.request.device), partial(check_writable, outputs)):
        try:
            check()
        except CalmError as error:
            found.append(f"{error.message}. {error.hint}")
    return tuple(found)


def _runs(
    work: Reproduction, experiment: Experiment, source: Source, done: dict[str, Attempt], known: _Known
) -> tuple[list[Estimate], Attempt]:
    """Estimate the runs of an experiment and of the controls on its movies, those estimated before not again.

    Returns it also as far as it is finished, for those that need it.
    """
    found: list[Estimate] = []
    runs: list[Run] = []
    for index, seed in enumerate(work.request.seeds_of(work.algorithm(experiment))):
        prior = prior_files(experiment, done, index)
        algorithm = work.algorithm(experiment)
        settings = work.request.settings(experiment, algorithm, seed)
        plan, *controls = work.session.decide(algorithm, source, settings, () if isinstance(prior, str) else prior)
        outcome = None if isinstance(prior, str) else finished(plan)
        runs += [] if outcome is None else [outcome.run]
        first = controls if index == 0 else []
        for one, is_finished in (*((one, finished(one) is not None) for one in first), (plan, outcome is not None)):
            if one.folder.path not in known.seen:
                known.seen.add(one.folder.path)
                state = FINISHED if is_finished else TO_RUN
                found.append(estimate_of(experiment.name, one, known.past, state))
    return found, Attempt(experiment=experiment, runs=tuple(runs), reason="it has not run yet")


def estimate_of(
    name: str, plan: Plan, past: Past, state: str, timed: Callable[[Plan], float | None] = lambda _: None
) -> Estimate:
    """Estimate what a plan needs, which is nothing where it is finished.

    It is timed by past runs; where there are none, `timed` may tell how long its training takes.
    """
    estimate = Estimate(
        experiment=name,
        algorithm=plan.algorithm.full_name,
        seed=plan.settings.seed,
        jobs=(),
        state=state,
    )
    if state == FINISHED:
        return estimate
    taken = plan.trained is not None or equal_training(plan) is not None
    seconds = past.seconds(plan, trains=not taken)
    trains = plan.algorithm.needs_training and not taken
    return replace(
        estimate,
        jobs=tuple(job.folder.name for job in plan.jobs() if job.command != "train" or not taken),
        seconds=seconds,
        training_s=None if seconds is not None else timed(plan) if trains else 0.0,
        memory_bytes=past.memory_bytes(plan) or plan.algorithm.memory_bytes,
        disk_bytes=plan.needed_bytes,
    )
