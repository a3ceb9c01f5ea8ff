"""From YAML on disk to the nouns of the domain, checked once, here."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import yaml

from contract.params import declared
from orchestrator.algorithms.declaration import Declaration, DeclaredPrior
from orchestrator.documents import plain, read_yaml
from orchestrator.domain import CURRENT, SYSTEM, Algorithm, PriorUse
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from contract.params import Param

_HINT = "Restore the file from version control, or mend it; docs/adding-an-algorithm.md describes the fields."
_PRESETS = ("smoke", "quick", "movie", "default", "published")
_NAME = "[a-z0-9][a-z0-9_-]*"  # as in declaration.Slug
_TEMPLATE = "identity"


def load_algorithms(containers: Path) -> dict[str, Algorithm]:
    """Load every algorithm folder that can be: one that is broken does not keep the others from work.

    Returns
    -------
    dict of str to Algorithm
        By name, sorted.
    """
    return {name: found for name, found in _loaded(containers).items() if isinstance(found, Algorithm)}


def broken_algorithms(containers: Path) -> dict[str, BadInput]:
    """Return what is wrong with each algorithm folder that cannot be loaded, by its name."""
    return {name: found for name, found in _loaded(containers).items() if isinstance(found, BadInput)}


def algorithm_named(containers: Path, name: str) -> Algorithm:
    """Return an algorithm by name, or by name and environment: n2v@study.

    Raises
    ------
    BadInput
        When there is no such folder or environment, or what is wrong with that folder.
    """
    own, _, environment = name.partition("@")
    folders = {folder.name: folder for folder in _folders(containers)}
    if own not in folders:
        message = f"expected an algorithm of {', '.join(folders)}, got {own}"
        raise BadInput(message, "`calm list` describes them.")
    return in_environment(load_algorithm(folders[own]), environment or CURRENT)


def new_algorithm(containers: Path, name: str) -> Path:
    """Copy the control `identity` to a new algorithm folder, whole or not at all.

    Returns
    -------
    Path
        The folder, to be edited as docs/adding-an-algorithm.md says.

    Raises
    ------
    BadInput
        When the name cannot be that of an algorithm, or is taken.
    """
    folder = containers / name
    fits = re.fullmatch(_NAME, name)
    if not fits or folder.exists():
        wanted = f"that is not taken in {containers}" if fits else "of small letters, digits, _ and -"
        message = f"expected a name {wanted}, got {name}"
        raise BadInput(message, "Choose another name; it is that of the folder, too.")
    part = containers / f".{name}.part"  # no algorithm is looked for in a folder of such a name
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(containers / _TEMPLATE, part, ignore=shutil.ignore_patterns("__pycache__"))
    declaration = part / "algorithm.yaml"
    declaration.write_text(
        _renamed(declaration.read_text(encoding="utf-8"), {"name": name, "title": name, "kind": "algorithm"})
    )
    (part / "README.md").write_text(
        f"# {name}\n\nWhat upstream does, where this deviates and why, known failures.\n", encoding="utf-8"
    )
    return part.rename(folder)


def _renamed(text: str, values: Mapping[str, str]) -> str:
    """Set fields at the top level of a YAML text; comments and all else stay."""
    for field, value in values.items():
        text = re.sub(rf"(?m)^{field}: .*$", f"{field}: {value}", text)
    return text


@cache
def _loaded(containers: Path) -> dict[str, Algorithm | BadInput]:
    found: dict[str, Algorithm | BadInput] = {}
    for folder in _folders(containers):
        try:
            found[folder.name] = load_algorithm(folder)
        except BadInput as error:
            found[folder.name] = error
    return found


def _folders(containers: Path) -> list[Path]:
    """Find the algorithm folders: those with an algorithm.yaml, sorted."""
    found = (path.parent for path in sorted(containers.glob("*/algorithm.yaml")))
    return [folder for folder in found if not folder.name.startswith(".")]


def load_algorithm(folder: Path) -> Algorithm:
    """Load one algorithm folder.

    Raises
    ------
    BadInput
        When algorithm.yaml does not fit its schema, its name is not the folder's, it names a parameter that does not
        exist, or a preset sets one out of range.
    """
    path = folder / "algorithm.yaml"
    declaration = read_yaml(path, Declaration, hint=_HINT)
    if declaration.name != folder.name:
        message = f"{path}: expected name {folder.name}, as its folder, got {declaration.name}"
        raise BadInput(message, "Rename the folder or the algorithm.")
    algorithm = _algorithm(folder, declaration)
    of_prior = algorithm.prior.required_with if algorithm.prior else ()
    named = {*algorithm.extra_movies, *algorithm.prediction_params, *of_prior}
    if unknown := sorted(named - {*algorithm.params}):
        fields = "extra_movies, prediction_params and prior"
        message = f"{path}: expected names of parameters in {fields}, got {', '.join(unknown)}"
        raise BadInput(message, "Parameters are described under params.")
    for preset in algorithm.presets:
        resolve_params(algorithm, preset, {})
    return algorithm


def in_environment(algorithm: Algorithm, environment: str) -> Algorithm:
    """Return an algorithm in another environment: a pinned one of its folder, or the Python of this machine.

    Parameters
    ----------
    algorithm : Algorithm
        As loaded.
    environment : str
        "current", one that its algorithm.yaml names, or "system".

    Raises
    ------
    BadInput
        When it has no such environment.
    """
    if environment == algorithm.environment:
        return algorithm
    if environment == SYSTEM:
        return replace(algorithm, environment=SYSTEM)
    if environment not in algorithm.environments:
        known = ", ".join([CURRENT, *algorithm.environments])
        message = f"{algorithm.name}: expected an environment of {known}, got {environment}"
        raise BadInput(message, f"algorithm.yaml of {algorithm.name} names them under environments.")
    upstream = algorithm.environments[environment]
    document = {**algorithm.document, "upstream": plain(upstream)}
    return replace(algorithm, environment=environment, upstream=upstream, document=document)


def resolve_params(algorithm: Algorithm, preset: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """Return every parameter of a run: default, then preset, then what the user set.

    Parameters
    ----------
    algorithm : Algorithm
        Whose parameters.
    preset : str
        smoke, quick, movie, default or published, as the algorithm has them.
    overrides : dict
        Values by name; text is read as YAML, as from a command line.

    Returns
    -------
    dict
        Value by name, sorted, complete.

    Raises
    ------
    BadInput
        For an unknown preset or parameter, a wrong type, or a value out of range.
    """
    if preset not in algorithm.presets:
        message = f"{algorithm.name}: expected a preset of {', '.join(algorithm.presets)}, got {preset}"
        raise BadInput(message, "Choose one with --preset.")
    values = {name: param.default for name, param in algorithm.params.items()}
    for name, value in (*algorithm.presets[preset].items(), *overrides.items()):
        if name not in algorithm.params:
            known = ", ".join(sorted(algorithm.params)) or "none"
            message = f"{algorithm.name}: expected a parameter of {known}, got {name}"
            raise BadInput(message, f"`calm list {algorithm.name}` describes its parameters.")
        values[name] = _value(algorithm.name, algorithm.params[name], value)
    return dict(sorted(values.items()))


def _value(algorithm: str, param: Param, value: Any) -> Any:  # noqa: ANN401 - a parameter has one of several types
    given = _from_text(param, value) if isinstance(value, str) and param.type != "str" else value
    if sentence := param.misfit(given):
        message = f"{algorithm}: {sentence}"
        raise BadInput(message, f"{param.name}: {param.help}")
    return float(given) if param.type == "float" and given is not None else given


def _from_text(param: Param, text: str) -> Any:  # noqa: ANN401 - a parameter has one of several types
    """Read a value as YAML; text that is none is returned as it is, and refused for its type."""
    try:
        given = yaml.safe_load(text)
        return float(given) if param.type == "float" and isinstance(given, str) else given  # 1e-4 is text in YAML 1.1
    except (yaml.YAMLError, ValueError):
        return text


def _algorithm(folder: Path, declaration: Declaration) -> Algorithm:
    document = plain(declaration)
    presets = {name: values for name in _PRESETS if (values := getattr(declaration.presets, name)) is not None}
    return Algorithm(
        folder=folder,
        name=declaration.name,
        title=declaration.title,
        kind=declaration.kind,
        summary=declaration.summary,
        licence=declaration.licence,
        paper=declaration.paper,
        upstream=declaration.upstream,
        environment=CURRENT,
        environments=declaration.environments,
        devices=declaration.devices,
        memory_bytes=declaration.resources.memory_bytes,
        needs_training=declaration.needs_training,
        params=declared(document["params"]),
        presets=presets,
        shares=tuple(_shared(folder, declaration.shares)),
        controls=declaration.controls or {},
        extra_movies=declaration.extra_movies or (),
        prediction_params=declaration.prediction_params or (),
        prior=None if declaration.prior is None else _prior(declaration.prior),
        document=document,
    )


def _shared(folder: Path, shares: Sequence[str]) -> Iterator[Path]:
    """Yield the files that an algorithm shares: those it names, and every module of the folders it names."""
    for share in shares:
        path = (folder / share).resolve()
        found = [path] if path.is_file() else sorted(path.glob("*.py"))
        if not found:
            message = f"{folder / 'algorithm.yaml'}: at shares: expected a file or a folder of modules, got {share}"
            raise BadInput(message, "Paths of shares begin at the folder of the algorithm.")
        yield from found


def _prior(declared_prior: DeclaredPrior) -> PriorUse:
    return PriorUse(
        required=declared_prior.required,
        required_with=declared_prior.required_with or {},
        help=declared_prior.help,
    )
