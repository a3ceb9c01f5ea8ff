"""Which runs stand on a page: those given, the controls on the same movies, and what belongs to an experiment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import structs

from evaluation.report.content import NOISY
from orchestrator.algorithms.experiments import ANCHOR, PRESET, Attempt
from orchestrator.algorithms.folders import in_environment, resolve_params
from orchestrator.domain import CURRENT, SYSTEM
from orchestrator.errors import BadInput
from orchestrator.records.run import Run, runs_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from evaluation.report.content import Role
    from orchestrator.algorithms.experiments import Experiment
    from orchestrator.domain import Algorithm
    from orchestrator.records.record import Record

CONTROL: Final = "control"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What gets a row: a run, or an experiment of the study with a run for each seed."""

    name: str
    title: str
    role: Role
    algorithm: Algorithm
    dataset: str
    runs: tuple[Run, ...]
    attempt: Attempt | None = None

    @property
    def movies(self) -> object:
        """What tells whether two entries are on the same files."""
        return _movies(self.runs[0]) if self.runs else self.dataset

    @property
    def own(self) -> bool:
        """Whether the movies are files of the user: trained on or given to a training, and without a target."""
        return self.attempt is None and all(
            movie.target is None and (name.split == "train" or isinstance(self.runs[0].record.trained, Path))
            for name, movie in self.runs[0].movies
        )

    @property
    def studied(self) -> bool:
        """Whether the runs were scored by the study's protocol, too."""
        return bool(self.runs) and all(run.study_scores is not None for run in self.runs)

    def beside(self, control: str) -> str:
        """Name the row of a control that prediction wrote."""
        return f"{self.name}-{control}"

    def control_title(self, control: str) -> str:
        """Name a control after its title and the run whose prediction wrote it."""
        short = (
            self.title if self.attempt else f"{self.algorithm.title.partition(' (')[0]}, {self.runs[0].record.preset}"
        )
        return f"{self.algorithm.controls[control]} (control of {short})"


def with_controls(given: Sequence[Run], algorithms: Mapping[str, Algorithm]) -> tuple[Run, ...]:
    """Put after runs the finished runs of controls on the same movies, among the outputs they lie in."""
    runs = {run.folder.path: run for run in given}
    known = {(run.record.algorithm, _movies(run)) for run in runs.values()}
    names = [name for name, one in algorithms.items() if one.kind == "control"]
    for run in tuple(runs.values()):
        for name in names:
            if (name, _movies(run)) not in known:
                for control in _finished(run, name):
                    runs[control.folder.path] = control
                    known.add((name, _movies(run)))
    return tuple(runs.values())


def entries_of(
    runs: Sequence[Run], experiments: Mapping[str, Experiment], algorithms: Mapping[str, Algorithm]
) -> tuple[Entry, ...]:
    """Sort runs into experiments, by the settings they were made with, and give every other run its own row."""
    found: dict[str, dict[int, Run]] = {}
    others = []
    for run in runs:
        match = published_experiment(run.record, experiments, algorithms)
        if match is None or run.record.seed in found.setdefault(match.name, {}):
            others.append(run)
        else:
            found[match.name][run.record.seed] = run
    attempts = [Attempt(experiment=experiments[name], runs=tuple(seeds.values())) for name, seeds in found.items()]
    return (*(_attempted(one, algorithms) for one in attempts), *_alone(others, algorithms))


def entries_of_attempts(attempts: Sequence[Attempt], algorithms: Mapping[str, Algorithm]) -> tuple[Entry, ...]:
    """Give every attempt a row, and every run of a control beside them that is no experiment itself."""
    seen = {run.folder.path for attempt in attempts for run in attempt.runs}
    controls = {run.folder.path: run for one in attempts for run in one.controls if run.folder.path not in seen}
    return (*(_attempted(one, algorithms) for one in attempts), *_alone(tuple(controls.values()), algorithms))


