"""Leaderboard tables: one for each dataset and split, with our value, the published one and the verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from evaluation.report.content import NOISY
from evaluation.report.scores import best_value, ordered_splits, signed, summary_text
from evaluation.report.ticks import grouped
from evaluation.study.verdict import Verdict

if TYPE_CHECKING:
    from evaluation.metrics import Summary
    from evaluation.report.content import Entry, Leaderboard
    from evaluation.scores.catalogue import Metric
    from evaluation.study.verdict import Comparison
    from orchestrator.experiments import Status


@dataclass(frozen=True, kw_only=True, slots=True)
class StandingCell:
    """One metric of one entry: texts of both values and their difference, the verdict and its reason."""

    ours: str
    published: str
    difference: str
    verdict: str
    reason: str
    value: float
    best: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class StandingColumn:
    """One metric and the heading it gets."""

    metric: Metric
    heading: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StandingRow:
    """One entry and its cells, in the order of the columns."""

    title: str
    role: str
    environment: str
    status: Status
    reason: str
    report: str
    cells: tuple[StandingCell, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class StandingTable:
    """All entries of one dataset and split."""

    dataset: str
    split: str
    columns: tuple[StandingColumn, ...]
    rows: tuple[StandingRow, ...]


def standing_tables(board: Leaderboard) -> tuple[StandingTable, ...]:
    """Arrange the entries of a leaderboard: datasets in order of appearance, test before val before train."""
    datasets = list(dict.fromkeys(entry.dataset for entry in board.entries))
    tables = []
    for dataset in datasets:
        here = [entry for entry in board.entries if entry.dataset == dataset]
        tables += [
            _table(board, dataset, split, [entry for entry in here if entry.split == split])
            for split in ordered_splits(entry.split for entry in here)
        ]
    return tuple(tables)


def verdict_counts(board: Leaderboard) -> dict[str, int]:
    """Count every verdict over all entries and metrics, in the order of `Verdict`, zeros included."""
    given = [comparison.verdict for entry in board.entries for comparison in entry.comparisons.values()]
    return {verdict: given.count(verdict) for verdict in get_args(Verdict)}


def _table(board: Leaderboard, dataset: str, split: str, entries: list[Entry]) -> StandingTable:
    metrics = [metric for metric in board.metrics if any(metric.name in entry.comparisons for entry in entries)]
    best = {metric.name: _best(metric, entries) for metric in metrics}
    rows = tuple(
        StandingRow(
            title=entry.title,
            role="input" if entry.role == NOISY else entry.role,
            environment=entry.environment,
            status=entry.status,
            reason=entry.reason,
            report=entry.report,
            cells=tuple(_cell(entry.comparisons.get(metric.name), metric, best[metric.name]) for metric in metrics),
        )
        for entry in entries
    )
    columns = tuple(StandingColumn(metric=metric, heading=_heading(metric)) for metric in metrics)
    return StandingTable(dataset=dataset, split=split, columns=columns, rows=rows)


def _heading(metric: Metric) -> str:
    return f"{metric.title} ({metric.unit})" if metric.unit else metric.title


def _best(metric: Metric, entries: list[Entry]) -> float:
    return best_value([_value(entry.comparisons.get(metric.name)) for entry in entries], metric.better)


def _value(comparison: Comparison | None) -> float:
    return math.nan if comparison is None or comparison.ours is None else comparison.ours.mean


def _cell(comparison: Comparison | None, metric: Metric, best: float) -> StandingCell:
    value = _value(comparison)
    ours = _text(None if comparison is None else comparison.ours, metric)
    if comparison is None:
        return StandingCell(ours=ours, published="", difference="", verdict="", reason="", value=value, best=False)
    published = comparison.published
    difference = math.nan if published is None else value - published.mean
    return StandingCell(
        ours=ours,
        published="" if published is None else _text(published, metric),
        difference=signed(difference, metric.decimals) if math.isfinite(difference) else "",
        verdict=comparison.verdict,
        reason=comparison.reason,
        value=value,
        best=value == best,
    )


def _text(summary: Summary | None, metric: Metric) -> str:
    text = summary_text(summary, metric.decimals)
    return text if summary is None else f"{text} (n = {grouped(summary.n, 0)})"
