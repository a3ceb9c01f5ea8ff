"""The tables of a page: rows, columns, what every cell says and which value is best. HTML and text show the same."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

from evaluation.report.content import NOISY, STUDY, SUPERVISED
from evaluation.report.numbers import grouped, interval_text, number, signed, summary_text
from evaluation.study.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from evaluation.metrics import Summary
    from evaluation.report.content import Page, Part, Row, Score
    from evaluation.scores.catalogue import Better, Metric

_ORDER = ("test", "val", "train")  # the movies that tell most come first
_STUDY_DECIMALS = 3  # as the study prints its table 2
_DECIDING = (
    *("si_psnr", "temporal_correlation", "roi_correlation", "gain", "mean_shift"),
    *("residual_sd", "residual_correlation", "residual_autocorrelation_t", "temporal_smoothness"),
)
_FEW = 5  # columns that decide: as many as fit beside the names


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One metric of one row: texts, empty where there is nothing to say, and the value that sorts."""

    text: str
    value: float
    gain: str
    n: str
    interval: str
    best: bool
    published: str = ""
    difference: str = ""
    verdict: Verdict | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One metric and how many values every mean stands for; empty if that differs by row."""

    metric: Metric
    n: str

    @property
    def heading(self) -> str:
        """Title with unit."""
        return f"{self.metric.title} ({self.metric.unit})" if self.metric.unit else self.metric.title

    @property
    def aim(self) -> str:
        """Say which value is good, in words; empty where the value alone says nothing."""
        return aim(self.metric)


@dataclass(frozen=True, kw_only=True, slots=True)
class TableRow:
    """One row and its cells, in the order of the columns."""

    row: Row
    cells: tuple[Cell, ...]

    @property
    def role(self) -> str:
        """The role as a reader calls it."""
        return "input" if self.row.role == NOISY else self.row.role


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """All rows of one part, some or all of its metrics."""

    part: Part
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]

    @property
    def published(self) -> bool:
        """Whether the study has a word on any cell."""
        return any(cell.verdict for row in self.rows for cell in row.cells)

    def only(self, columns: Sequence[Column]) -> Table:
        """Keep some of the columns."""
        places = [self.columns.index(column) for column in columns]
        rows = (replace(row, cells=tuple(row.cells[place] for place in places)) for row in self.rows)
        return replace(self, columns=tuple(columns), rows=tuple(rows))

    def deciding(self) -> Table:
        """Keep the few columns that decide; all that the study has a word on."""
        if self.part.protocol == STUDY or len(self.columns) <= _FEW:
            return self
        named = {column.metric.name: column for column in self.columns}
        return self.only([named[name] for name in _DECIDING if name in named][:_FEW] or self.columns[:_FEW])

    def blocks(self, width: int) -> list[Table]:
        """Cut into tables of so many columns."""
        starts = range(0, len(self.columns), width)
        return [self.only(self.columns[start : start + width]) for start in starts]


def tables_of(page: Page) -> tuple[Table, ...]:
    """Arrange the scores of a page: one table for each part, in order of appearance, test before val before train."""
    parts = list(dict.fromkeys(part for row in page.rows for part in row.scores))
    movies = list(dict.fromkeys(part.movies for part in parts))
    parts.sort(key=lambda part: (movies.index(part.movies), part.protocol != STUDY, part.protocol, _rank(part.split)))
    return tuple(table for part in parts if (table := _table(page, part)).columns)


def verdict_counts(page: Page) -> dict[str, int]:
    """Count every verdict over all rows and metrics, in the order of `Verdict`; empty where nothing was judged."""
    scores = [score for row in page.rows for part in row.scores.values() for score in part.values()]
    given = [score.study.verdict for score in scores if score.study is not None]
    return {verdict: count for verdict in get_args(Verdict) if (count := given.count(verdict))}


def best_value(values: Iterable[float], better: Better) -> float:
    """Best finite value, or NaN when there is none or the value alone says nothing."""
    finite = [value for value in values if math.isfinite(value)]
    if better == "neither" or not finite:
        return math.nan
    return max(finite) if better == "higher" else min(finite)


def aim(metric: Metric) -> str:
    """Say which value is good, in words."""
    return {"higher": "higher is better", "lower": "lower is better", "neither": metric.aim}[metric.better]


def mean_of(score: Score | None) -> float:
    """Return the mean of a score; NaN without."""
    return math.nan if score is None or score.value is None else score.value.mean


def gain_text(score: Score | None, noisy: Score | None, decimals: int) -> str:
    """Gain over the noisy movie: the paired summary if given, else the difference of the means."""
    if score is not None and score.gain is not None:
        interval = interval_text(score.gain, decimals, signed)
        return summary_text(score.gain, decimals, signed) + (f" (95 % {interval})" if interval else "")
    change = mean_of(score) - mean_of(noisy)
    return signed(change, decimals) if math.isfinite(change) else ""


def _rank(split: str) -> int:
    return _ORDER.index(split) if split in _ORDER else len(_ORDER)


def _table(page: Page, part: Part) -> Table:
    rows = [row for row in page.rows if part in row.scores or not row.scores]
    scored = [row.scores.get(part, {}) for row in rows]
    decimals = _STUDY_DECIMALS if part.protocol == STUDY else 0
    metrics = [
        replace(metric, decimals=max(metric.decimals, decimals))
        for metric in page.metrics
        if any(metric.name in scores for scores in scored)
    ]
    columns = tuple(_column(metric, [scores.get(metric.name) for scores in scored]) for metric in metrics)
    ranked = [scores for row, scores in zip(rows, scored, strict=True) if row.role != SUPERVISED]
    best = [best_value([mean_of(one.get(metric.name)) for one in ranked], metric.better) for metric in metrics]
    noisy = next((row for row in rows if row.role == NOISY), None)
    base = noisy.scores.get(part, {}) if noisy else {}
    return Table(
        part=part,
        columns=columns,
        rows=tuple(
            TableRow(row=row, cells=tuple(_cells(row, scores, columns, best, {} if row is noisy else base)))
            for row, scores in zip(rows, scored, strict=True)
        ),
    )


def _cells(
    row: Row, scores: Mapping[str, Score], columns: Sequence[Column], best: Sequence[float], base: Mapping[str, Score]
) -> Iterator[Cell]:
    """Yield the cells of a row; what learned from clean targets is never the best."""
    for column, top in zip(columns, best, strict=True):
        name = column.metric.name
        yield _cell(scores.get(name), column, math.nan if row.role == SUPERVISED else top, base.get(name))


def _column(metric: Metric, scores: Sequence[Score | None]) -> Column:
    counts = {score.value.n for score in scores if score is not None and score.value is not None}
    return Column(metric=metric, n=_n(counts.pop(), metric) if len(counts) == 1 else "")


def _cell(score: Score | None, column: Column, best: float, noisy: Score | None) -> Cell:
    metric = column.metric
    summary = None if score is None else score.value
    value = mean_of(score)
    cell = Cell(
        text=summary_text(summary, metric.decimals),
        value=value,
        gain="" if metric.better == "neither" else gain_text(score, noisy, metric.decimals),
        n=_n(summary.n, metric) if summary is not None and not column.n else "",
        interval=interval_text(summary, metric.decimals),
        best=value == best,
    )
    if score is None or score.study is None:
        return cell
    published = score.study.published
    difference = math.nan if published is None else value - published.mean
    return replace(
        cell,
        published="" if published is None else _with_n(published, metric),
        difference=signed(difference, metric.decimals) if math.isfinite(difference) else "",
        verdict=score.study.verdict,
        reason=score.study.reason,
    )


def _with_n(summary: Summary, metric: Metric) -> str:
    return f"{summary_text(summary, metric.decimals)} (n = {grouped(summary.n, 0)})"


def _n(count: int, metric: Metric) -> str:
    over = metric.over.removesuffix("s") if count == 1 else metric.over
    return f"{grouped(count, 0)} {over}"


def value_text(metric: Metric, value: float) -> str:
    """Write one value with its unit."""
    return f"{number(value, metric.decimals)} {metric.unit}".strip()
