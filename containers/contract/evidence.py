"""Did training end with a usable result? An algorithm gathers the evidence; here it is told, kept and acted upon."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from contract.errors import DidNotConverge
from contract.files import write_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from contract.events import Events
    from contract.job import Job


class Evidence(Protocol):
    """A dataclass of figures that says what they mean."""

    @property
    def sentence(self) -> str:
        """The figures in words."""

    @property
    def failure(self) -> str | None:
        """Why the result is of no use, with the figures; None where it is of use."""


def document_of(evidence: DataclassInstance) -> dict[str, Any]:
    """Return the figures of an evidence for JSON; null where one is not finite, as after a step that exploded."""
    return {name: _finite(value) for name, value in asdict(evidence).items()}


def judge(evidence: Evidence, events: Events, *, on: str = "", required: bool = True, hint: str = "") -> None:
    """Tell the evidence, and end the job where it says that the result is of no use.

    Parameters
    ----------
    evidence : Evidence
        Of a training that came to its end.
    events : Events
        Told the figures.
    on : str
        What the figures were taken on, where they do not say it themselves.
    required : bool
        False where the user said to go on regardless: `convergence: reported`.
    hint : str
        What may help.

    Raises
    ------
    DidNotConverge
        With the figures.
    """
    found = ", ".join(filter(None, (on, evidence.failure or evidence.sentence)))
    events.message(f"evidence: {found}")
    if required and evidence.failure:
        raise DidNotConverge("; ".join(filter(None, (found, hint))))


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """What a training does to the mean of frames, intensity units.

    Parameters
    ----------
    noisy, predicted : float
        Mean of the frames as they are, and as the trained network gives them.
    on : str
        Which frames: at best some that were not trained on.
    """

    noisy: float
    predicted: float
    on: str

    @property
    def percent(self) -> float:
        """How far the mean moves, percent of it; not a number where it is 0."""
        return 100 * (self.predicted - self.noisy) / abs(self.noisy) if self.noisy else math.nan

    @property
    def sentence(self) -> str:
        """The figures in words."""
        return f"{self.on}: the mean moves by {self.percent:+.2g} %, from {self.noisy:.6g} to {self.predicted:.6g}"


def tell_baseline(baseline: Baseline, job: Job, events: Events) -> None:
    """Tell what a training does to the mean, and write it to `baseline.json` beside the checkpoint's weights."""
    events.message(f"baseline on {baseline.sentence}")
    document = document_of(baseline) | {"percent": _finite(baseline.percent)}
    write_json(job.checkpoint / "baseline.json", document)


def _finite(value: object) -> object:
    match value:
        case list() | tuple():
            return [_finite(one) for one in value]
        case float() if not math.isfinite(value):
            return None
    return value
