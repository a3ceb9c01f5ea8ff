"""Line and scatter plots as inline SVG, written by pure functions; colours and dashes come from the style sheet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
from markupsafe import Markup, escape

from evaluation.report.ticks import linear_ticks, log_ticks, tick_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Mark = Literal["", "circle", "square", "triangle", "diamond"]

WIDTH, HEIGHT = 1090, 270
LEFT, RIGHT, BOTTOM = 72, 24, 46
LEGEND_ROW = 20  # height of one row of legend, in px
SQUARE = 380
MARGIN = 0.04  # part of the value range kept free on both sides
POINTS = 1600  # more points than this per line cannot be seen at WIDTH
CHARACTER = 6.9  # width of an average character of the plot font, in px
SHAPES: dict[Mark, str] = {  # paths relative to the point
    "": "",
    "circle": "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
    "square": "m-3.6 -3.6h7.2v7.2h-7.2z",
    "triangle": "m0 -5l4.6 8h-9.2z",
    "diamond": "m0 -5.2l4.4 5.2l-4.4 5.2l-4.4 -5.2z",
}
LOG_SPAN = 10.0  # values that span more than this are plotted on a log axis


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One line or point cloud."""

    name: str
    x: np.ndarray
    y: np.ndarray
    style: str
    mark: Mark = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """What the plot shows, for screen readers, and axis labels with unit."""

    title: str
    x: str
    y: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Axis:
    low: float
    high: float
    start: float
    stop: float
    log: bool

    def position(self, values: np.ndarray) -> np.ndarray:
        if self.log:
            part = np.log(values / self.low) / math.log(self.high / self.low)
        else:
            part = (values - self.low) / (self.high - self.low)
        return np.asarray(self.start + part * (self.stop - self.start))

    @property
    def ticks(self) -> list[float]:
        return log_ticks(self.low, self.high) if self.log else linear_ticks(self.low, self.high)


def line_plot(series: Sequence[Series], labels: Labels, *, log_y: bool = False, height: int = HEIGHT) -> Markup:
    """Draw lines over a common axis."""
    rows = _legend_rows(series, WIDTH)
    x = _axis([one.x for one in series], LEFT, WIDTH - RIGHT, margin=0.0, log=False)
    y = _axis([one.y for one in series], height - BOTTOM, _top(rows), margin=MARGIN, log=log_y)
    lines = [_line(one, x, y) for one in series]
    return _svg([_frame(x, y, labels), *lines, _legend(rows, lines=True)], labels.title, WIDTH, height)


def scatter_plot(series: Sequence[Series], labels: Labels) -> Markup:
    """Draw points over two axes of equal range, with the line of equality."""
    rows = _legend_rows(series, SQUARE)
    both = [values for one in series for values in (one.x, one.y)]
    x = _axis(both, LEFT, SQUARE - RIGHT, margin=MARGIN, log=False)
    y = _axis(both, SQUARE - BOTTOM, _top(rows), margin=MARGIN, log=False)
    diagonal = f'<path class="equal" d="M{x.start} {y.start}L{x.stop} {y.stop}"/>'
    clouds = [_cloud(one, x, y) for one in series]
    return _svg([_frame(x, y, labels), diagonal, *clouds, _legend(rows, lines=False)], labels.title, SQUARE, SQUARE)


def wants_log(values: np.ndarray) -> bool:
    """Whether values are all positive and span more than a decade, so that a log axis shows more."""
    finite = values[np.isfinite(values)]
    return bool(finite.size and finite.min() > 0 and finite.max() / finite.min() > LOG_SPAN)


