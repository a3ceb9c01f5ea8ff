"""What a page about all algorithms on one movie begins with: the candidates, and what to take of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluation.checks.lights import Light

if TYPE_CHECKING:
    from evaluation.checks.lights import Topic, Verdict
    from evaluation.checks.standing import Standing

_CERTAIN = 2.0  # standard errors by which one stands above the running means, or above another


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One denoised movie, or why there is none.

    Parameters
    ----------
    title, role : str
        As in the tables.
    verdict : Verdict or None
        Its checks.
    standing : Standing or None
        Trace SNR beside the running means of equal slope; None where it cannot be told.
    seconds, memory_bytes : float
        What it cost, training and prediction together.
    failure : str
        Why there is no movie; empty where there is one.
    """

    title: str
    role: str
    verdict: Verdict | None = None
    standing: Standing | None = None
    seconds: float = 0.0
    memory_bytes: int = 0
    failure: str = ""

    def light(self, topic: Topic) -> Light:
        """Return a light; not tested where there was nothing to test."""
        return Light.NOT_TESTED if self.verdict is None else self.verdict.light(topic)

    @property
    def times(self) -> float:
        """SNR over that of the running mean of equal slope; NaN where it is not known."""
        return math.nan if self.standing is None else self.standing.times.value

    @property
    def least(self) -> float:
        """The least it is, two standard errors below; 0 where it is not known."""
        return 0.0 if self.standing is None else self.times - self.margin

    @property
    def margin(self) -> float:
        """Two standard errors of it; 0 where they are not known."""
        error = math.nan if self.standing is None else self.standing.times.error
        return _CERTAIN * error if math.isfinite(error) else 0.0

    @property
    def times_text(self) -> str:
        """It in words of the page; empty where it is not known."""
        if self.standing is None:
            return ""
        error = self.standing.times.error
        return f"{self.times:.2f}" + (f" ± {error:.2f}" if math.isfinite(error) else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recommendation:
    """What to take (empty for nothing), in words, why, what speaks against it, and why not each of the others."""

    title: str
    sentence: str
    reasons: tuple[str, ...]
    doubts: tuple[str, ...]
    others: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shortlist:
    """What a page about all algorithms begins with.

    Parameters
    ----------
    recommendation : Recommendation
        What to take.
    candidates : tuple of Candidate
        Every run, in the order of the tables.
    curve : tuple of (float, float)
        Slope and SNR of the running means of 1, 3, 7, 15 and 31 frames.
    """

    recommendation: Recommendation
    candidates: tuple[Candidate, ...]
    curve: tuple[tuple[float, float], ...]
