"""Which runs stand on a page: those given, the controls on the same movies, and what belongs to an experiment."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from evaluation.report.content import NOISY
from orchestrator.algorithms import in_environment, resolve_params
from orchestrator.errors import BadInput
from orchestrator.experiments import ANCHOR, PRESET, Attempt
from orchestrator.paths import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from evaluation.report.content import Role
    from orchestrator.domain import Algorithm
    from orchestrator.experiments import Experiment

CONTROL: Final = "control"


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run: its record, read once."""

    folder: RunFolder
    record: Mapping[str, Any]

    @cached_property
    def scores(self) -> Mapping[str, Any]:
        """What `score_run` wrote."""
        document: Mapping[str, Any] = json.loads(self.folder.scores.read_text())
        return document

    @property
    def controls(self) -> dict[str, Mapping[str, Any]]:
        """Scores of each control that prediction wrote beside its result."""
        return dict(sorted(self.scores["controls"].items()))

    @property
    def movies(self) -> dict[str, Mapping[str, Any]]:
        """Movies by SPLIT/NAME."""
        return dict(sorted(self.record["movies"].items()))

    @property
    def own_movies(self) -> bool:
        """Whether the movies are files of the user: those are trained on, and have no target."""
        return all(name.startswith("train/") and movie["target"] is None for name, movie in self.movies.items())


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
        return tuple(sorted(self.runs[0].record["inputs"].items())) if self.runs else self.dataset

    @property
    def studied(self) -> bool:
        """Whether the runs were scored by the study's protocol, too."""
        return bool(self.runs) and all(run.folder.study_scores.exists() for run in self.runs)

    def beside(self, control: str) -> str:
        """Name the row of a control that prediction wrote."""
        return f"{self.name}-{control}"

    def control_title(self, control: str) -> str:
        """Name a control after its title and the run whose prediction wrote it."""
        short = self.title if self.attempt else f"{self.algorithm.title.partition(' (')[0]}, {_preset(self.runs[0])}"
        return f"{self.algorithm.controls[control]} (control of {short})"


def read_run(folder: RunFolder) -> Run:
    """Read the record of a run."""
    return Run(folder=folder, record=json.loads(folder.record.read_text()))


def with_controls(folders: Sequence[RunFolder], algorithms: Mapping[str, Algorithm]) -> tuple[Run, ...]:
    """Read runs, and after them the finished runs of controls on the same movies among the outputs they lie in."""
    runs = {folder.path: read_run(folder) for folder in folders}
    known = {(run.record["algorithm"], _movies(run)) for run in runs.values()}
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
        if match is None or run.record["seed"] in found.setdefault(match.name, {}):
            others.append(run)
        else:
            found[match.name][run.record["seed"]] = run
    attempts = [
        Attempt(experiment=experiments[name], runs=tuple(run.folder for run in seeds.values()))
        for name, seeds in found.items()
    ]
    known = {run.folder.path: run for run in runs}
    studied = [_attempted(one, [known[folder.path] for folder in one.runs], algorithms) for one in attempts]
    return (*studied, *_alone(others, algorithms))


def entries_of_attempts(attempts: Sequence[Attempt], algorithms: Mapping[str, Algorithm]) -> tuple[Entry, ...]:
    """Give every attempt a row, and every run of a control beside them that is no experiment itself."""
    seen = {folder.path for attempt in attempts for folder in attempt.runs}
    controls = {folder.path: folder for one in attempts for folder in one.controls if folder.path not in seen}
    entries = [_attempted(one, [read_run(folder) for folder in one.runs], algorithms) for one in attempts]
    return (*entries, *_alone([read_run(folder) for folder in controls.values()], algorithms))


def published_experiment(
    record: Mapping[str, Any], experiments: Mapping[str, Experiment], algorithms: Mapping[str, Algorithm]
) -> Experiment | None:
    """Return the experiment of the study whose data, software and settings a run has; None where there is none."""
    for one in experiments.values():
        theirs = one.algorithm, one.environment, one.dataset
        if theirs != (record["algorithm"], record.get("environment"), record["dataset"]):
            continue
        algorithm = in_environment(algorithms[one.algorithm], one.environment)
        if one.algorithm == ANCHOR or record["params"] == resolve_params(algorithm, PRESET, one.overrides):
            return one
    return None


def _attempted(attempt: Attempt, runs: Sequence[Run], algorithms: Mapping[str, Algorithm]) -> Entry:
    experiment = attempt.experiment
    return Entry(
        name=experiment.name,
        title=experiment.name,
        role=NOISY if experiment.algorithm == ANCHOR else "algorithm",
        algorithm=algorithms[experiment.algorithm],
        dataset=experiment.dataset,
        runs=tuple(runs),
        attempt=attempt,
    )


def _alone(runs: Sequence[Run], algorithms: Mapping[str, Algorithm]) -> Iterator[Entry]:
    """Name each run by its algorithm and preset, and by key too where that does not tell it from the others."""
    names = [(run.record["algorithm"], _movies(run)) for run in runs]
    for run, name in zip(runs, names, strict=True):
        algorithm = _algorithm(run, algorithms)
        unique = names.count(name) == 1
        key = run.folder.path.name[:6]
        title = f"{algorithm.title}, {_preset(run)}"
        noisy = algorithm.name == ANCHOR
        yield Entry(
            name=algorithm.name if unique else f"{algorithm.name} {key}",
            title="Noisy movie, unchanged" if noisy and unique else title if unique else f"{title}, run {key}",
            role=NOISY if noisy else CONTROL if algorithm.kind == "control" else "algorithm",
            algorithm=algorithm,
            dataset=run.record["dataset"],
            runs=(run,),
        )


def _algorithm(run: Run, algorithms: Mapping[str, Algorithm]) -> Algorithm:
    name = run.record["algorithm"]
    if name not in algorithms:
        message = f"{run.folder.path}: expected a run of {', '.join(algorithms)}, got one of {name}"
        raise BadInput(message, "Its folder in containers/ is not there any more.")
    return algorithms[name]


def _finished(run: Run, name: str) -> Iterator[Run]:
    """Yield the first finished run of a control on the movies of a run, if there is one."""
    for path in sorted(run.folder.path.parents[1].glob(f"{name}-{run.record['dataset']}-default/*/run.json")):
        control = read_run(RunFolder(path=path.parent))
        if _movies(control) == _movies(run):
            yield control
            return


def _movies(run: Run) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(run.record["inputs"].items()))


def _preset(run: Run) -> str:
    return str(run.record["preset"])