def thinned(x: np.ndarray, y: np.ndarray, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Keep the lowest and highest value of every bin, so that no peak is lost."""
    if len(x) <= points:
        return x, y
    edges = np.linspace(0, len(x), points // 2 + 1).astype(int)
    keep: list[int] = []
    for start, stop in pairwise(edges):
        part = y[start:stop]
        low, high = int(np.argmin(part)), int(np.argmax(part))
        keep += sorted({start + low, start + high})
    return x[keep], y[keep]


def _axis(values: Sequence[np.ndarray], start: float, stop: float, *, margin: float, log: bool) -> _Axis:
    finite = np.concatenate([np.asarray(one, np.float64)[np.isfinite(one)] for one in values] or [np.zeros(0)])
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        half = max(abs(low) * 0.1, 0.5)
        low, high = (low / 2, high * 2) if log else (low - half, high + half)
    if log:
        factor = (high / low) ** margin
        return _Axis(low=low / factor, high=high * factor, start=start, stop=stop, log=True)
    space = (high - low) * margin
    return _Axis(low=low - space, high=high + space, start=start, stop=stop, log=False)


def _frame(x: _Axis, y: _Axis, labels: Labels) -> str:
    parts = [_grid(x.ticks, x.position, y, vertical=True), _grid(y.ticks, y.position, x, vertical=False)]
    middle_x, middle_y = (x.start + x.stop) / 2, (y.start + y.stop) / 2
    parts += [
        f'<path class="axis" d="M{x.start} {y.stop}V{y.start}H{x.stop}"/>',
        f'<text class="label" x="{middle_x:.1f}" y="{y.start + 38:.1f}">{escape(labels.x)}</text>',
        f'<text class="label" transform="translate(15 {middle_y:.1f}) rotate(-90)">{escape(labels.y)}</text>',
    ]
    return "".join(parts)


def _grid(ticks: list[float], position: Callable[[np.ndarray], np.ndarray], other: _Axis, *, vertical: bool) -> str:
    parts = []
    for place, label in zip(position(np.asarray(ticks, np.float64)), tick_labels(ticks), strict=True):
        if vertical:
            parts.append(f'<path class="grid" d="M{place:.1f} {other.start}V{other.stop}"/>')
            parts.append(f'<text class="tick" x="{place:.1f}" y="{other.start + 17}">{label}</text>')
        else:
            parts.append(f'<path class="grid" d="M{other.start} {place:.1f}H{other.stop}"/>')
            parts.append(f'<text class="tick side" x="{other.start - 7}" y="{place + 4:.1f}">{label}</text>')
    return "".join(parts)


def _line(series: Series, x: _Axis, y: _Axis) -> str:
    long_x, long_y = thinned(np.asarray(series.x, np.float64), np.asarray(series.y, np.float64))
    good = np.isfinite(long_x) & np.isfinite(long_y)
    breaks = np.flatnonzero(np.diff(good.astype(int))) + 1
    parts = []
    for run in np.split(np.arange(len(good)), breaks):
        if len(run) and good[run[0]]:
            pairs = zip(x.position(long_x[run]), y.position(long_y[run]), strict=True)
            points = " ".join(f"{px:.1f},{py:.1f}" for px, py in pairs)
            parts.append(f'<polyline class="line {series.style}" points="{points}"/>')
    return "".join(parts) + (_cloud(series, x, y) if series.mark else "")


def _cloud(series: Series, x: _Axis, y: _Axis) -> str:
    good = np.isfinite(series.x) & np.isfinite(series.y)
    pairs = zip(x.position(series.x[good]), y.position(series.y[good]), strict=True)
    return "".join(_mark(series, px, py) for px, py in pairs)


def _mark(series: Series, x: float, y: float) -> str:
    return f'<path class="mark {series.style}" d="M{x:.1f} {y:.1f}{SHAPES[series.mark]}"/>'


def _legend_rows(series: Sequence[Series], width: int) -> list[list[tuple[float, Series]]]:
    """Place the legend: rows of (left edge in px, series), wrapped at the width of the plot."""
    rows: list[list[tuple[float, Series]]] = [[]]
    left = float(LEFT)
    for one in series:
        needed = 32 + CHARACTER * len(one.name)
        if rows[-1] and left + needed > width:
            rows.append([])
            left = float(LEFT)
        rows[-1].append((left, one))
        left += needed + 20
    return rows


def _top(rows: Sequence[object]) -> float:
    return 10 + LEGEND_ROW * len(rows)


def _legend(rows: list[list[tuple[float, Series]]], *, lines: bool) -> str:
    parts = []
    for index, row in enumerate(rows):
        middle = 14 + LEGEND_ROW * index
        for left, one in row:
            if lines:
                parts.append(f'<path class="line key {one.style}" d="M{left:.1f} {middle}h26"/>')
            parts.append(_mark(one, left + 13, middle) if one.mark else "")
            parts.append(f'<text class="name" x="{left + 32:.1f}" y="{middle + 4}">{escape(one.name)}</text>')
    return "".join(parts)


def _svg(parts: Sequence[str], title: str, width: int, height: int) -> Markup:
    head = f'<svg class="plot" role="img" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    return Markup(f"{head}<title>{escape(title)}</title>{''.join(parts)}</svg>")  # noqa: S704 - every text is escaped
