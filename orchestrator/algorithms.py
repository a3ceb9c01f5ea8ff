"""From YAML on disk to the nouns of the domain, checked once, here."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from orchestrator.domain import CURRENT, Algorithm, Param, PriorUse
from orchestrator.errors import BadInput

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the compiled one is ten times faster
_SCHEMAS = Path(__file__).parent / "schemas"


def read_yaml(path: Path, schema: Path) -> dict[str, Any]:
    """Read a YAML file and check it against a JSON schema.

    Raises
    ------
    BadInput
        When the file is missing, is not YAML or does not fit; the message names the place in the file.
    """
    import jsonschema  # noqa: PLC0415 - 60 ms that `calm --help` need not spend

    try:
        document: dict[str, Any] = yaml.load(path.read_text(), Loader=_Loader)  # noqa: S506 - a safe loader
    except (OSError, yaml.YAMLError) as error:
        message = f"{path}: expected a readable YAML file, got {error}"
        raise BadInput(message, "Restore the file from version control, or mend it.") from error
    validator = jsonschema.Draft202012Validator(json.loads(schema.read_text()))
    for problem in sorted(validator.iter_errors(document), key=lambda one: list(map(str, one.absolute_path))):
        where = ".".join(map(str, problem.absolute_path)) or "the top level"
        message = f"{path}: at {where}: {problem.message}"
        raise BadInput(message, f"The fields are described in {schema.name}.")
    return document


@cache
def load_algorithms(containers: Path) -> dict[str, Algorithm]:
    """Find every algorithm folder: a folder of `containers/` with an algorithm.yaml.

    Returns
    -------
    dict of str to Algorithm
        By name, sorted.
    """
    found = (load_algorithm(path.parent) for path in sorted(containers.glob("*/algorithm.yaml")))
    return {algorithm.name: algorithm for algorithm in found}


def load_algorithm(folder: Path) -> Algorithm:
    """Load one algorithm folder.

    Raises
    ------
    BadInput
        When algorithm.yaml does not fit its schema, its name is not the folder's, it names a parameter that does not
        exist, or a preset sets one out of range.
    """
    path = folder / "algorithm.yaml"
    document = read_yaml(path, _SCHEMAS / "algorithm.schema.json")
    if document["name"] != folder.name:
        message = f"{path}: expected name {folder.name}, as its folder, got {document['name']}"
        raise BadInput(message, "Rename the folder or the algorithm.")
    algorithm = _algorithm(folder, document)
    named = {*algorithm.extra_movies, *(algorithm.prior.required_with if algorithm.prior else ())}
    if unknown := sorted(named - {*algorithm.params}):
        message = f"{path}: expected names of parameters in extra_movies and prior, got {', '.join(unknown)}"
        raise BadInput(message, "Parameters are described under params.")
    for preset in algorithm.presets:
        resolve_params(algorithm, preset, {})
    return algorithm


def in_environment(algorithm: Algorithm, environment: str) -> Algorithm:
    """Return an algorithm in another pinned environment of its folder.

    Parameters
    ----------
    algorithm : Algorithm
        As loaded.
    environment : str
        "current", or one that its algorithm.yaml names.

    Raises
    ------
    BadInput
        When it has no such environment.
    """
    if environment == algorithm.environment:
        return algorithm
    if environment not in algorithm.environments:
        known = ", ".join([CURRENT, *algorithm.environments])
        message = f"{algorithm.name}: expected an environment of {known}, got {environment}"
        raise BadInput(message, f"algorithm.yaml of {algorithm.name} names them under environments.")
    upstream = algorithm.environments[environment]
    document = {**algorithm.document, "upstream": upstream}
    return replace(algorithm, environment=environment, upstream=upstream, document=document)


def resolve_params(algorithm: Algorithm, preset: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """Return every parameter of a run: default, then preset, then what the user set.

    Parameters
    ----------
    algorithm : Algorithm
        Whose parameters.
    preset : str
        quick, default or published.
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
    if given is None and param.nullable:
        return None
    types: dict[str, Any] = {"int": int, "float": (int, float), "bool": bool, "str": str}
    if not isinstance(given, types[param.type]) or (isinstance(given, bool) and param.type != "bool"):
        message = f"{algorithm}: {param.name}: expected {param.type}, got {value!r}"
        raise BadInput(message, f"{param.name}: {param.help}")
    if isinstance(given, float) and not math.isfinite(given):
        message = f"{algorithm}: {param.name}: expected a finite number, got {given}"
        raise BadInput(message, f"{param.name}: {param.help}")
    if param.range is not None and not param.range[0] <= given <= param.range[1]:
        message = f"{algorithm}: {param.name}: expected {param.range[0]} to {param.range[1]}, got {given}"
        raise BadInput(message, f"{param.name}: {param.help}")
    if param.choices and given not in param.choices:
        message = f"{algorithm}: {param.name}: expected one of {', '.join(map(str, param.choices))}, got {given}"
        raise BadInput(message, f"{param.name}: {param.help}")
    return float(given) if param.type == "float" else given


def _from_text(param: Param, text: str) -> Any:  # noqa: ANN401 - a parameter has one of several types
    """Read a value as YAML; text that is none is returned as it is, and refused for its type."""
    try:
        given = yaml.safe_load(text)
        return float(given) if param.type == "float" and isinstance(given, str) else given  # 1e-4 is text in YAML 1.1
    except (yaml.YAMLError, ValueError):
        return text


def _algorithm(folder: Path, document: dict[str, Any]) -> Algorithm:
    params = {
        name: Param(
            name=name,
            type=one["type"],
            default=one["default"],
            unit=one.get("unit"),
            help=one["help"],
            range=tuple(one["range"]) if "range" in one else None,
            choices=tuple(one.get("choices", ())),
            nullable=one.get("nullable", False),
        )
        for name, one in document["params"].items()
    }
    same = ("name", "title", "kind", "summary", "licence", "paper", "upstream", "needs_training", "presets")
    return Algorithm(
        folder=folder,
        environment=CURRENT,
        environments=document.get("environments", {}),
        devices=tuple(document["devices"]),
        memory_bytes=document["resources"]["memory_bytes"],
        params=params,
        shares=tuple((folder / path).resolve() for path in document.get("shares", ())),
        controls=document.get("controls", {}),
        extra_movies=tuple(document.get("extra_movies", ())),
        prior=_prior(document["prior"]) if "prior" in document else None,
        document=document,
        **{name: document[name] for name in same},
    )


def _prior(document: dict[str, Any]) -> PriorUse:
    return PriorUse(
        required=document["required"],
        required_with={name: tuple(values) for name, values in document.get("required_with", {}).items()},
        help=document["help"],
    )