def published_experiment(
    record: Record, experiments: Mapping[str, Experiment], algorithms: Mapping[str, Algorithm]
) -> Experiment | None:
    """Return the experiment of the study whose data, software and settings a run has; None where there is none."""
    for one in experiments.values():
        theirs = one.algorithm, one.environment, one.dataset
        if theirs != (record.algorithm, record.environment, record.dataset):
            continue
        algorithm = in_environment(algorithms[one.algorithm], one.environment)
        if one.algorithm == ANCHOR or record.params == resolve_params(algorithm, PRESET, one.overrides):
            return one
    return None


def _attempted(attempt: Attempt, algorithms: Mapping[str, Algorithm]) -> Entry:
    experiment = attempt.experiment
    return Entry(
        name=experiment.name,
        title=experiment.name,
        role=NOISY if experiment.algorithm == ANCHOR else "algorithm",
        algorithm=algorithms[experiment.algorithm],
        dataset=experiment.dataset,
        runs=attempt.runs,
        attempt=attempt,
    )


def _alone(runs: Sequence[Run], algorithms: Mapping[str, Algorithm]) -> Iterator[Entry]:
    """Name runs by algorithm and preset, and by key where that does not tell them from others; seeds share a row."""
    rows = _by_seed(runs)
    names = [(_full_name(first.record), _movies(first)) for first, *_ in rows]
    for row, name in zip(rows, names, strict=True):
        record = row[0].record
        algorithm = _algorithm(row[0], algorithms)
        unique = names.count(name) == 1
        key = row[0].folder.path.name[:6]
        seeds = f", {len(row)} seeds" if len(row) > 1 else ""
        title = f"{algorithm.title}, {record.preset}{_software(record.environment)}{seeds}"
        noisy = algorithm.name == ANCHOR
        yield Entry(
            name=name[0] if unique else f"{name[0]} {key}",
            title="Noisy movie, unchanged" if noisy and unique else title if unique else f"{title}, run {key}",
            role=NOISY if noisy else algorithm.kind,
            algorithm=algorithm,
            dataset=record.dataset,
            runs=row,
        )


def _by_seed(runs: Sequence[Run]) -> list[tuple[Run, ...]]:
    """Put together runs that differ in their seed alone; of two with one seed, the second has a row of its own."""
    found: dict[tuple[str, str], dict[int, Run]] = {}
    rows = []
    for run in runs:
        record = run.record
        alike = record.experiment, structs.replace(record.key_parts, seed=0).key
        if record.seed in found.get(alike, {}):
            rows.append((run,))
        else:
            found.setdefault(alike, {})[record.seed] = run
    return [*(tuple(seeds.values()) for seeds in found.values()), *rows]


def _full_name(record: Record) -> str:
    """Name an algorithm; what is not pinned is so in its name: n2v@system."""
    return record.full_name if record.environment == SYSTEM else record.algorithm


def _software(environment: str) -> str:
    """Return what the title of a row says of any environment but the current one."""
    if environment == CURRENT:
        return ""
    return ", software of the machine, not pinned" if environment == SYSTEM else f", environment {environment}"


def _algorithm(run: Run, algorithms: Mapping[str, Algorithm]) -> Algorithm:
    name = run.record.algorithm
    if name not in algorithms:
        message = f"{run.folder.path}: expected a run of {', '.join(algorithms)}, got one of {name}"
        raise BadInput(message, "Its folder in containers/ is not there any more.")
    return algorithms[name]


def _finished(run: Run, name: str) -> Iterator[Run]:
    """Yield the first finished run of a control on the movies of a run, if there is one."""
    for control in runs_in(run.folder.path.parents[1], f"{name}-{run.record.dataset}-default"):
        if _movies(control) == _movies(run):
            yield control
            return


def _movies(run: Run) -> tuple[tuple[str, str], ...]:
    """Return the checksums of the noisy movies, which a control shares; priors and targets are not among them."""
    inputs = run.record.inputs.items()
    return tuple(sorted((name, sha256) for name, sha256 in inputs if name in run.record.movies))
