"""The leaderboard page: many runs, ours beside the published values, with verdicts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evaluation.report.page import render, write_text
from evaluation.report.plots import Labels, Series, scatter_plot
from evaluation.report.resources import resource_rows
from evaluation.report.section import PICTURED_MOVIES, Figure, movie_sections
from evaluation.report.standings import standing_tables, verdict_counts
from evaluation.report.styles import run_styles

if TYPE_CHECKING:
    from pathlib import Path

    from evaluation.report.content import Leaderboard, Resources
    from evaluation.report.plots import Mark
    from evaluation.scores.catalogue import Metric
    from evaluation.study.verdict import Comparison

FEWEST_POINTS = 3  # a scatter plot of fewer says no more than the table
VERDICT_STYLES: dict[str, tuple[str, Mark]] = {
    "reproduced": ("algorithm5", "circle"),
    "within seed spread": ("algorithm0", "square"),
    "deviates": ("algorithm1", "triangle"),
    "not comparable": ("noisy", "diamond"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Point:
    ours: float
    published: float
    verdict: str


def write_leaderboard(board: Leaderboard, path: Path) -> None:
    """Write one self-contained HTML file.

    Parameters
    ----------
    board : Leaderboard
        What to show; movies are streamed as in `write_report`.
    path : Path
        The file to write; it appears complete or not at all.

    Raises
    ------
    BadInput
        When a movie cannot be read or its predictions have another shape.
    """
    styles = run_styles({entry.run: entry.role for entry in board.entries}, board.movies)
    sections = movie_sections(board.movies, board.metrics, styles)
    text = render(
        "leaderboard.html",
        {
            "board": board,
            "counts": verdict_counts(board),
            "tables": standing_tables(board),
            "scatters": _scatters(board),
            "movies": sections,
            "not_pictured": [movie.name for movie in board.movies[PICTURED_MOVIES:]],
            "resources": resource_rows(_resources(board).items()),
            "warnings": [*board.warnings, *(warning for section in sections for warning in section.warnings)],
            "record": board.record,
        },
    )
    write_text(text, path)


def _resources(board: Leaderboard) -> dict[str, Resources | None]:
    """Resources by title, each run once though it has an entry for every split."""
    return {entry.title: entry.resources for entry in board.entries}


def _scatters(board: Leaderboard) -> list[Figure]:
    return [figure for metric in board.metrics if (figure := _scatter(board, metric)) is not None]


def _scatter(board: Leaderboard, metric: Metric) -> Figure | None:
    points = [
        point
        for entry in board.entries
        if metric.name in entry.comparisons and (point := _point(entry.comparisons[metric.name])) is not None
    ]
    if len(points) < FEWEST_POINTS:
        return None
    series = [
        Series(
            name=verdict,
            x=np.array([point.published for point in points if point.verdict == verdict]),
            y=np.array([point.ours for point in points if point.verdict == verdict]),
            style=style,
            mark=mark,
        )
        for verdict, (style, mark) in VERDICT_STYLES.items()
        if any(point.verdict == verdict for point in points)
    ]
    unit = f" ({metric.unit})" if metric.unit else ""
    title = f"{metric.title}: ours against published, with the line of equality"
    svg = scatter_plot(series, Labels(title=title, x=f"published{unit}", y=f"ours{unit}"))
    return Figure(title=title, svg=svg)


def _point(comparison: Comparison) -> _Point | None:
    if comparison.ours is None or comparison.published is None:
        return None
    point = _Point(ours=comparison.ours.mean, published=comparison.published.mean, verdict=comparison.verdict)
    return point if math.isfinite(point.ours) and math.isfinite(point.published) else None
