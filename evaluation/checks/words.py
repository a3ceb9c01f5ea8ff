"""The lights in words and shapes, for a terminal and a page: never colour alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluation.checks.lights import Light, Topic
from orchestrator.records.record import MovieName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evaluation.checks.lights import Check, Verdict

SHAPES = {Light.PASS: "●", Light.DOUBT: "▲", Light.FAIL: "■", Light.NOT_TESTED: "○"}


@dataclass(frozen=True, kw_only=True, slots=True)
class LightRow:
    """One light of a movie as it is shown.

    Attributes
    ----------
    topic : str
        "amplitude", "time" or "invented structure".
    light : Light
    shape : str
        A sign that differs for each light.
    reasons : tuple of str
        A sentence with its number and band for each check that gave the light; one for a pass.
    """

    topic: str
    light: Light
    shape: str
    reasons: tuple[str, ...]


def light_rows(verdict: Verdict) -> tuple[LightRow, ...]:
    """Return the three lights of a movie, as a terminal and a page show them."""
    return tuple(_row(verdict, topic) for topic in Topic)


def _row(verdict: Verdict, topic: Topic) -> LightRow:
    light = verdict.light(topic)
    checks = verdict.reasons(topic)
    reasons = (_passed(verdict, topic),) if light is Light.PASS else tuple(reason(check) for check in checks)
    return LightRow(topic=topic.value, light=light, shape=SHAPES[light], reasons=reasons)


def _passed(verdict: Verdict, topic: Topic) -> str:
    checks = [check for check in verdict.checks if check.topic is topic]
    passed = sum(check.light is Light.PASS for check in checks)
    untested = [check.name for check in checks if check.light is Light.NOT_TESTED]
    return f"{passed} checks passed" + (f"; not tested: {', '.join(untested)}." if untested else ".")


def reason(check: Check) -> str:
    """Return a check in one line: what it means, its name, number and band."""
    if check.value is None or not check.unit:  # a check without a unit asks yes or no
        return f"{check.sentence} ({check.name})"
    number = f"{check.value:.3g}" + (f" ± {check.error:.1g}" if check.error else "")
    return f"{check.sentence} ({check.name}: {number} {check.unit}; passes {check.band})"


def lights_text(verdicts: Mapping[str, Verdict]) -> str:
    """Write the three lights of every movie of a run, and what the checks cost.

    Parameters
    ----------
    verdicts : mapping of str to Verdict
        By SPLIT/NAME, as `check_run` returns them; a file is called by its name alone where no other has it.
    """
    if not verdicts:
        return "May I believe it? Not tested: single images hold no activity."
    files = Counter(MovieName.of(name).file for name in verdicts)
    blocks = []
    for name, verdict in sorted(verdicts.items()):
        file = MovieName.of(name).file
        blocks.append(_block(file if files[file] == 1 else name, verdict))
    seconds = sum(verdict.seconds for verdict in verdicts.values())
    return "\n".join([*blocks, f"Checks took {seconds:.1f} s; docs/checks.md explains each."])


def _block(name: str, verdict: Verdict) -> str:
    lines = [f"May I believe {name}?", *(f"  ! {sentence}" for sentence in verdict.plain)]
    for row in light_rows(verdict):
        lines += [f"  {row.shape} {row.topic + ':':20}{row.light}", *(f"      {one}" for one in row.reasons)]
    lines += [f"  {sentence}" for sentence in verdict.notes]
    return "\n".join(lines)
