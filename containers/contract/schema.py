"""Check a JSON document against the subset of JSON Schema that the contract uses, with the standard library only."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


@cache
def job_schema() -> dict[str, Any]:
    """Return the JSON schema of `job.json`."""
    schema: dict[str, Any] = json.loads((Path(__file__).parent / "job.schema.json").read_text(encoding="utf-8"))
    return schema


def problems(value: object, schema: dict[str, Any], where: str = "job") -> list[str]:
    """List what is wrong with a document.

    Parameters
    ----------
    value : object
        Parsed JSON.
    schema : dict
        JSON schema using only type, const, enum, minLength, pattern, minimum, maximum, exclusiveMinimum, items,
        properties, required and additionalProperties.
    where : str
        Name of the document, the head of every path in the messages.

    Returns
    -------
    list of str
        One sentence per problem; empty when the document is valid.
    """
    found = _type_problem(value, schema, where)
    if found:
        return found
    found = _scalar_problems(value, schema, where)
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            found += problems(item, schema["items"], f"{where}[{index}]")
    if isinstance(value, dict):
        found += _object_problems(value, schema, where)
    return found


def _type_problem(value: object, schema: dict[str, Any], where: str) -> list[str]:
    if "type" not in schema:
        return []
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    fits = any(isinstance(value, _TYPES[name]) and (isinstance(value, bool) == (name == "boolean")) for name in names)
    return [] if fits else [f"{where}: expected {' or '.join(names)}, got {value!r}"]


def _scalar_problems(value: object, schema: dict[str, Any], where: str) -> list[str]:
    found = []
    if "const" in schema and value != schema["const"]:
        found.append(f"{where}: expected {schema['const']!r}, got {value!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where}: expected one of {', '.join(map(str, schema['enum']))}, got {value!r}")
    if isinstance(value, str):
        if len(value) < schema.get("minLength", 0):
            found.append(f"{where}: expected at least {schema['minLength']} characters, got {value!r}")
        if "pattern" in schema and not re.search(schema["pattern"], value):
            found.append(f"{where}: expected text like {schema['pattern']}, got {value!r}")
    if isinstance(value, int | float):
        found += _range_problems(value, schema, where)
    return found


def _range_problems(value: float, schema: dict[str, Any], where: str) -> list[str]:
    found = []
    if "minimum" in schema and value < schema["minimum"]:
        found.append(f"{where}: expected at least {schema['minimum']}, got {value!r}")
    if "maximum" in schema and value > schema["maximum"]:
        found.append(f"{where}: expected at most {schema['maximum']}, got {value!r}")
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        found.append(f"{where}: expected more than {schema['exclusiveMinimum']}, got {value!r}")
    return found


def _object_problems(value: dict[str, Any], schema: dict[str, Any], where: str) -> list[str]:
    known = schema.get("properties", {})
    found = [f"{where}: {name} is missing" for name in schema.get("required", []) if name not in value]
    for name in sorted(value):
        if name in known:
            found += problems(value[name], known[name], f"{where}.{name}")
        elif schema.get("additionalProperties") is False:
            found.append(f"{where}: unknown field {name}; known fields are {', '.join(sorted(known))}")
    return found
