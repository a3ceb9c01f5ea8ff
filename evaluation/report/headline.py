"""The sentences that say what came out, written from the scores alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluation.report.content import NOISY, STUDY, SUPERVISED
from evaluation.report.numbers import number, signed
from evaluation.report.table import best_value, gain_text, mean_of, tables_of, value_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evaluation.report.content import Page, Row
    from evaluation.report.table import Table
    from evaluation.scores.catalogue import Metric

_WITHOUT_TARGET = (
    "{movies}: there is no clean target, so no score can show that the signal was kept. "
    "Look at what was removed and at the traces before you trust it."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Best:
    row: Row
    value: float


def headline(page: Page) -> tuple[str, ...]:
    """Say for each set of movies whether the best algorithm helped, and whether a control does as well."""
    first: dict[str, Table] = {}
    for table in tables_of(page):
        if table.part.protocol != STUDY:
            first.setdefault(table.part.movies, table)
    failures = [_failure(row) for row in page.rows if row.status != "ok"]
    found = [_sentences(table) for table in first.values()]
    return (*failures, *found) if found or failures else ("There are no scores.",)


def _failure(row: Row) -> str:
    verb = {"ok": "finished", "did not converge": "did not converge", "failed": "failed"}[row.status]
    return f"{row.title} {verb}: {row.reason}" if row.reason else f"{row.title} {verb}."


def _sentences(table: Table) -> str:
    metric = table.columns[0].metric
    if not metric.reference:
        return _WITHOUT_TARGET.format(movies=table.part.title)
    noisy, control, algorithm = (_best(table, metric, role) for role in (NOISY, "control", "algorithm"))
    subject = algorithm or control
    if noisy is None or subject is None:
        return f"{table.part.title}: nothing to compare has a {metric.title}."
    sentences = [_change(table, metric, noisy, subject)]
    if control is not None and algorithm is not None:
        sentences.append(_against(control, algorithm, metric))
    ceiling = _best(table, metric, SUPERVISED)
    if ceiling is not None:
        others = [one for one in (algorithm, control) if one is not None]
        sentences.append(_ceiling(ceiling, noisy, others, metric))
    return " ".join(sentences)


def _best(table: Table, metric: Metric, role: str) -> _Best | None:
    scored = [
        _Best(row=one.row, value=mean_of(one.row.scores.get(table.part, {}).get(metric.name)))
        for one in table.rows
        if one.row.role == role
    ]
    best = best_value([one.value for one in scored], metric.better)
    return next((one for one in scored if one.value == best), None)


def _change(table: Table, metric: Metric, noisy: _Best, algorithm: _Best) -> str:
    gain = algorithm.value - noisy.value
    improved = gain > 0 if metric.better == "higher" else gain < 0
    verb = "leaves" if gain == 0 else ("improves" if improved else "worsens")
    others = sum(one.row.role == algorithm.row.role for one in table.rows)
    subject = algorithm.row.title if others == 1 else f"Best of {others}, {algorithm.row.title}"
    ours, base = (one.row.scores[table.part][metric.name] for one in (algorithm, noisy))
    before, after = number(noisy.value, metric.decimals), value_text(metric, algorithm.value)
    text = gain_text(ours, base, metric.decimals).partition(" (")[0]
    over = table.columns[0].n or f"{ours.value.n if ours.value else 0} {metric.over}"
    where = f"{verb} {metric.title} on {table.part.title}"
    return f"{subject} {where} from {before} to {after} ({text} {metric.unit}".rstrip() + f", {over})."


def _against(control: _Best, algorithm: _Best, metric: Metric) -> str:
    margin = algorithm.value - control.value
    ahead = margin > 0 if metric.better == "higher" else margin < 0
    value = value_text(metric, control.value)
    if not math.isfinite(margin) or margin == 0:
        return f"The best control, {control.row.title}, scores the same ({value})."
    verdict = "It beats" if ahead else "It does not beat"
    difference = f"{signed(margin, metric.decimals)} {metric.unit}".strip()
    return f"{verdict} the best control, {control.row.title} ({value}, difference {difference})."


def _ceiling(ceiling: _Best, noisy: _Best, others: Sequence[_Best], metric: Metric) -> str:
    """Say what learning from clean targets reaches, why it is no choice, and where it is no ceiling."""
    gain = f"{signed(ceiling.value - noisy.value, metric.decimals)} {metric.unit}".strip()
    sentence = (
        f"The supervised ceiling, {ceiling.row.title}, reaches {value_text(metric, ceiling.value)} ({gain}): "
        "it learned from clean targets, so it is not ranked and no choice for a movie without them."
    )
    above = best_value([ceiling.value, *(one.value for one in others)], metric.better)
    title = next((one.row.title for one in others if one.value == above != ceiling.value), None)
    return sentence if title is None else f"{sentence} Trained like this it is no ceiling: {title} does better."
