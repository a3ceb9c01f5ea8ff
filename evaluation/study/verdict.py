"""Is a published number reproduced? The rule, its tolerance and its statistics are explained in docs/verdicts.md."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from evaluation.metrics import Summary, summarise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.algorithms.experiments import PublishedValue

Verdict = Literal["reproduced", "within seed spread", "deviates", "not comparable", "not published"]

FEWEST_SEEDS = 3  # runs below which no spread is stated
COVERAGE = 0.95  # of the prediction interval for one more run
SHARE_OF_SD = 0.1  # of the published sd over files or frames: a shift that is small beside the data's own spread
SHARE_OF_GAIN = 0.5  # of the published distance to the noisy movie: an identity control must never pass
_FLOAT_SLACK = 1e-9  # binary fractions of printed decimals


@dataclass(frozen=True, kw_only=True, slots=True)
class Tolerance:
    """How far our mean may be from the published one and still count as reproduced."""

    value: float
    reason: str
    exact: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """A verdict and why."""

    verdict: Verdict
    reason: str
    ours: Summary | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Our value beside the published one, for one metric.

    Attributes
    ----------
    ours, published : Summary, optional
        None where there is none.
    verdict : Verdict
        Judged by the caller.
    reason : str
        Why, in a few words: the tolerance, or what forbids comparing.
    """

    ours: Summary | None
    published: Summary | None
    verdict: Verdict
    reason: str = ""


def exact_tolerance(published: PublishedValue) -> Tolerance:
    """Return the tolerance of a number in which nothing is random: half of the last digit printed."""
    return Tolerance(
        value=_rounding(published),
        reason=f"nothing is random: mean and sd equal to {published.decimals} decimals",
        exact=True,
    )


def trained_tolerance(published: PublishedValue, noisy: PublishedValue | None) -> Tolerance:
    """Return the tolerance of a number that came out of unseeded training."""
    tenth = SHARE_OF_SD * published.sd
    distance = _distance(published, noisy)
    limit = math.inf if distance is None else SHARE_OF_GAIN * distance
    rounding = _rounding(published)
    if rounding >= min(tenth, limit):
        return Tolerance(value=rounding, reason="half of the last digit printed", exact=False)
    if limit < tenth:
        return Tolerance(value=limit, reason="half of the published distance to the noisy files", exact=False)
    return Tolerance(value=tenth, reason=f"a tenth of the published sd over {published.over}", exact=False)


def judge(published: PublishedValue, runs: Sequence[Summary], tolerance: Tolerance) -> Judgement:
    """Compare the scores of our runs with a published number."""
    ours = over_seeds(runs)
    counts = sorted({run.n for run in runs})
    if counts != [published.n]:
        got = " and ".join(map(str, counts))
        reason = f"the study has {published.n} {published.over}, ours has {got}"
        return Judgement(verdict="not comparable", reason=reason, ours=ours)
    if not math.isfinite(ours.mean):
        return Judgement(verdict="deviates", reason=f"our score is {ours.mean}", ours=ours)
    if _within(ours, published, tolerance):
        allowed = f"tolerance {tolerance.value:.2g}: {tolerance.reason}"
        return Judgement(verdict="reproduced", reason=allowed, ours=ours)
    return _by_spread(published, runs, ours, tolerance)


def over_seeds(runs: Sequence[Summary]) -> Summary:
    """Return the mean of the means, the mean of the sample sd, and the n of one run."""
    return Summary(
        mean=math.fsum(run.mean for run in runs) / len(runs),
        sd=math.fsum(run.sd for run in runs) / len(runs),
        n=runs[0].n,
    )


def spread(runs: Sequence[Summary]) -> tuple[float, float]:
    """Return the interval in which one more run with another seed falls, in 95 of 100 cases."""
    from scipy.special import stdtrit  # noqa: PLC0415 - only three runs or more need it

    between = summarise([run.mean for run in runs])
    half = float(stdtrit(len(runs) - 1, (1 + COVERAGE) / 2)) * between.sd * math.sqrt(1 + 1 / len(runs))
    return between.mean - half, between.mean + half


def _by_spread(published: PublishedValue, runs: Sequence[Summary], ours: Summary, tolerance: Tolerance) -> Judgement:
    allowed = f"tolerance {tolerance.value:.2g}: {tolerance.reason}"
    if tolerance.exact:
        return Judgement(verdict="deviates", reason=allowed, ours=ours)
    if len(runs) < FEWEST_SEEDS:
        reason = f"{allowed}; seed spread unknown, --seeds {FEWEST_SEEDS} measures it"
        return Judgement(verdict="deviates", reason=reason, ours=ours)
    low, high = spread(runs)
    interval = f"one more of our {len(runs)} runs would fall between {low:.4g} and {high:.4g} (95 %)"
    if low <= published.mean <= high:
        return Judgement(verdict="within seed spread", reason=interval, ours=ours)
    return Judgement(verdict="deviates", reason=f"{allowed}; {interval}", ours=ours)


def _within(ours: Summary, published: PublishedValue, tolerance: Tolerance) -> bool:
    limit = tolerance.value + _FLOAT_SLACK
    if abs(ours.mean - published.mean) > limit:
        return False
    return not tolerance.exact or abs(ours.sd - published.sd) <= limit


def _distance(published: PublishedValue, noisy: PublishedValue | None) -> float | None:
    if published.metric.endswith("_gain"):
        return abs(published.mean)
    return None if noisy is None else abs(published.mean - noisy.mean)


def _rounding(published: PublishedValue) -> float:
    return float(0.5 * 10.0**-published.decimals)
