"""Parameters as algorithm.yaml declares them: type, range, choices and form, held to by both sides of the contract."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from contract.errors import JobRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Form = Literal["odd", "power of two"]
_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Param:
    """One parameter of an algorithm, under upstream's own name.

    Parameters
    ----------
    name : str
        Name.
    type : {"int", "float", "bool", "str"}
        Type of its value.
    default : object
        Value where neither preset nor user say otherwise.
    unit : str or None
        Unit of the value.
    help : str
        What it does, in one sentence.
    range : tuple of float or None
        Smallest and largest value allowed.
    choices : tuple of str
        Values allowed; empty means any.
    form : {"odd", "power of two"} or None
        What a whole number must be beside that.
    nullable : bool
        Whether "null" is a value.
    cost : str or None
        What grows with it, such as "training time, training memory".
    """

    name: str
    type: Literal["int", "float", "bool", "str"]
    default: Any
    unit: str | None = None
    help: str = ""
    range: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    form: Form | None = None
    nullable: bool = False
    cost: str | None = None

    def misfit(self, value: object) -> str | None:
        """Return a sentence for a value that is not allowed, None for one that is."""
        if value is None and self.nullable:
            return None
        if not isinstance(value, _TYPES[self.type]) or (isinstance(value, bool) and self.type != "bool"):
            return f"{self.name}: expected {self.type}, got {value!r}"
        if isinstance(value, float) and not math.isfinite(value):
            return f"{self.name}: expected a finite number, got {value}"
        if isinstance(value, int | float) and not self._within(value):
            return f"{self.name}: expected {self._wanted}, got {value}"
        if self.choices and value not in self.choices:
            return f"{self.name}: expected one of {', '.join(map(str, self.choices))}, got {value!r}"
        return None

    @property
    def values(self) -> str:
        """Which values are allowed, in words."""
        some = ", ".join(map(str, self.choices)) or self._wanted or {"bool": "true or false"}.get(self.type, "any text")
        return f"{some}, or null" if self.nullable else some

    @property
    def _wanted(self) -> str:
        """Range and form in words."""
        between = f"{self.range[0]} to {self.range[1]}" if self.range else ""
        match self.form:
            case "odd":
                return " from ".join(filter(None, ("an odd number", between)))
            case "power of two":
                return " from ".join(filter(None, ("a power of two", between)))
        return between

    def _within(self, value: float) -> bool:
        if self.range is not None and not self.range[0] <= value <= self.range[1]:
            return False
        match self.form:
            case "odd":
                return value % 2 == 1
            case "power of two":
                return value > 0 and math.log2(value).is_integer()
        return True


def declared(params: Mapping[str, Mapping[str, Any]]) -> dict[str, Param]:
    """Read `params` of an algorithm.yaml, which fits its schema.

    Returns
    -------
    dict of str to Param
        By name, in the order of the file.
    """
    return {name: _param(name, one) for name, one in params.items()}


def misfits(values: Mapping[str, Any], params: Mapping[str, Param]) -> Iterator[str]:
    """Yield a sentence for each value that its parameter does not allow; names that are no parameter are left alone."""
    for name, value in values.items():
        if name in params and (sentence := params[name].misfit(value)):
            yield sentence


def check(values: Mapping[str, Any], params: Mapping[str, Param]) -> None:
    """Hold the parameters of a job to their declaration.

    Raises
    ------
    JobRefused
        When one is missing or unknown, or has a value that is not allowed.
    """
    wrong = [f"{name}: expected a value, got none" for name in params if name not in values]
    wrong += [f"{name}: expected a parameter of algorithm.yaml, got another" for name in values if name not in params]
    wrong += misfits(values, params)
    if wrong:
        raise JobRefused("params: " + "; ".join(wrong))


def _param(name: str, document: Mapping[str, Any]) -> Param:
    span = tuple(document["range"]) if "range" in document else None
    return Param(name=name, **{**document, "range": span, "choices": tuple(document.get("choices", ()))})
