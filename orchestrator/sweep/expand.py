"""From sweep.yaml to tasks: every product of algorithms, movies, parameters and seeds, controls first, each once."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs

from orchestrator.algorithms.folders import algorithm_named
from orchestrator.documents import digest_of, read_yaml
from orchestrator.errors import BadInput
from orchestrator.records.record import Choice
from orchestrator.reproduce.attempts import Request, with_anchors
from orchestrator.runs.settings import Settings
from orchestrator.sweep.records import PriorOf, SweepFile, Task, Wishes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.algorithms.experiments import Experiment
    from orchestrator.domain import Algorithm
    from orchestrator.runs.session import Session
    from orchestrator.sweep.records import Part

_HINT = "docs/clusters.md describes the file."
_PRESET = "default"
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_TITLE = 100  # characters of the name of a movie; logs and statuses are files named after the task
_MOST_TASKS = 100_000
_DIGITS = 8  # of the digest that tells tasks of one name apart


def read_sweep_file(path: Path) -> SweepFile:
    """Read sweep.yaml.

    Raises
    ------
    BadInput
        With the place in the file, what is expected there and what was found.
    """
    file = read_yaml(path, SweepFile, hint=_HINT)
    for index, part in enumerate(file.parts):
        products = part.algorithms, part.datasets or part.inputs
        if any(products) != all(products) or not (part.experiments or all(products)):
            message = (
                f"{path}: at parts[{index}]: expected experiments, or algorithms with datasets or inputs, got less"
            )
            raise BadInput(message, _HINT)
        _check_count(path, index, part)
    return file


def _check_count(path: Path, index: int, part: Part) -> None:
    """Refuse a part whose product is of a size that nobody means, before it fills the memory."""
    lists = (part.algorithms or part.experiments, part.datasets or part.inputs or ("",), part.seeds)
    values = (value for value in part.params.values() if isinstance(value, tuple))
    count = math.prod(len(one) for one in (*lists, *values))
    if count > _MOST_TASKS:
        message = f"{path}: at parts[{index}]: expected at most {_MOST_TASKS} runs, got a product of {count}"
        raise BadInput(message, "List fewer values, or write several files.")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Movies:
    """Where the movies of a task come from, and what the task is called after them."""

    title: str
    dataset: str | None = None
    inputs: tuple[Path, ...] = ()
    reading: Choice = field(default_factory=Choice)


def tasks_of(
    file: SweepFile, folder: Path, session: Session, experiments: Mapping[str, Experiment]
) -> tuple[Task, ...]:
    """Return the tasks of a sweep; of two that ask for the same, the first.

    Controls that the file does not list are added for all movies, as for every run.

    Parameters
    ----------
    file : SweepFile
        What is asked for.
    folder : Path
        Where paths of own movies begin.
    session : Session
        Knows the algorithms and controls.
    experiments : mapping of str to Experiment
        All published ones.

    Raises
    ------
    BadInput
        For an algorithm or experiment that does not exist.
    """
    found: dict[str, Task] = {}
    listed = {name.partition("@")[0] for part in file.parts for name in part.algorithms}
    for part in file.parts:
        for task in (*_products(part, folder, session, listed), *_published(part, session, experiments)):
            found.setdefault(task.name, task)
    return tuple(found.values())


def _products(part: Part, folder: Path, session: Session, listed: set[str]) -> Iterator[Task]:
    containers = session.layout.containers
    movies = [_Movies(title=name, dataset=name) for name in part.datasets]
    movies += [
        _Movies(title=Path(name).stem, inputs=((folder / name).absolute(),), reading=part.reading)
        for name in part.inputs
    ]
    algorithms = [algorithm_named(containers, name) for name in part.algorithms]
    for place, algorithm in itertools.product(movies, algorithms):
        for seed, params in itertools.product(part.seeds, _combinations(part)):
            settings = _settings(part, algorithm, seed, params)
            (_, own), *controls = session.with_controls(algorithm, settings)
            if seed == part.seeds[0]:
                for control, theirs in controls:
                    if control.name not in listed:
                        yield _task(control, theirs, place, Wishes())
            yield _task(algorithm, own, place, part.resources)


def _combinations(part: Part) -> Iterator[dict[str, Any]]:
    """Yield one set of parameters for each combination of the values that are listed."""
    values = [value if isinstance(value, tuple) else (value,) for value in part.params.values()]
    for chosen in itertools.product(*values):
        yield dict(zip(part.params, chosen, strict=True))


def _settings(part: Part, algorithm: Algorithm, seed: int, params: dict[str, Any]) -> Settings:
    control = algorithm.kind == "control"
    return Settings(
        preset=part.preset or _PRESET,
        overrides=params,
        seed=seed,
        threads=1 if control else part.threads,
        device="cpu" if control else part.device,
        precision="float32" if control else part.precision,
        output_dtype=part.output_dtype,
    )


def _published(part: Part, session: Session, experiments: Mapping[str, Experiment]) -> Iterator[Task]:
    request = Request(
        names=part.experiments,
        seeds=len(part.seeds),
        first_seed=part.seeds[0],
        threads=part.threads,
        device=part.device,
        preset=part.preset,
        overrides={},
    )
    made: dict[str, list[Task]] = {}
    for experiment in with_anchors(experiments, part.experiments) if part.experiments else ():
        algorithm = algorithm_named(session.layout.containers, experiment.image_name)
        place = _Movies(title=experiment.name, dataset=experiment.dataset)
        made[experiment.name] = []
        for index, seed in enumerate(part.seeds if algorithm.needs_training else part.seeds[:1]):
            (_, own), *controls = session.with_controls(algorithm, request.settings(experiment, algorithm, seed))
            if index == 0:
                for control, theirs in controls:
                    yield _task(control, theirs, replace(place, title=experiment.dataset), Wishes())
            task = _task(algorithm, own, place, part.resources, experiment, _prior(experiment, made, index))
            made[experiment.name].append(task)
            yield task


def _prior(experiment: Experiment, made: Mapping[str, Sequence[Task]], index: int) -> PriorOf | None:
    """Name the task of the same position among the seeds, or the last one, whose prediction an experiment needs."""
    if experiment.prior is None:
        return None
    tasks = made[experiment.prior.experiment]
    return PriorOf(task=tasks[min(index, len(tasks) - 1)].name, splits=tuple(experiment.prior.splits))


def _task(  # noqa: PLR0913, PLR0917 - all that tells tasks apart
    algorithm: Algorithm,
    settings: Settings,
    place: _Movies,
    wishes: Wishes,
    experiment: Experiment | None = None,
    prior: PriorOf | None = None,
) -> Task:
    """Describe a task; its name says what it is, with a digest of all that it asks for but resources."""
    task = Task(
        name="",
        algorithm=algorithm.full_name,
        dataset=place.dataset,
        inputs=place.inputs,
        reading=place.reading,
        experiment=None if experiment is None else experiment.name,
        prior=prior,
        preset=settings.preset,
        params=dict(settings.overrides),
        seed=settings.seed,
        threads=settings.threads,
        device=settings.device,
        precision=settings.precision,
        output_dtype=settings.output_dtype,
        wishes=Wishes(),
    )
    words = algorithm.folder_name, place.title[:_TITLE], settings.preset, str(settings.seed), digest_of(task)[:_DIGITS]
    return structs.replace(task, name=_NO_NAME.sub("_", "-".join(words)), wishes=wishes)
