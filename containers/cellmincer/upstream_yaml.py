"""Upstream's three YAML files (manifest, preprocess, train), read strictly into parameters.

Upstream reads any key and any type, so a slip such as ``infer_active_t_range: trues`` counts as true there
(a text that is not empty). Here an unknown key or a wrong type is refused with a sentence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from contract.errors import JobRefused
from upstream_keys import EXPECTED, FILES, MODEL, Key, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def overrides(texts: Mapping[str, str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Read YAML texts into parameters.

    Parameters
    ----------
    texts : mapping of {"manifest", "preprocess", "train"} to str
        Content of upstream's files; empty where there is none.

    Returns
    -------
    params : dict
        Parameters that the texts set.
    without_effect : tuple of str
        Keys that were there and right but change nothing here, as paths.

    Raises
    ------
    JobRefused
        When a text is not YAML, or for an unknown key, a mistyped value or an unsupported one; all of them are named.
    """
    found = _Found()
    for name, text in texts.items():
        found.read(_load(name, text), FILES[name], f"{name}_yaml")
    return found.checked(), tuple(found.without_effect)


def network_params(document: dict[str, Any], where: str) -> dict[str, Any]:
    """Read the `model_config` of an upstream checkpoint into parameters.

    Parameters
    ----------
    document : dict
        Keys as in the section `model` of train.yaml.
    where : str
        Name for messages.

    Raises
    ------
    JobRefused
        For an unknown key or a wrong value.
    """
    found = _Found()
    found.read(document, MODEL, where)
    return found.checked()


class _Found:
    """What was read so far."""

    def __init__(self) -> None:
        self._params: dict[str, Any] = {}
        self._wrong: list[str] = []
        self.without_effect: list[str] = []

    def read(self, document: dict[str, Any], keys: dict[str, Any], where: str) -> None:
        for path, key, value in _entries(document, keys, where):
            if isinstance(key, str):
                self._wrong.append(key)
            elif (problem := _problem(path, key, value)) is not None:
                self._wrong.append(problem)
            elif key.params:
                values = key.convert(value) if key.convert is not None and value is not None else (value,)
                self._params.update(zip(key.params, values, strict=True))
            elif key.only is None and not key.choices:
                self.without_effect.append(path)

    def checked(self) -> dict[str, Any]:
        if self._wrong:
            raise JobRefused("; ".join(self._wrong))
        return self._params


def _load(name: str, text: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        message = f"{name}_yaml: expected YAML, got {' '.join(str(error).split())}"
        raise JobRefused(message) from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        message = f"{name}_yaml: expected keys and values as in upstream's {name}.yaml, got {type(document).__name__}"
        raise JobRefused(message)
    return document


def _entries(document: dict[str, Any], keys: dict[str, Any], where: str) -> Iterator[tuple[str, Key | str, Any]]:
    """Yield path, key and value; in place of the key a sentence where there is none."""
    for name, value in document.items():
        path = f"{where}.{name}"
        known = keys.get(name)
        if known is None:
            yield path, f"{path}: unknown key; known are {', '.join(sorted(keys))}", value
        elif isinstance(known, Key):
            yield path, known, value
        elif isinstance(value, dict):
            yield from _entries(value, known, path)
        elif value is not None:
            yield path, f"{path}: expected keys and values, got {value!r}", value


def _problem(where: str, key: Key, value: object) -> str | None:
    if value is None:
        return None if key.null else f"{where}: expected {EXPECTED[key.kind]}, got nothing"
    if not _fits(key.kind, value):
        hint = " (YAML needs a dot in 1.0e-4)" if isinstance(value, str) and _looks_like_number(value) else ""
        return f"{where}: expected {EXPECTED[key.kind]}, got {value!r}{hint}"
    if key.choices and value not in key.choices:
        return f"{where}: expected one of {', '.join(key.choices)}, got {value!r}"
    if key.only is not None and value != key.only:
        return f"{where}: only {str(key.only).lower()} is supported, got {value!r}"
    if len(key.params) > 1 and isinstance(value, list) and len(value) != len(key.params):
        return f"{where}: expected {len(key.params)} values, got {value!r}"
    return None


def _fits(kind: Kind, value: object) -> bool:
    match kind:
        case "flag":
            return isinstance(value, bool)
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "text":
            return isinstance(value, str)
        case "ints" | "numbers":
            return isinstance(value, list) and all(_fits("int" if kind == "ints" else "number", one) for one in value)


def _looks_like_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
