"""What algorithm.yaml says of the values of parameters: their range and choices.

The orchestrator holds the parameters of a job to it. Upstream's YAML files and checkpoints come past it, so the same
is asked of their values here.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def misfits(params: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each value that is out of range or not among the choices; None is for `settings` to judge.

    Parameters
    ----------
    params : mapping
        Values by the name of the parameter.
    """
    for name, declared in _declared().items():
        value = params.get(name)
        if value is None:
            continue
        low, high = declared.get("range", (value, value))
        if not low <= value <= high:
            yield f"{name}: expected {low} to {high}, got {value}"
        elif value not in declared.get("choices", (value,)):
            yield f"{name}: expected one of {', '.join(declared['choices'])}, got {value!r}"


@cache
def _declared() -> dict[str, Any]:
    """Read algorithm.json, which images hold, or algorithm.yaml, of which it is made."""
    made = Path(__file__).with_name("algorithm.json")
    document = json.loads(made.read_text()) if made.exists() else yaml.safe_load(made.with_suffix(".yaml").read_text())
    params: dict[str, Any] = document["params"]
    return params
