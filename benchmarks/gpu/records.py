"""What is measured and what was found, as records; the JSON file is these and nothing else."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpu.bench import Bench

Status = Literal["under way", "done", "cut off", "failed", "skipped", "not reached"]
Arithmetic = Literal["", "bfloat16", "TF32"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One number or fact.

    Parameters
    ----------
    case : str
        What it was measured on, for instance "fast bfloat16".
    name : str
        What it says, for instance "frames a second".
    value : float, int, str or None
        None where it cannot be known, with the reason in the note.
    unit : str
        Unit; "" for facts.
    note : str
        What to know before quoting it.
    arithmetic : {"", "bfloat16", "TF32"}
        In which it was reached; such a figure is withheld where the arithmetic was not seen to be right on the card.
    """

    case: str
    name: str
    value: float | int | str | None
    unit: str = ""
    note: str = ""
    arithmetic: Arithmetic = ""

    def withheld(self, why: str) -> Figure:
        """Return the figure without its value."""
        return replace(self, value=None, note=f"withheld: {why}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One question and the measurement that answers it.

    Parameters
    ----------
    name : str
        Short name.
    asks : str
        The question, one sentence.
    bound_s : float
        Most seconds it may take.
    measure : callable
        Yields figures as they are found.
    needs : tuple of str
        Packages beside torch and numpy.
    devices : tuple of str
        Where it makes sense.
    """

    name: str
    asks: str
    bound_s: float
    measure: Callable[[Bench], Iterator[Figure]]
    needs: tuple[str, ...] = ()
    devices: tuple[str, ...] = ("cpu", "cuda")


@dataclass(kw_only=True, slots=True)
class Outcome:
    """What a step found.

    Parameters
    ----------
    name, asks : str
        Of the step.
    status : str
        "done"; "under way" where the session was killed; "cut off" by its time, "failed", "skipped" for what is
        missing, or "not reached" in time: `note` says more. Figures found until then count.
    seconds : float
        What it took.
    """

    name: str
    asks: str
    status: Status = "not reached"
    seconds: float = 0.0
    note: str = ""
    figures: list[Figure] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """A whole session.

    Parameters
    ----------
    date : str
        ISO date.
    device : {"cpu", "cuda"}
        Where everything ran.
    command : str
        What was typed.
    outcomes : list of Outcome
        One for each step, in order, also for those not reached.
    """

    date: str
    device: str
    command: str
    outcomes: list[Outcome]

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        return asdict(self)

    def fact(self, name: str) -> str:
        """Return a fact of the machine by its name, "unknown" where it was not found."""
        values = [one.value for outcome in self.outcomes for one in outcome.figures if one.name == name]
        return str(values[0]) if values else "unknown"


def read_report(document: dict[str, Any]) -> Report:
    """Return the report of a JSON document, the inverse of `Report.document`."""
    outcomes = [
        Outcome(**one | {"figures": [Figure(**figure) for figure in one["figures"]]}) for one in document["outcomes"]
    ]
    return Report(**document | {"outcomes": outcomes})
