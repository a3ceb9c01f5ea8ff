"""Score tables: which rows and columns, what every cell says, which value is best. HTML and text show the same."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluation.report.content import NOISY
from evaluation.report.ticks import grouped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from evaluation.metrics import Summary
    from evaluation.report.content import Report, RunContent
    from evaluation.scores.catalogue import Better, Metric
    from orchestrator.experiments import Status

SPLIT_ORDER = ("test", "val", "train")  # the split that tells most comes first
NOT_SCORED = "no score"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One cell."""

    text: str
    value: float
    gain: str
    n: str
    interval: str
    gain_interval: str
    best: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row: a run and its cells, in the order of the columns."""

    name: str
    title: str
    role: str
    status: Status
    reason: str
    doi: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column: the metric and how many values every mean stands for (empty if that differs by row)."""

    metric: Metric
    n: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreTable:
    """Scores of one split, either against the target or without reference."""

    split: str
    reference: bool
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def score_tables(report: Report) -> tuple[ScoreTable, ...]:
    """Arrange the scores of a report."""
    splits = ordered_splits(split for run in report.runs for split in run.scores)
    tables = [_table(report, split, reference) for split in splits for reference in (True, False)]
    return tuple(table for table in tables if table.columns)


def ordered_splits(splits: Iterable[str]) -> list[str]:
    """Each split once: test, val, train, then others by name."""
    rank = {split: place for place, split in enumerate(SPLIT_ORDER)}
    return sorted(set(splits), key=lambda split: (rank.get(split, len(rank)), split))


def best_value(values: Sequence[float], better: Better) -> float:
    """Best finite value, or NaN when there is none or no direction is better."""
    finite = [value for value in values if math.isfinite(value)]
    if better == "neither" or not finite:
        return math.nan
    return max(finite) if better == "higher" else min(finite)


def number(value: float, decimals: int) -> str:
    """Write a value: "not a number" and "∞" in words a reader understands."""
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "∞" if value > 0 else "\u2212∞"
    return grouped(value, decimals)


def signed(value: float, decimals: int) -> str:
    """Write a difference, always with its sign."""
    text = number(value, decimals)
    return text if text.startswith("\u2212") or not math.isfinite(value) else "+" + text


def summary_text(summary: Summary | None, decimals: int) -> str:
    """Write "mean ± sd", or the mean alone where there is no sd."""
    if summary is None:
        return NOT_SCORED
    mean = number(summary.mean, decimals)
    return f"{mean} ± {number(summary.sd, decimals)}" if math.isfinite(summary.sd) else mean


def interval_text(summary: Summary | None, decimals: int, write: Callable[[float, int], str]) -> str:
    """Write "low to high" of a mean with `number` or `signed`; empty where the bounds are unknown."""
    if summary is None or not (math.isfinite(summary.low) and math.isfinite(summary.high)):
        return ""
    return f"{write(summary.low, decimals)} to {write(summary.high, decimals)}"


def direction(better: Better) -> str:
    """Say which direction is better, in words."""
    return {"higher": "higher is better", "lower": "lower is better", "neither": "no direction is better"}[better]


def _table(report: Report, split: str, reference: bool) -> ScoreTable:  # noqa: FBT001 - called once, in a loop
    scored = [run.scores.get(split, {}) for run in report.runs]
    metrics = [
        metric
        for metric in report.metrics
        if metric.reference == reference and any(metric.name in scores for scores in scored)
    ]
    columns = tuple(_column(metric, [scores.get(metric.name) for scores in scored]) for metric in metrics)
    best = {
        metric.name: best_value([_mean(scores.get(metric.name)) for scores in scored], metric.better)
        for metric in metrics
    }
    noisy = next((run for run in report.runs if run.role == NOISY), None)
    rows = tuple(
        Row(
            name=run.name,
            title=run.title,
            role="input" if run.role == NOISY else run.role,
            status=run.status,
            reason=run.reason,
            doi=run.doi,
            cells=tuple(_cell(run, noisy, split, column, best[column.metric.name]) for column in columns),
        )
        for run in report.runs
    )
    return ScoreTable(split=split, reference=reference, columns=columns, rows=rows)


def _column(metric: Metric, summaries: Sequence[Summary | None]) -> Column:
    counts = {summary.n for summary in summaries if summary is not None}
    return Column(metric=metric, n=f"n = {grouped(counts.pop(), 0)} {metric.over}" if len(counts) == 1 else "")


def _cell(run: RunContent, noisy: RunContent | None, split: str, column: Column, best: float) -> Cell:
    metric = column.metric
    summary = run.scores.get(split, {}).get(metric.name)
    value = _mean(summary)
    return Cell(
        text=summary_text(summary, metric.decimals),
        value=value,
        gain=gain_text(run, noisy, split, metric),
        n=f"n = {grouped(summary.n, 0)} {metric.over}" if summary is not None and not column.n else "",
        interval=interval_text(summary, metric.decimals, number),
        gain_interval=interval_text(run.gains.get(split, {}).get(metric.name), metric.decimals, signed),
        best=value == best,
    )


def gain_text(run: RunContent, noisy: RunContent | None, split: str, metric: Metric) -> str:
    """Gain of a run over the noisy input: the paired summary if given, else the difference of the means."""
    given = run.gains.get(split, {}).get(metric.name)
    if given is not None:
        text = signed(given.mean, metric.decimals)
        return f"{text} ± {number(given.sd, metric.decimals)}" if math.isfinite(given.sd) else text
    if noisy is None or run is noisy:
        return ""
    change = _mean(run.scores.get(split, {}).get(metric.name)) - _mean(noisy.scores.get(split, {}).get(metric.name))
    return signed(change, metric.decimals) if math.isfinite(change) else ""


def _mean(summary: Summary | None) -> float:
    return math.nan if summary is None else summary.mean
