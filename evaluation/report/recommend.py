"""What to take of several denoised movies, in words: never from one number, and never a supervised one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evaluation.checks.lights import Light, Topic
from evaluation.report.content import SUPERVISED
from evaluation.report.numbers import duration
from evaluation.report.shortlist import Recommendation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evaluation.checks.lights import Verdict
    from evaluation.report.shortlist import Candidate

_FEW_PATCHES = 6


def recommend(candidates: Sequence[Candidate], *, seeds: int, budget: str) -> Recommendation:
    """Choose from checks, trace SNR and costs together.

    What fails a light is out, and so is what does not stand above the running means at its own height of transients.
    Of the rest, fewest doubts count first, then the trace SNR; of those that cannot be told apart, the cheapest is
    taken.

    Parameters
    ----------
    candidates : sequence of Candidate
        Every run on one movie, controls among them.
    seeds : int
        Trainings of each algorithm.
    budget : str
        The preset of all of them.
    """
    out = {one.title: sentence for one in candidates if (sentence := _against(one))}
    left = [one for one in candidates if one.title not in out]
    if not left:
        return Recommendation(
            title="",
            sentence="Nothing is recommended: no denoised movie passes what follows. Keep the raw movie, or give more "
            "frames or a longer preset.",
            reasons=(),
            doubts=_doubts_of_all(seeds, budget),
            others=tuple(out.items()),
        )
    fewest = min(map(_doubtful, left))
    sure = [one for one in left if _doubtful(one) == fewest]
    best = max(sure, key=lambda one: one.least)
    equal = [one for one in sure if not one.times + one.margin < best.least]
    chosen = min(equal, key=lambda one: one.seconds)
    rest = {one.title: _why_not(one, chosen) for one in left if one is not chosen}
    untrained = ", a control, which needs no training" if chosen.role == "control" else ""
    return Recommendation(
        title=chosen.title,
        sentence=f"Take {chosen.title}{untrained}.",
        reasons=_reasons(chosen, len(equal)),
        doubts=(*_doubts(chosen), *_doubts_of_all(seeds, budget)),
        others=tuple((rest | out).items()),
    )


def _against(one: Candidate) -> str:
    """Say why a candidate is out; empty where it is not."""
    if one.failure:
        return f"There is no movie: {one.failure}"
    if one.role == SUPERVISED:
        return "It learned from clean targets: a ceiling, and no choice for a movie without them."
    checked = _against_checks(one.verdict)
    if checked:
        return checked
    if one.standing is not None and not one.least > 1:
        how = "not surely" if one.times > 1 else "no"
        return (
            f"Its traces are {how} better than those of a running mean that keeps transients as high: "
            f"{one.times_text} times its SNR."
        )
    return ""


def _against_checks(verdict: Verdict | None) -> str:
    if verdict is None:
        return "It was not checked, as single images hold no activity."
    if verdict.plain:
        return verdict.plain[0]
    failed = [check for check in verdict.checks if check.light is Light.FAIL]
    return f"It fails the light {failed[0].topic}: {failed[0].sentence}" if failed else ""


def _doubtful(one: Candidate) -> int:
    return sum(one.light(topic) is not Light.PASS for topic in Topic)


def _reasons(one: Candidate, equal: int) -> tuple[str, ...]:
    passed = [str(topic) for topic in Topic if one.light(topic) is Light.PASS]
    reasons = (
        [f"No check fails; it passes the light{'s' if len(passed) > 1 else ''} {', '.join(passed)}."] if passed else []
    )
    if one.standing is not None:
        reasons.append(
            f"Its traces have {one.times_text} times the SNR of the running mean that keeps transients as high "
            f"({one.standing.slope:.2f} of the raw height, {one.standing.patches} active places)."
        )
    among = f", the least of {equal} that cannot be told apart" if equal > 1 else ""
    return (*reasons, f"It took {duration(one.seconds)}{among}.")


def _doubts(one: Candidate) -> tuple[str, ...]:
    checks = () if one.verdict is None else one.verdict.checks
    doubtful = [f"{check.sentence} ({check.name})" for check in checks if check.light is Light.DOUBT]
    untested = [str(topic) for topic in Topic if one.light(topic) is Light.NOT_TESTED]
    if untested:
        doubtful.append(f"Not tested: {', '.join(untested)}.")
    if one.standing is None:
        doubtful.append("Too little activity stands out of the noise to compare its traces with running means.")
    elif one.standing.patches < _FEW_PATCHES:
        doubtful.append(f"Only {one.standing.patches} active places stand behind the trace SNR.")
    return tuple(doubtful)


def _doubts_of_all(seeds: int, budget: str) -> tuple[str, ...]:
    doubts = ["There is no clean target: a pass means that nothing was seen to be wrong."]
    if budget != "default":
        doubts.append(f"All ran with preset {budget}; a longer training may change the order.")
    if seeds == 1:
        doubts.append("One seed each: what a second training shows otherwise is not in the data (--seed 1,2,3).")
    return tuple(doubts)


def _why_not(one: Candidate, chosen: Candidate) -> str:
    if _doubtful(one) > _doubtful(chosen):
        doubts = _doubts(one)
        return f"More is in doubt: {doubts[0]}" if doubts else "More is in doubt."
    if one.times + one.margin < chosen.times:
        return f"Its traces stand lower: {one.times_text} times the SNR of the running mean of equal height."
    return f"It is no better for its time, {duration(one.seconds)}: {one.times_text or 'no known'} times that SNR."
