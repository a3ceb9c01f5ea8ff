"""The answer of a check: a light, a number, the band it should lie in, and one sentence for a microscopist."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_CERTAIN = 2.0  # standard errors that a number must lie beyond a limit before it counts as beyond it


class Light(StrEnum):
    """Answer of a check; the worst answer of several is theirs together."""

    PASS = "pass"  # noqa: S105 - not a password
    DOUBT = "doubt"
    FAIL = "fail"
    NOT_TESTED = "not tested"


class Topic(StrEnum):
    """What a light is about."""

    AMPLITUDE = "amplitude"
    TIME = "time"
    INVENTED = "invented structure"


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """Limits of a number: it passes from `low` to `high`, fails beyond `fail_low` and `fail_high`; None is open."""

    low: float | None = None
    high: float | None = None
    fail_low: float | None = None
    fail_high: float | None = None

    def light(self, value: float, error: float) -> Light:
        """Judge a number by its standard error.

        Parameters
        ----------
        value, error : float
            The number and its standard error, in the unit of the band; an error of 0 is a count.

        Returns
        -------
        Light
            Doubt or fail where the number lies beyond a limit by two standard errors; not tested where the error is
            so large that a fault would not be seen.
        """
        if not (math.isfinite(value) and math.isfinite(error)):
            return Light.NOT_TESTED
        low, high = value - _CERTAIN * error, value + _CERTAIN * error
        if _beyond(low, high, self.fail_low, self.fail_high):
            return Light.FAIL
        if _beyond(low, high, self.low, self.high):
            return Light.DOUBT
        return Light.NOT_TESTED if high - low > self._span() else Light.PASS

    def _span(self) -> float:
        """Return the widest interval that still tells a number in the band from one that fails."""
        sides = ((self.high, self.fail_high), (self.fail_low, self.low), (self.low, self.high))
        return 2 * max(above - below for below, above in sides if below is not None and above is not None)

    def __str__(self) -> str:
        if self.low is None:
            return f"at most {self.high:g}"
        if self.high is None:
            return f"at least {self.low:g}"
        return f"{self.low:g} to {self.high:g}"


def _beyond(low: float, high: float, least: float | None, most: float | None) -> bool:
    return (most is not None and low > most) or (least is not None and high < least)


def at_most(limit: float, fail: float) -> Band:
    """Return the band of a number that should be small."""
    return Band(high=limit, fail_high=fail)


def at_least(limit: float, fail: float) -> Band:
    """Return the band of a number that should be large."""
    return Band(low=limit, fail_low=fail)


def about_zero(limit: float, fail: float) -> Band:
    """Return the band of a number that should be 0."""
    return Band(low=-limit, high=limit, fail_low=-fail, fail_high=fail)


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """Outcome of one check.

    Attributes
    ----------
    name : str
        Name in docs/checks.md.
    topic : Topic
        The light it belongs to.
    light : Light
    value, error : float or None
        The number and its standard error; None where there is none.
    band : Band
        Where the number should lie.
    unit : str
    sentence : str
        What the number means, in words of the microscope.
    """

    name: str
    topic: Topic
    light: Light
    value: float | None
    error: float | None
    band: Band
    unit: str
    sentence: str


def judged(  # noqa: PLR0913 - the fields of a check
    name: str, topic: Topic, value: float, error: float, band: Band, *, unit: str, sentences: dict[Light, str]
) -> Check:
    """Judge a number; `sentences` says what pass, doubt and fail mean, and why it may be not tested."""
    light = band.light(value, error)
    said = sentences.get(light) or sentences[Light.FAIL]
    return Check(
        name=name,
        topic=topic,
        light=light,
        value=value if math.isfinite(value) else None,
        error=error if math.isfinite(error) else None,
        band=band,
        unit=unit,
        sentence=said,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What can be believed of one denoised movie.

    Attributes
    ----------
    checks : tuple of Check
    plain : tuple of str
        Sentences that come before every light: it did not denoise, it is a still picture.
    seconds : float
        What the checks cost.
    notes : tuple of str
        Sentences that no light depends on.
    """

    checks: tuple[Check, ...]
    plain: tuple[str, ...]
    seconds: float
    notes: tuple[str, ...] = ()

    def light(self, topic: Topic) -> Light:
        """Return the light of a topic, the worst of its checks; without its main check it cannot pass."""
        checks = [check for check in self.checks if check.topic is topic]
        light = worst(check.light for check in checks)
        untested = [check.name for check in checks if check.light is Light.NOT_TESTED]
        return Light.NOT_TESTED if light is Light.PASS and _MAIN[topic] in untested else light

    def reasons(self, topic: Topic) -> Sequence[Check]:
        """Return the checks that give a topic its light."""
        light = self.light(topic)
        return [check for check in self.checks if check.topic is topic and check.light is light]


_MAIN = {
    Topic.AMPLITUDE: "transient height",
    Topic.TIME: "left behind",
    Topic.INVENTED: "unsupported activity",
}  # without which a light says nothing of activity


def worst(lights: Iterable[Light]) -> Light:
    """Return the worst light; checks that were not tested count only where nothing else was."""
    order = (Light.NOT_TESTED, Light.PASS, Light.DOUBT, Light.FAIL)
    return max(lights, key=order.index, default=Light.NOT_TESTED)
