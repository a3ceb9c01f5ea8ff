"""Read experiments.yaml of every algorithm folder, and check each experiment against its algorithm and its priors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from orchestrator.algorithms.experiments import (
    FILE,
    PRESET,
    Environment,
    Experiment,
    Inferred,
    OutcomeKind,
    Prior,
    PublishedValue,
    ScoreProtocolName,
    Split,
    Study,
    in_order,
)
from orchestrator.algorithms.folders import in_environment, load_algorithm, resolve_params
from orchestrator.documents import Document, Name, read_yaml
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from orchestrator.domain import Algorithm

_HINT = "Mend the file; the fields are those of experiments.yaml of n2v."


class _Splits(Document, frozen=True, kw_only=True):
    train: tuple[Split, ...]
    val: tuple[Split, ...]
    predict: tuple[Split, ...]


class _Outcome(Document, frozen=True, kw_only=True):
    kind: OutcomeKind
    words: Name


class _Entry(Document, frozen=True, kw_only=True):
    """One experiment as it stands in experiments.yaml; `Experiment` says what the fields mean."""

    title: Name
    dataset: Name
    protocol: ScoreProtocolName
    splits: _Splits
    environment: Environment
    software: Name
    outcome: _Outcome
    params: dict[str, Any]
    inferred: dict[str, Inferred]
    published: tuple[PublishedValue, ...]
    notes: tuple[Name, ...]
    algorithm: Name | None = None
    aliases: tuple[Name, ...] = ()
    train_files: tuple[Name, ...] = ()
    prior: Prior | None = None


class _Experiments(Document, frozen=True, kw_only=True):
    study: Study | None = None
    experiments: dict[Annotated[str, Meta(pattern="^[A-Z][A-Z0-9_]*$")], _Entry] | None = None


def _refuse(error: BadInput) -> None:
    raise error


def load_experiments(containers: Path, broken: Callable[[BadInput], None] = _refuse) -> dict[str, Experiment]:
    """Load the experiments of every algorithm folder, and those of the controls, which lie above the folders.

    Parameters
    ----------
    containers : Path
        Folder of the algorithm folders.
    broken : callable
        Told what is wrong with a file or an experiment, which is then left out; by default it is raised.

    Returns
    -------
    dict of str to Experiment
        By name, in the order of folders and files.

    Raises
    ------
    BadInput
        When a file does not fit its schema, a name comes twice, an environment or parameter does not exist, a
        parameter is out of range, a prior does not exist, or experiments need each other in a circle.
    """
    claims: dict[str, list[Experiment]] = {}
    for path in sorted((*containers.glob(FILE), *containers.glob(f"*/{FILE}"))):
        try:
            for experiment in _load(path, containers):
                claims.setdefault(experiment.name, []).append(experiment)
        except BadInput as error:
            broken(error)
    found = {name: one for name, (one, *others) in claims.items() if not others}
    _tell_twice([all_ for all_ in claims.values() if len(all_) > 1], broken)
    return {name: one for name, one in found.items() if _has_its_priors(found, name, broken)}


def _tell_twice(claims: Sequence[Sequence[Experiment]], broken: Callable[[BadInput], None]) -> None:
    """Tell of names that several folders have, in one sentence for the same folders."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for claim in claims:
        alike.setdefault(tuple(one.algorithm for one in claim), []).append(claim[0].name)
    for (first, *others), (name, *more) in alike.items():
        files = ", ".join(f"{other}/{FILE}" for other in others)
        message = f"{files}: expected a new name, got {name} of {first}" + (f", and {len(more)} more" if more else "")
        broken(BadInput(message, "An experiment is in one folder only: delete the file, or the copies in it."))


def _has_its_priors(experiments: Mapping[str, Experiment], name: str, broken: Callable[[BadInput], None]) -> bool:
    try:
        in_order(experiments, [name])
    except BadInput as error:
        broken(error)
        return False
    return True


def _load(path: Path, containers: Path) -> list[Experiment]:
    document = read_yaml(path, _Experiments, hint=_HINT) if _holds_yaml(path) else _Experiments()
    if not document.experiments:
        return []
    if document.study is None:
        message = f"{path}: at the top level: expected the field study, got none"
        raise BadInput(message, _HINT)
    experiments = [
        _experiment(_owner(path, containers, name, one), name, one, document.study)
        for name, one in document.experiments.items()
    ]
    for experiment in experiments:
        if (containers / experiment.algorithm / "algorithm.yaml").exists():
            _check(path, experiment, load_algorithm(containers / experiment.algorithm))
    return experiments


def _holds_yaml(path: Path) -> bool:
    """Say whether a file holds more than comments and blank lines."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return any(line.strip() and not line.lstrip().startswith("#") for line in lines)


def _owner(path: Path, containers: Path, name: str, entry: _Entry) -> str:
    """Return whose an experiment is: that of the folder of its file; above the folders, it names its algorithm."""
    own = None if path.parent == containers else path.parent.name
    owner = entry.algorithm or own
    if owner is None or own not in {None, owner}:
        message = f"{path}: {name}: expected algorithm {own or 'to be named'}, got {owner or 'none'}"
        raise BadInput(message, "Only experiments outside of the folders of algorithms name theirs.")
    return owner


def _check(path: Path, experiment: Experiment, algorithm: Algorithm) -> None:
    both = sorted({*experiment.params} & {*experiment.inferred})
    if both:
        message = f"{path}: {experiment.name}: expected parameters recorded or inferred, got both for {', '.join(both)}"
        raise BadInput(message, "Keep what the study recorded.")
    try:
        resolve_params(in_environment(algorithm, experiment.environment), PRESET, experiment.overrides)
    except BadInput as error:
        message = f"{path}: {experiment.name}: {error.message}"
        raise BadInput(message, error.hint) from error


def _experiment(algorithm: str, name: str, entry: _Entry, study: Study) -> Experiment:
    return Experiment(
        name=name,
        aliases=entry.aliases,
        algorithm=algorithm,
        title=entry.title,
        dataset=entry.dataset,
        protocol=entry.protocol,
        splits={"train": entry.splits.train, "val": entry.splits.val, "predict": entry.splits.predict},
        train_files=entry.train_files,
        environment=entry.environment,
        software=entry.software,
        prior=entry.prior,
        outcome=entry.outcome.kind,
        words=entry.outcome.words,
        params=entry.params,
        inferred=entry.inferred,
        published=entry.published,
        notes=entry.notes,
        study=study,
    )
