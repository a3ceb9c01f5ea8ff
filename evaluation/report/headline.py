"""The one sentence that says what came out, written from the scores alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluation.report.content import NOISY
from evaluation.report.scores import best_value, gain_text, number, score_tables, signed

if TYPE_CHECKING:
    from evaluation.report.content import Report, RunContent
    from evaluation.scores.catalogue import Metric


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scored:
    run: RunContent
    value: float


def headline(report: Report) -> str:
    """Say in one to three sentences whether the best algorithm helped, and whether a control does as well."""
    table = next(iter(score_tables(report)), None)
    failures = [_failure(run) for run in report.runs if run.status != "ok"]
    if table is None:
        return " ".join([*failures, "There are no scores."])
    if not table.reference:
        note = "No clean target was given: the scores need no reference and cannot show that the signal was kept."
        return " ".join([*failures, note])
    return " ".join([*failures, *_comparison(report, table.columns[0].metric, table.split)])


def _failure(run: RunContent) -> str:
    verb = {"ok": "finished", "did not converge": "did not converge", "failed": "failed"}[run.status]
    return f"{run.title} {verb}: {run.reason}" if run.reason else f"{run.title} {verb}."


def _comparison(report: Report, metric: Metric, split: str) -> list[str]:
    noisy = _best(report, metric, split, NOISY)
    algorithm = _best(report, metric, split, "algorithm")
    if noisy is None or algorithm is None:
        return [f"No algorithm has a {metric.title} on split {split}."]
    control = _best(report, metric, split, "control")
    sentences = [_change(report, metric, split, noisy, algorithm)]
    if control is not None:
        sentences.append(_against(control, algorithm, metric))
    return sentences


def _best(report: Report, metric: Metric, split: str, role: str) -> _Scored | None:
    scored = [
        _Scored(run=run, value=run.scores[split][metric.name].mean)
        for run in report.runs
        if run.role == role and metric.name in run.scores.get(split, {})
    ]
    best = best_value([one.value for one in scored], metric.better)
    return next((one for one in scored if one.value == best), None)


def _change(report: Report, metric: Metric, split: str, noisy: _Scored, algorithm: _Scored) -> str:
    gain = algorithm.value - noisy.value
    improved = gain > 0 if metric.better == "higher" else gain < 0
    verb = "leaves" if gain == 0 else ("improves" if improved else "worsens")
    others = sum(run.role == "algorithm" for run in report.runs)
    subject = algorithm.run.title if others == 1 else f"Best of {others} algorithms, {algorithm.run.title}"
    unit = f" {metric.unit}" if metric.unit else ""
    n = algorithm.run.scores[split][metric.name].n
    before, after = number(noisy.value, metric.decimals), number(algorithm.value, metric.decimals)
    text = gain_text(algorithm.run, noisy.run, split, metric)
    change = f"from {before} to {after}{unit} ({text}{unit}, n = {n} {metric.over})"
    return f"{subject} {verb} {metric.title} on split {split} {change}."


def _against(control: _Scored, algorithm: _Scored, metric: Metric) -> str:
    margin = algorithm.value - control.value
    ahead = margin > 0 if metric.better == "higher" else margin < 0
    unit = f" {metric.unit}" if metric.unit else ""
    value = f"{number(control.value, metric.decimals)}{unit}"
    if not math.isfinite(margin) or margin == 0:
        return f"The best control, {control.run.title}, scores the same ({value})."
    verdict = "It beats" if ahead else "It does not beat"
    difference = f"{signed(margin, metric.decimals)}{unit}"
    return f"{verdict} the best control, {control.run.title} ({value}, difference {difference})."
