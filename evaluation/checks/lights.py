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
    """Limits of a number: passes between `low` and `high`, fails below `fail_low` or above `fail_high`."""

    low: float
    high: float
    fail_low: float
    fail_high: float

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
        if low > self.fail_high or high < self.fail_low:
            return Light.FAIL
        if low > self.high or high < self.low:
            return Light.DOUBT
        return Light.NOT_TESTED if high - low > self._span() else Light.PASS

    def _span(self) -> float:
        """Return the widest interval that still tells a number in the middle of the band from one that fails."""
        sides = (self.fail_high - self.high, self.low - self.fail_low, self.high - self.low)
        return 2 * max(side for side in sides if math.isfinite(side))

    def __str__(self) -> str:
        if self.low == -math.inf:
            return f"at most {self.high:g}"
        if self.high == math.inf:
            return f"at least {self.low:g}"
        return f"{self.low:g} to {self.high:g}"


def at_most(limit: float, fail: float) -> Band:
    """Return the band of a number that should be small."""
    return Band(low=-math.inf, high=limit, fail_low=-math.inf, fail_high=fail)


def at_least(limit: float, fail: float) -> Band:
    """Return the band of a number that should be large."""
    return Band(low=limit, high=math.inf, fail_low=fail, fail_high=math.inf)


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
    value, error : float
        The number and its standard error; NaN where not tested.
    band : Band
        Where the number should lie.
    unit : str
    sentence : str
        What the number means, in words of the microscope.
    """

    name: str
    topic: Topic
    light: Light
    value: float
    error: float
    band: Band
    unit: str
    sentence: str


def judged(  # noqa: PLR0913 - the fields of a check
    name: str, topic: Topic, value: float, error: float, band: Band, *, unit: str, sentences: dict[Light, str]
) -> Check:
    """Judge a number; `sentences` says what pass, doubt and fail mean, and why it may be not tested."""
    light = band.light(value, error)
    said = sentences.get(light) or sentences[Light.FAIL]
    return Check(name=name, topic=topic, light=light, value=value, error=error, band=band, unit=unit, sentence=said)


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
    """

    checks: tuple[Check, ...]
    plain: tuple[str, ...]
    seconds: float

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
